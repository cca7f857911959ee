package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/leapslot/ota/simulator"
)

// statement is the pair of an INSERT for revision 1 and an UPDATE, conditional on the
// revision before, for later ones.
type statement struct{ insert, update *sql.Stmt }

type statements struct {
	sequence                                          *sql.Stmt
	products, modules, devices, packages, jobs, tasks statement
	groups                                            statement
}

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) (err error) {
	if s.sequence, err = conn.PrepareContext(ctx, "UPDATE sequence SET value = ? WHERE id = 1"); err != nil {
		return err
	}
	for _, q := range []struct {
		to             *statement
		insert, update string
	}{
		{
			&s.products,
			"INSERT INTO products (account, created, body, rev, key) VALUES (?1, ?2, ?3, ?4, ?5)",
			"UPDATE products SET account = ?1, created = ?2, body = ?3, rev = ?4 WHERE key = ?5 AND rev = ?4 - 1",
		}, {
			&s.modules,
			"INSERT INTO modules (created, body, rev, product, name) VALUES (?1, ?2, ?3, ?4, ?5)",
			"UPDATE modules SET created = ?1, body = ?2, rev = ?3 WHERE product = ?4 AND name = ?5 AND rev = ?3 - 1",
		}, {
			&s.devices,
			`INSERT INTO devices (nickname, disabled, versions, registered, activated, last_online, rev, product, name, more, iot_id, secret)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`,
			`UPDATE devices SET nickname = ?1, disabled = ?2, versions = ?3, registered = ?4, activated = ?5, last_online = ?6, rev = ?7, more = ?10
			WHERE product = ?8 AND name = ?9 AND rev = ?7 - 1`,
		}, {
			&s.groups,
			"INSERT INTO device_groups (account, body, rev, id) VALUES (?1, ?2, ?3, ?4)",
			"UPDATE device_groups SET account = ?1, body = ?2, rev = ?3 WHERE id = ?4 AND rev = ?3 - 1",
		}, {
			&s.packages,
			"INSERT INTO packages (account, product, module, version, body, rev, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			"UPDATE packages SET account = ?1, product = ?2, module = ?3, version = ?4, body = ?5, rev = ?6 WHERE id = ?7 AND rev = ?6 - 1",
		}, {
			&s.jobs,
			"INSERT INTO jobs (account, product, package, status, body, rev, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
			"UPDATE jobs SET account = ?1, product = ?2, package = ?3, status = ?4, body = ?5, rev = ?6 WHERE id = ?7 AND rev = ?6 - 1",
		}, {
			&s.tasks,
			`INSERT INTO tasks (source, status, phase, attempt, step, reason, modified, notified_at, begun_at, retry_at, rev, id, first_begun,
				job, package, product, device, module, version, created)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)`,
			`UPDATE tasks SET source = ?1, status = ?2, phase = ?3, attempt = ?4, step = ?5, reason = ?6, modified = ?7,
				notified_at = ?8, begun_at = ?9, retry_at = ?10, rev = ?11, first_begun = ?13 WHERE id = ?12 AND rev = ?11 - 1`,
		},
	} {
		if q.to.insert, err = conn.PrepareContext(ctx, q.insert); err != nil {
			return err
		}
		if q.to.update, err = conn.PrepareContext(ctx, q.update); err != nil {
			return err
		}
	}
	return nil
}

// Commit stores the batch in one transaction. Errors: ErrConflict, ErrBusy, ErrFull,
// ErrReadOnly, or what SQLite says; then nothing of it is stored. After an error of
// the disk that SQLite reports at the very end the batch may be there all the same:
// the next Commit of the same rows says ErrConflict then.
func (s *SQLite) Commit(ctx context.Context, ch *simulator.Changes) error {
	if ch.Rows() == 0 {
		return nil
	}
	return explain(fmt.Sprintf("storing %d rows", ch.Rows()), transact(ctx, s.conn, func() error { return s.put(ctx, ch) }))
}

func (s *SQLite) put(ctx context.Context, ch *simulator.Changes) error {
	if ch.Sequence != 0 {
		if _, err := s.stmts.sequence.ExecContext(ctx, ch.Sequence); err != nil {
			return err
		}
	}
	if err := s.drop(ctx, ch.Gone); err != nil {
		return err
	}
	if err := s.putGroups(ctx, ch.Groups); err != nil {
		return err
	}
	for i := range ch.Products {
		p := &ch.Products[i]
		if err := s.stmts.products.put(ctx, p.Revision, "product "+p.Key, 5, p.Account, p.Created, body(s.seal.sealed(p)), p.Revision, p.Key); err != nil {
			return err
		}
	}
	for i := range ch.Modules {
		m := &ch.Modules[i]
		if err := s.stmts.modules.put(ctx, m.Revision, "module "+m.Name, 5, m.Created, body(m), m.Revision, m.Product, m.Name); err != nil {
			return err
		}
	}
	for i := range ch.Devices {
		d := &ch.Devices[i]
		versions := "[]"
		if len(d.Versions) > 0 {
			versions = body(d.Versions)
		}
		more := ""
		if d.More != nil {
			more = body(d.More)
		}
		args := []any{d.Nickname, d.Disabled, versions, d.Registered, d.Activated, d.LastOnline, d.Revision, d.ProductKey, d.Name, more}
		if d.Revision == 1 {
			args = append(args, d.IotID(), s.seal.close(sealName(d), d.Secret))
		}
		if err := s.stmts.devices.put(ctx, d.Revision, "device "+d.Name, 10, args...); err != nil {
			return err
		}
	}
	if err := s.putLogs(ctx, ch); err != nil {
		return err
	}
	return s.putJobs(ctx, ch)
}

func (s *SQLite) putJobs(ctx context.Context, ch *simulator.Changes) error {
	for i := range ch.Packages {
		p := &ch.Packages[i]
		if err := s.stmts.packages.put(ctx, p.Revision, "package "+p.ID, 7,
			p.Account, p.Product, p.Module, p.Version, body(p), p.Revision, p.ID); err != nil {
			return err
		}
	}
	for i := range ch.Jobs {
		j := &ch.Jobs[i]
		if err := s.stmts.jobs.put(ctx, j.Revision, "job "+j.ID, 7,
			j.Account, j.Product, j.Package, string(j.Status), body(j), j.Revision, j.ID); err != nil {
			return err
		}
	}
	for i := range ch.Tasks {
		t := &ch.Tasks[i]
		if err := s.stmts.tasks.put(ctx, t.Revision, "task "+t.ID, 13,
			t.Source, string(t.Status), int(t.Phase), t.Attempt, t.Step, t.Reason, t.Modified, t.NotifiedAt, t.BegunAt, t.RetryAt, t.Revision, t.ID, t.FirstBegun,
			t.Job, t.Package, t.Device.ProductKey, t.Device.Name, t.Module, t.Version, t.Created); err != nil {
			return err
		}
	}
	return nil
}

// put inserts revision 1, and updates for later ones with the first n arguments. A
// row that is not at the revision before is ErrConflict.
func (st *statement) put(ctx context.Context, revision int64, what string, n int, args ...any) error {
	if revision == 1 {
		_, err := st.insert.ExecContext(ctx, args...)
		return err
	}
	res, err := st.update.ExecContext(ctx, args[:n]...)
	if err != nil {
		return err
	}
	if changed, err := res.RowsAffected(); err != nil || changed != 1 {
		return fmt.Errorf("%s is not at revision %d: %w", what, revision-1, ErrConflict)
	}
	return nil
}

// body is the JSON of a value; all of them can be marshaled.
func body(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("%T has no JSON: %v", v, err))
	}
	return string(b)
}
