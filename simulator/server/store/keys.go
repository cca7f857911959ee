package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leapslot/ota/simulator"
)

// Errors of access keys.
var (
	ErrKeyExists = errors.New("there is an access key with this id already")
	ErrNoKey     = errors.New("there is no access key with this id")
)

// AccessKey is a key of the cloud API as it is stored. What a role may do is not the
// store's to know.
type AccessKey struct {
	ID      string
	Secret  string // empty in lists
	Account string // whose objects it reaches
	Role    string
	Note    string
	Created simulator.Stamp
}

// Keys are written through a connection of their own: they may be added and removed
// while the cloud runs, by it or by another process, beside Commit.

// AddKey stores a new access key, its secret sealed, and writes it down in the audit log
// of its account. Errors: ErrKeyExists, those of Commit.
func (s *SQLite) AddKey(ctx context.Context, k AccessKey) error {
	err := explain("storing an access key", s.beside(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO access_keys VALUES (?, ?, ?, ?, ?, ?)",
			k.ID, k.Account, k.Role, s.seal.close("key "+k.ID, k.Secret), k.Note, k.Created)
		if err != nil {
			return err
		}
		return writeDown(ctx, tx, k.Account, "AddAccessKey", k.ID+" "+k.Role, k.Created)
	}))
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("access key %q: %w", k.ID, ErrKeyExists)
	}
	return err
}

// RemoveKey removes an access key, and writes that down at the time at. Errors: ErrNoKey,
// those of Commit.
func (s *SQLite) RemoveKey(ctx context.Context, id string, at simulator.Stamp) error {
	err := s.beside(ctx, func(tx *sql.Tx) error {
		var account string
		if err := tx.QueryRowContext(ctx, "DELETE FROM access_keys WHERE id = ? RETURNING account", id).Scan(&account); err != nil {
			return err
		}
		return writeDown(ctx, tx, account, "RemoveAccessKey", id, at)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("access key %q: %w", id, ErrNoKey)
	}
	return explain("removing an access key", err)
}

// localKey is who changes access keys: somebody who may write to the data directory.
const localKey = "local"

// InName has what is done beside the server's commands written down in somebody's name, and
// with the address that they came from. Without it that is "local": a command line's.
func InName(ctx context.Context, key, from string) context.Context {
	return context.WithValue(ctx, nameKey{}, [2]string{key, from})
}

type nameKey struct{}

func writeDown(ctx context.Context, tx *sql.Tx, account, action, object string, at simulator.Stamp) error {
	e := simulator.AuditEntry{At: at, Account: account, Key: localKey, Action: action, Object: object, From: localKey, Result: simulator.AuditOK}
	if name, ok := ctx.Value(nameKey{}).([2]string); ok {
		e.Key, e.From = name[0], name[1]
	}
	_, err := tx.ExecContext(ctx, insertAudit, e.Account, e.Key, e.Action, e.At, body(&e))
	return err
}

// beside runs do in a transaction of its own, beside Commit.
func (s *SQLite) beside(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.side.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// FindKey gives an access key with its secret. Errors: ErrNoKey, or what SQLite says.
// Safe for concurrent use.
func (s *SQLite) FindKey(ctx context.Context, id string) (AccessKey, error) {
	k := AccessKey{ID: id}
	var sealed string
	err := s.read.QueryRowContext(ctx, "SELECT account, role, secret, note, created FROM access_keys WHERE id = ?", id).
		Scan(&k.Account, &k.Role, &sealed, &k.Note, &k.Created)
	if errors.Is(err, sql.ErrNoRows) {
		return AccessKey{}, fmt.Errorf("access key %q: %w", id, ErrNoKey)
	}
	if err != nil {
		return AccessKey{}, explain("looking for an access key", err)
	}
	k.Secret, err = s.seal.open("key "+id, sealed)
	return k, err
}

// ListKeys lists the access keys without their secrets, the oldest first.
func (s *SQLite) ListKeys(ctx context.Context) ([]AccessKey, error) {
	list, err := rows(ctx, s.read, func(r *sql.Rows, k *AccessKey) error {
		return r.Scan(&k.ID, &k.Account, &k.Role, &k.Note, &k.Created)
	}, "SELECT id, account, role, note, created FROM access_keys ORDER BY created, id")
	return list, explain("listing access keys", err)
}

func run(ctx context.Context, db *sql.DB, query string, args ...any) error {
	_, err := db.ExecContext(ctx, query, args...)
	return err
}
