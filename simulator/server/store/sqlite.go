package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite" // also the database/sql driver "sqlite"
)

// SQLite is a Store in one file, for one process at a time. Commit wants one caller;
// the lists may be read by many at the same time, also while Commit runs.
//
// The journal is a write-ahead log with synchronous=FULL: each Commit ends with an
// fsync of the log, so that what was acknowledged survives a power cut and not only
// kill -9 (which synchronous=NORMAL would give). One fsync pays for a whole batch.
type SQLite struct {
	write *sql.DB // one connection
	conn  *sql.Conn
	read  *sql.DB
	side  *sql.DB // one connection, for what is written beside Commit
	seal  seal
	logs  logStatements

	maxAudit, maxEvents int            // MaxAudit and MaxEvents, in tests less
	untrimmed           map[string]int // lines of an account since its log was trimmed; of Commit
	stmts               statements
	closed              bool
}

// Limits of waiting and of memory.
const (
	busyTimeout = 2000 // milliseconds that a lock of another process is waited for
	readers     = 4    // lists read at the same time
	cacheKiB    = 16 << 10
)

// OpenSQLite opens the database file, makes it when it is not there, and brings an
// older one up to date. The directory must be there. Errors: ErrBusy, ErrFull,
// ErrReadOnly, ErrVersion, or what SQLite says.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	s := &SQLite{maxAudit: MaxAudit, maxEvents: MaxEvents, untrimmed: map[string]int{}}
	if err := s.open(ctx, path); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return s, nil
}

func (s *SQLite) open(ctx context.Context, path string) (err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	private(path)
	if s.write, err = sql.Open("sqlite", dsn(path, "")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.conn, err = s.write.Conn(ctx); err != nil {
		return explain("opening it", err)
	}
	if err := migrate(ctx, s.conn); err != nil {
		return err
	}
	if err := s.openSealed(ctx, path); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.conn); err != nil {
		return explain("preparing", err)
	}
	if err := s.logs.prepare(ctx, s.conn); err != nil {
		return explain("preparing", err)
	}
	if s.side, err = sql.Open("sqlite", dsn(path, "")); err != nil {
		return err
	}
	s.side.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn(path, "&_pragma=query_only(1)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return nil
}

// private makes the file, if it is not there, for nobody else to read: SQLite's own
// files beside it take its mode. Where that fails SQLite fails too, and says why.
func private(path string) {
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600); err == nil {
		f.Close()
	}
}

// dsn names the file as a URI, in which a path may hold any character.
func dsn(path, more string) string {
	u := url.URL{Path: path}
	return fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-%d)%s",
		u.EscapedPath(), busyTimeout, cacheKiB, more)
}

// Close closes the database and leaves all of it in one file. What was committed is
// there, closed or not.
func (s *SQLite) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.side != nil {
		errs = append(errs, s.side.Close())
	}
	if s.conn != nil {
		// Left to the close it would not happen: the statements hold the connection.
		_, _ = s.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
		errs = append(errs, s.conn.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(errs...)
}

// Primary result codes of SQLite that callers act on.
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
)

// explain says what was done and puts one of the package's errors beside SQLite's.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *sqlite.Error
	if errors.As(err, &e) {
		for code, ours := range map[int]error{
			codeBusy: ErrBusy, codeLocked: ErrBusy, codeReadOnly: ErrReadOnly,
			codeCantOpen: ErrReadOnly, codeFull: ErrFull, codeConstraint: ErrConflict,
		} {
			if e.Code()&0xff == code {
				return fmt.Errorf("%s: %w (%w)", what, ours, err)
			}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
