package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/simulator"
)

// ErrForeign means that a database is not one of ours.
var ErrForeign = errors.New("not a database of this program")

// Snapshot writes the database at from, as it is at one moment, into the new file to.
// The database may be in use by another process, which goes on storing meanwhile; its
// write-ahead log grows until the snapshot is done. Nothing is brought up to date.
// Errors: ErrForeign, ErrFull, ErrReadOnly, ErrBusy, or what SQLite says; then to is
// not there, or not whole.
func Snapshot(ctx context.Context, from, to string) error {
	if err := snapshot(ctx, from, to); err != nil {
		return fmt.Errorf("database %s: %w", from, err)
	}
	return nil
}

func snapshot(ctx context.Context, from, to string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	if _, err := os.Stat(from); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", plain(from))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return explain("reading the database's version", err)
	}
	if version == 0 {
		return ErrForeign
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return explain("copying it", err)
}

// PackagesIn lists the packages of a database file that nobody uses, such as a
// snapshot. Nothing is brought up to date.
func PackagesIn(ctx context.Context, path string) ([]simulator.Package, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", plain(path))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	list, err := bodies[simulator.Package](ctx, db, "SELECT body, rev FROM packages ORDER BY id")
	return list, explain("listing the packages of "+path, err)
}

// plain names a file that must be there, and changes no setting of it.
func plain(path string) string {
	u := url.URL{Path: path}
	return fmt.Sprintf("file:%s?mode=rw&_pragma=busy_timeout(%d)", u.EscapedPath(), busyTimeout)
}
