package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// drawer holds access keys, and fails while why is set.
type drawer struct {
	keys map[string]store.AccessKey
	why  error
}

func (d *drawer) FindKey(_ context.Context, id string) (store.AccessKey, error) {
	k, ok := d.keys[id]
	if d.why != nil || ok {
		return k, d.why
	}
	return k, store.ErrNoKey
}

// TestF8KeysWithoutStore: keys that were known are known while the store is away; those
// that were removed are not, nor strangers; and a role that is none lets nobody in.
func TestF8KeysWithoutStore(t *testing.T) {
	d := &drawer{keys: map[string]store.AccessKey{
		"a":   {ID: "a", Secret: "s", Account: "me", Role: "read-only"},
		"b":   {ID: "b", Secret: "s", Account: "me", Role: "admin"},
		"bad": {ID: "bad", Secret: "s", Account: "me", Role: "god"},
	}}
	r := newKeyring(testKey, d, slog.New(slog.DiscardHandler))
	want := func(id string, ok bool) openapi.Key {
		t.Helper()
		k, got := r.Key(id)
		if got != ok {
			t.Errorf("%q is known: %v, want %v", id, got, ok)
		}
		return k
	}
	if k := want("a", true); k.Role != openapi.Reader || k.Account != "me" || k.Secret != "s" {
		t.Errorf("key %+v", k)
	}
	want("b", true)
	want("", false)
	want("stranger", false)
	want("bad", false)
	delete(d.keys, "b")
	want("b", false)
	d.why = errors.New("away")
	want("a", true)
	want("b", false)
	want("stranger", false)
	if want(testKey.ID, true) != testKey {
		t.Error("the first key is another one")
	}
	d.why = nil
	delete(d.keys, "a")
	want("a", false)
	if _, ok := newKeyring(openapi.Key{}, d, nil).Key(""); ok {
		t.Error("without a first key, no id is a key")
	}
}
