package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// keyTimeout bounds the look for an access key.
const keyTimeout = 2 * time.Second

// keyStore is where access keys are.
type keyStore interface {
	FindKey(ctx context.Context, id string) (store.AccessKey, error)
}

// keyring finds access keys: the one that the server was started with, and those that
// are stored. A key that is added or removed, by whichever process, counts from the next
// request on. While the store cannot be read, keys are known that were found before: who
// may see to it must not be locked out by it.
type keyring struct {
	first openapi.Key // no ID: none
	store keyStore
	log   *slog.Logger

	mu    sync.Mutex
	known map[string]openapi.Key
}

func newKeyring(first openapi.Key, st keyStore, log *slog.Logger) *keyring {
	return &keyring{first: first, store: st, log: log, known: map[string]openapi.Key{}}
}

// Key implements openapi.Keys.
func (r *keyring) Key(id string) (openapi.Key, bool) {
	if id == "" {
		return openapi.Key{}, false
	}
	if id == r.first.ID {
		return r.first, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), keyTimeout)
	defer cancel()
	k, err := r.find(ctx, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.known[id] = k // no more of them than there are keys
		return k, true
	case errors.Is(err, store.ErrNoKey):
		delete(r.known, id)
		return openapi.Key{}, false
	}
	k, ok := r.known[id]
	r.log.Error("an access key could not be looked up", "key", id, "known", ok, "why", err.Error())
	return k, ok
}

func (r *keyring) find(ctx context.Context, id string) (openapi.Key, error) {
	k, err := r.store.FindKey(ctx, id)
	if err != nil {
		return openapi.Key{}, err
	}
	role, err := openapi.ParseRole(k.Role)
	return openapi.Key{ID: k.ID, Secret: k.Secret, Account: k.Account, Role: role}, err
}

// haveKey refuses a cloud whose API nobody could call.
func (s *Server) haveKey(ctx context.Context, first openapi.Key) error {
	if first.ID != "" {
		return nil
	}
	stored, err := s.store.ListKeys(ctx)
	if err == nil && len(stored) == 0 {
		err = fmt.Errorf("%w: there is no access key (give --access-key ID:SECRET, or add one with otasim key add)", ErrConfig)
	}
	return err
}
