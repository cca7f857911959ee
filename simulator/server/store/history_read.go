package store

import (
	"context"
	"database/sql"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// EntryFilter selects entries of a device. Kind 0 is every kind. Until 0 is no end. With
// a Task, what is known to be another task's is left out.
type EntryFilter struct {
	Device      ota.Device
	Kind        EntryKind
	From, Until simulator.Stamp // both included
	Task        string
}

func (f *EntryFilter) where() *where {
	var w where
	add := func(part string, arg any) { w.parts, w.args = append(w.parts, part), append(w.args, arg) }
	add("device = ?", deviceKey(f.Device))
	if f.Kind != 0 {
		add("kind = ?", int(f.Kind))
	}
	if f.From != 0 {
		add("at >= ?", int64(f.From))
	}
	if f.Until != 0 {
		add("at <= ?", int64(f.Until))
	}
	if f.Task != "" {
		add("task IN ('', ?)", f.Task)
	}
	return &w
}

// Entries lists entries of a device, the newest first, and how many there are.
func (h *History) Entries(ctx context.Context, f EntryFilter, p Page) ([]Entry, int, error) {
	w := f.where()
	var n int
	if err := h.read.QueryRowContext(ctx, "SELECT count(*) FROM entries"+w.String(), w.args...).Scan(&n); err != nil {
		return nil, 0, explain("counting the history", err)
	}
	list, err := rows(ctx, h.read, func(r *sql.Rows, e *Entry) error {
		e.Device = f.Device
		return r.Scan(&e.ID, &e.At, &e.Kind, &e.Topic, &e.QoS, &e.Size, &e.Task, &e.Payload)
	}, "SELECT id, at, kind, topic, qos, size, task, payload FROM entries"+w.String()+" ORDER BY id DESC LIMIT ? OFFSET ?", w.page(p)...)
	return list, n, explain("reading the history", err)
}

// Latest is the ID of a device's newest entry, 0 when there is none.
func (h *History) Latest(ctx context.Context, d ota.Device) (id int64, err error) {
	err = h.read.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM entries WHERE device = ?", deviceKey(d)).Scan(&id)
	return id, explain("reading the history", err)
}

// Lost is how many messages of any device were not recorded since a moment.
func (h *History) Lost(ctx context.Context, since simulator.Stamp) (n int64, err error) {
	err = h.read.QueryRowContext(ctx, "SELECT coalesce(sum(size), 0) FROM entries WHERE device = 0 AND kind = ? AND at >= ?", int(EntryLost), int64(since)).Scan(&n)
	return n, explain("reading the history", err)
}

// trim drops the oldest entries of all, those of devices that have too many, and some of
// those that are too old: there will be a next time.
func (h *History) trim(ctx context.Context, now simulator.Stamp) error {
	h.added = 0
	drop := func(query string, args ...any) error {
		_, err := h.conn.ExecContext(ctx, query, args...)
		return err
	}
	if err := drop("DELETE FROM entries WHERE id <= (SELECT max(id) FROM entries) - ?", h.limits.Entries); err != nil {
		return err
	}
	if h.limits.MaxAge > 0 {
		const old = "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT ?) AND at < ?"
		if err := drop(old, max(trimAtOnce, 2*trimEvery), int64(now)-h.limits.MaxAge); err != nil {
			return err
		}
	}
	for key, n := range h.fresh {
		if n*10 < h.limits.PerDevice {
			continue // a small part of all: it pushes nobody out
		}
		const many = "DELETE FROM entries WHERE device = ?1 AND id <= (SELECT id FROM entries WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
		if err := drop(many, key, h.limits.PerDevice); err != nil {
			return err
		}
	}
	clear(h.fresh)
	return nil
}

// Trim drops what is too old or too many now: for who records next to nothing.
func (h *History) Trim(ctx context.Context, now simulator.Stamp) error {
	return explain("trimming the history", transact(ctx, h.conn, func() error { return h.trim(ctx, now) }))
}
