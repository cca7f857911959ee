package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leapslot/ota/simulator"
)

// Errors of the console's users.
var (
	ErrUserExists = errors.New("there is a user with this name already")
	ErrNoUser     = errors.New("there is no user with this name")
)

// User is an account of the console as it is stored. What a role may do, and how a
// password becomes a hash, is not the store's to know.
type User struct {
	Name    string
	Account string // whose objects it reaches; empty is that of the cloud's own access key
	Role    string
	Hash    string // of the password; empty in lists
	Created simulator.Stamp
}

// Users are the console's users. Safe for concurrent use, beside Commit and beside other
// processes.
type Users interface {
	AddUser(ctx context.Context, u User) error
	AddFirstUser(ctx context.Context, u User) error
	SetPassword(ctx context.Context, name, hash string, at simulator.Stamp) error
	RemoveUser(ctx context.Context, name string, at simulator.Stamp) error
	FindUser(ctx context.Context, name string) (User, error)
	ListUsers(ctx context.Context) ([]User, error)
}

// AddUser stores a new user and writes it down in the audit log of its account. Errors:
// ErrUserExists, those of Commit.
func (s *SQLite) AddUser(ctx context.Context, u User) error {
	return s.addUser(ctx, u, "INSERT INTO users VALUES (?, ?, ?, ?, ?)")
}

// AddFirstUser is AddUser, but only while there is no user at all: of two that come at
// the same time one is refused with ErrUserExists.
func (s *SQLite) AddFirstUser(ctx context.Context, u User) error {
	return s.addUser(ctx, u, "INSERT INTO users SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM users)")
}

func (s *SQLite) addUser(ctx context.Context, u User, insert string) error {
	err := explain("storing a user", s.beside(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, insert, u.Name, u.Account, u.Role, u.Hash, u.Created)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrUserExists)
		}
		return writeDown(ctx, tx, u.Account, "AddUser", u.Name+" "+u.Role, u.Created)
	}))
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrUserExists) {
		return fmt.Errorf("user %q: %w", u.Name, ErrUserExists)
	}
	return err
}

// SetPassword replaces the hash of a user's password, and writes that down at the time
// at. Errors: ErrNoUser, those of Commit.
func (s *SQLite) SetPassword(ctx context.Context, name, hash string, at simulator.Stamp) error {
	return s.changeUser(ctx, name, "SetUserPassword", at, "UPDATE users SET hash = ? WHERE name = ? RETURNING account", hash, name)
}

// RemoveUser removes a user, and writes that down at the time at. Errors: ErrNoUser,
// those of Commit.
func (s *SQLite) RemoveUser(ctx context.Context, name string, at simulator.Stamp) error {
	return s.changeUser(ctx, name, "RemoveUser", at, "DELETE FROM users WHERE name = ? RETURNING account", name)
}

func (s *SQLite) changeUser(ctx context.Context, name, action string, at simulator.Stamp, query string, args ...any) error {
	err := s.beside(ctx, func(tx *sql.Tx) error {
		var account string
		if err := tx.QueryRowContext(ctx, query, args...).Scan(&account); err != nil {
			return err
		}
		return writeDown(ctx, tx, account, action, name, at)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("user %q: %w", name, ErrNoUser)
	}
	return explain("changing a user", err)
}

// FindUser gives a user with the hash of its password. Errors: ErrNoUser, or what SQLite
// says. Safe for concurrent use.
func (s *SQLite) FindUser(ctx context.Context, name string) (User, error) {
	u := User{Name: name}
	err := s.read.QueryRowContext(ctx, "SELECT account, role, hash, created FROM users WHERE name = ?", name).
		Scan(&u.Account, &u.Role, &u.Hash, &u.Created)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, fmt.Errorf("user %q: %w", name, ErrNoUser)
	}
	return u, explain("looking for a user", err)
}

// ListUsers lists the users without their hashes, the oldest first.
func (s *SQLite) ListUsers(ctx context.Context) ([]User, error) {
	list, err := rows(ctx, s.read, func(r *sql.Rows, u *User) error {
		return r.Scan(&u.Name, &u.Account, &u.Role, &u.Created)
	}, "SELECT name, account, role, created FROM users ORDER BY created, name")
	return list, explain("listing users", err)
}

var _ Users = (*SQLite)(nil)
