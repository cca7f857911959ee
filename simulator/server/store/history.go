package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"

	"github.com/leapslot/ota"
)

// Limits of a History.
const (
	MaxEntryPayload  = 4 << 10 // bytes of a payload that are kept
	MaxDeviceEntries = 5000    // of one device; a few more until they are trimmed
	trimEvery        = 10_000  // entries between two looks at what is too many
	trimAtOnce       = 5_000   // entries dropped in one transaction for their age
	insertAtOnce     = 40      // entries in one statement
	historyCacheKiB  = 4 << 10
	entryColumns     = 8
)

// HistoryLimits bound a History.
type HistoryLimits struct {
	Entries   int   // kept in all; the oldest go first
	MaxAge    int64 // milliseconds; 0 is no bound
	PerDevice int   // 0 is MaxDeviceEntries
}

// History is a record of what passed between devices and the cloud, in a file of its
// own, so that writing it never waits for what has to be stored, nor that for it. It is
// for people to look at: after a power cut the last of it may be missing, and when the
// file turns out to be damaged it begins anew. Append wants one caller; the rest may be
// called by many at the same time.
type History struct {
	write  *sql.DB // one connection
	conn   *sql.Conn
	read   *sql.DB
	limits HistoryLimits
	many   *sql.Stmt // insertAtOnce entries
	one    *sql.Stmt

	fresh map[int64]int // entries of a device since the last trim
	added int
}

const historySchema = `
CREATE TABLE IF NOT EXISTS entries (
	id INTEGER PRIMARY KEY, device INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, topic INTEGER NOT NULL,
	qos INTEGER NOT NULL, size INTEGER NOT NULL, task TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_device ON entries (device);
CREATE TABLE IF NOT EXISTS life (boot TEXT NOT NULL);`

// bootFile names the life of the machine: what a killed process has written is there as
// long as the machine has not been started again.
const bootFile = "/proc/sys/kernel/random/boot_id"

func boot() string {
	b, err := os.ReadFile(bootFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// OpenHistory opens the file, or makes it. One that is damaged is made anew, and lost
// says so.
func OpenHistory(ctx context.Context, path string, l HistoryLimits) (h *History, lost bool, err error) {
	if l.PerDevice == 0 {
		l.PerDevice = MaxDeviceEntries
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, false, err
	}
	for _, lost = range []bool{false, true} {
		h = &History{limits: l, fresh: map[int64]int{}}
		if err = h.open(ctx, path); err == nil {
			return h, lost, nil
		}
		_ = h.Close()
		if !damaged(err) {
			break
		}
		for _, behind := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + behind); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, false, err
			}
		}
	}
	return nil, false, fmt.Errorf("history %s: %w", path, err)
}

// damaged reports whether SQLite finds that a file is none of its own, or not whole.
func damaged(err error) bool {
	const corrupt, notADatabase, shortRead = 11, 26, 522
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code()&0xff == corrupt || e.Code()&0xff == notADatabase || e.Code() == shortRead) {
		return true
	}
	return errors.Is(err, errDamaged)
}

var errDamaged = errors.New("the file is damaged")

func (h *History) open(ctx context.Context, path string) (err error) {
	_, behind := os.Stat(path + "-wal") // left by a process that could not close it
	private(path)
	if h.write, err = sql.Open("sqlite", historyDSN(path, "")); err != nil {
		return err
	}
	h.write.SetMaxOpenConns(1)
	if h.conn, err = h.write.Conn(ctx); err != nil {
		return err
	}
	if _, err := h.conn.ExecContext(ctx, historySchema); err != nil {
		return err
	}
	if behind == nil {
		if err := h.check(ctx); err != nil {
			return err
		}
	}
	if _, err := h.conn.ExecContext(ctx, "DELETE FROM life; INSERT INTO life VALUES (?)", boot()); err != nil {
		return err
	}
	const insert, row = "INSERT INTO entries (device, at, kind, topic, qos, size, task, payload) VALUES ", "(?, ?, ?, ?, ?, ?, ?, ?)"
	if h.many, err = h.conn.PrepareContext(ctx, insert+row+strings.Repeat(", "+row, insertAtOnce-1)); err != nil {
		return err
	}
	if h.one, err = h.conn.PrepareContext(ctx, insert+row); err != nil {
		return err
	}
	if h.read, err = sql.Open("sqlite", historyDSN(path, "&_pragma=query_only(1)")); err != nil {
		return err
	}
	h.read.SetMaxOpenConns(2)
	return nil
}

// check looks for damage in a file that was not closed, if the machine may have lost
// power meanwhile.
func (h *History) check(ctx context.Context) error {
	var last, said string
	err := h.conn.QueryRowContext(ctx, "SELECT boot FROM life").Scan(&last)
	if err == nil && last != "" && last == boot() {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := h.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, said)
	}
	return nil
}

// historyDSN: nothing is synced. A process that is killed loses nothing by it.
func historyDSN(path, more string) string {
	return fmt.Sprintf("%s&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=cache_size(-%d)%s",
		strings.Replace(plain(path), "mode=rw&", "", 1), historyCacheKiB, more)
}

// Close closes the file.
func (h *History) Close() error {
	var errs []error
	if h.read != nil {
		errs = append(errs, h.read.Close())
	}
	if h.conn != nil {
		errs = append(errs, h.conn.Close())
	}
	if h.write != nil {
		errs = append(errs, h.write.Close())
	}
	return errors.Join(errs...)
}

// deviceKey stands for a device: eight bytes of the SHA-256 of its name.
func deviceKey(d ota.Device) int64 {
	if d == (ota.Device{}) {
		return 0
	}
	sum := sha256.Sum256([]byte(d.ProductKey + "/" + d.Name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// Append stores entries in their order, all of them or none, and drops what is too old
// or too many.
func (h *History) Append(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	err := transact(ctx, h.conn, func() error { return h.put(ctx, entries) })
	if err == nil && h.added >= trimEvery {
		err = transact(ctx, h.conn, func() error { return h.trim(ctx, entries[len(entries)-1].At) })
	}
	return explain("recording the history", err)
}

func (h *History) put(ctx context.Context, entries []Entry) error {
	args := make([]any, 0, insertAtOnce*entryColumns)
	keys := map[ota.Device]int64{}
	for i := range entries {
		e := &entries[i]
		key, ok := keys[e.Device]
		if !ok {
			key = deviceKey(e.Device)
			keys[e.Device] = key
		}
		h.fresh[key]++
		payload := e.Payload
		if payload == nil {
			payload = []byte{}
		}
		args = append(args, key, int64(e.At), int(e.Kind), int(e.Topic), int(e.QoS), e.Size, e.Task, payload[:min(len(payload), MaxEntryPayload)])
		if len(args) == cap(args) {
			if _, err := h.many.ExecContext(ctx, args...); err != nil {
				return err
			}
			args = args[:0]
		}
	}
	for i := 0; i < len(args); i += entryColumns {
		if _, err := h.one.ExecContext(ctx, args[i:i+entryColumns]...); err != nil {
			return err
		}
	}
	h.added += len(entries)
	return nil
}
