package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/leapslot/ota/simulator"
)

// Bounds of what grows with every change. The oldest lines go first.
const (
	MaxAudit  = 200_000   // lines of the audit log of each account; a few more until they are trimmed
	MaxEvents = 1_000_000 // events that wait for their receiver
)

// AuditFilter selects lines of the audit log; empty fields do not restrict.
type AuditFilter struct {
	Account string
	Key     string
	Action  string
	From    simulator.Stamp // at or after
	Until   simulator.Stamp // before; 0 is no end
}

// Waiting is an event that has not been delivered. Numbers grow by one from event to
// event: a gap tells the receiver that there were more than MaxEvents.
type Waiting struct {
	ID    int64
	Topic string
	At    simulator.Stamp
	Body  json.RawMessage
}

const insertAudit = "INSERT INTO audit (account, key, action, at, body) VALUES (?, ?, ?, ?, ?)"

// logStatements are for what is only ever added to.
type logStatements struct{ audit, trimAudit, event, trimEvents *sql.Stmt }

func (l *logStatements) prepare(ctx context.Context, conn *sql.Conn) (err error) {
	for _, q := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&l.audit, insertAudit},
		{&l.trimAudit, "DELETE FROM audit WHERE account = ?1 AND id <= (SELECT id FROM audit WHERE account = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"},
		{&l.event, "INSERT INTO events (topic, body, at) VALUES (?, ?, ?)"},
		{&l.trimEvents, "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?"},
	} {
		if *q.to, err = conn.PrepareContext(ctx, q.text); err != nil {
			return err
		}
	}
	return nil
}

// putLogs stores the lines and events of a batch, and drops the oldest.
func (s *SQLite) putLogs(ctx context.Context, ch *simulator.Changes) error {
	for i := range ch.Audit {
		e := &ch.Audit[i]
		if _, err := s.logs.audit.ExecContext(ctx, e.Account, e.Key, e.Action, e.At, body(e)); err != nil {
			return err
		}
	}
	for i := range ch.Events {
		e := &ch.Events[i]
		if _, err := s.logs.event.ExecContext(ctx, e.Topic, body(e.Payload), e.At); err != nil {
			return err
		}
	}
	if err := s.trimAudit(ctx, ch.Audit); err != nil {
		return err
	}
	if len(ch.Events) > 0 {
		if _, err := s.logs.trimEvents.ExecContext(ctx, s.maxEvents); err != nil {
			return err
		}
	}
	return nil
}

// trimAudit drops the oldest lines of the accounts that have got a good many new ones: no
// account's lines can push out another's.
func (s *SQLite) trimAudit(ctx context.Context, added []simulator.AuditEntry) error {
	for i := range added {
		account := added[i].Account
		if s.untrimmed[account]++; s.untrimmed[account] < max(s.maxAudit/100, 1) {
			continue
		}
		if _, err := s.logs.trimAudit.ExecContext(ctx, account, s.maxAudit); err != nil {
			return err
		}
		s.untrimmed[account] = 0
	}
	return nil
}

// Audit lists lines of the audit log, the newest first.
func (s *SQLite) Audit(ctx context.Context, f AuditFilter, p Page) ([]simulator.AuditEntry, int, error) {
	var w where
	w.is("account", f.Account)
	w.is("key", f.Key)
	w.is("action", f.Action)
	if f.From != 0 {
		w.parts, w.args = append(w.parts, "at >= ?"), append(w.args, f.From)
	}
	if f.Until != 0 {
		w.parts, w.args = append(w.parts, "at < ?"), append(w.args, f.Until)
	}
	n, err := s.count(ctx, "audit", &w)
	if err != nil {
		return nil, 0, explain("counting the audit log", err)
	}
	list, err := bodies[simulator.AuditEntry](ctx, s.read, "SELECT body, id FROM audit"+w.String()+" ORDER BY id DESC LIMIT ? OFFSET ?", w.page(p)...)
	return list, n, explain("listing the audit log", err)
}

// Events gives the oldest events that wait, at most most of them, in order. Safe for
// concurrent use.
func (s *SQLite) Events(ctx context.Context, most int) ([]Waiting, error) {
	list, err := rows(ctx, s.read, func(r *sql.Rows, w *Waiting) error {
		return r.Scan(&w.ID, &w.Topic, &w.At, (*[]byte)(&w.Body))
	}, "SELECT id, topic, at, body FROM events ORDER BY id LIMIT ?", most)
	return list, explain("reading events", err)
}

// Delivered forgets the events up to and with id: their receiver has them. It may run
// beside Commit.
func (s *SQLite) Delivered(ctx context.Context, id int64) error {
	return explain("forgetting events", run(ctx, s.side, "DELETE FROM events WHERE id <= ?", id))
}

// Queued says how many events wait.
func (s *SQLite) Queued(ctx context.Context) (int64, error) {
	var first, last sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT min(id), max(id) FROM events").Scan(&first, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, explain("counting events", err)
	}
	if !first.Valid {
		return 0, nil
	}
	return last.Int64 - first.Int64 + 1, nil
}
