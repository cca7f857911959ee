package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/leapslot/ota/simulator"
)

// Load reads the working state: everything but the tasks that have ended.
func (s *SQLite) Load(ctx context.Context) (*simulator.State, error) {
	st := &simulator.State{}
	err := s.conn.QueryRowContext(ctx, "SELECT value FROM sequence WHERE id = 1").Scan(&st.Sequence)
	if err != nil {
		return nil, explain("loading the sequence", err)
	}
	if st.Products, err = s.products(ctx, s.conn, "SELECT body, rev FROM products ORDER BY created, key"); err != nil {
		return nil, explain("loading the products", err)
	}
	if st.Modules, err = bodies[simulator.Module](ctx, s.conn, "SELECT body, rev FROM modules ORDER BY created, product, name"); err != nil {
		return nil, explain("loading the modules", err)
	}
	if st.Groups, err = bodies[simulator.Group](ctx, s.conn, "SELECT body, rev FROM device_groups ORDER BY id"); err != nil {
		return nil, explain("loading the groups", err)
	}
	if st.Packages, err = bodies[simulator.Package](ctx, s.conn, "SELECT body, rev FROM packages ORDER BY id"); err != nil {
		return nil, explain("loading the packages", err)
	}
	if st.Jobs, err = bodies[simulator.Job](ctx, s.conn, "SELECT body, rev FROM jobs ORDER BY id"); err != nil {
		return nil, explain("loading the jobs", err)
	}
	if st.Devices, err = rows(ctx, s.conn, s.scanDevice, "SELECT "+deviceColumns+" FROM devices ORDER BY id"); err != nil {
		return nil, explain("loading the devices", err)
	}
	if st.Tasks, err = rows(ctx, s.conn, scanTask, "SELECT "+taskColumns+" FROM tasks WHERE phase <> 0 ORDER BY id"); err != nil {
		return nil, explain("loading the tasks", err)
	}
	return st, nil
}

// queryer is a connection or a pool.
type queryer interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, q queryer, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	r, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []T
	for r.Next() {
		var v T
		if err := scan(r, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Err()
}

// bodies reads values that are stored as JSON with their revision beside it.
func bodies[T any](ctx context.Context, q queryer, query string, args ...any) ([]T, error) {
	return rows(ctx, q, func(r *sql.Rows, v *T) error {
		var b []byte
		var rev int64
		if err := r.Scan(&b, &rev); err != nil {
			return err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("a stored %T: %w", *v, err)
		}
		return nil
	}, query, args...)
}

// products reads products and opens what is sealed of them.
func (s *SQLite) products(ctx context.Context, q queryer, query string, args ...any) ([]simulator.Product, error) {
	list, err := bodies[simulator.Product](ctx, q, query, args...)
	for i := 0; err == nil && i < len(list); i++ {
		err = s.seal.unseal(&list[i])
	}
	return list, err
}

// scanDevice reads a device and opens its secret.
func (s *SQLite) scanDevice(r *sql.Rows, d *simulator.Device) error {
	err := scanDevice(r, d)
	if err == nil {
		d.Secret, err = s.seal.open(sealName(d), d.Secret)
	}
	return err
}

const deviceColumns = "product, name, secret, nickname, disabled, versions, registered, activated, last_online, rev, more"

func scanDevice(r *sql.Rows, d *simulator.Device) error {
	var versions, more sql.RawBytes
	err := r.Scan(&d.ProductKey, &d.Name, &d.Secret, &d.Nickname, &d.Disabled, &versions,
		&d.Registered, &d.Activated, &d.LastOnline, &d.Revision, &more)
	if err != nil {
		return err
	}
	if len(versions) > len("[]") {
		if err := json.Unmarshal(versions, &d.Versions); err != nil {
			return fmt.Errorf("the versions of device %s: %w", d.Name, err)
		}
	}
	if len(more) > 0 {
		if err := json.Unmarshal(more, &d.More); err != nil {
			return fmt.Errorf("what else is stored of device %s: %w", d.Name, err)
		}
	}
	return nil
}

const taskColumns = `id, job, package, product, device, module, source, version, status, phase, attempt, step, reason,
	created, modified, notified_at, begun_at, retry_at, rev, first_begun`

func scanTask(r *sql.Rows, t *simulator.Task) error {
	return r.Scan(&t.ID, &t.Job, &t.Package, &t.Device.ProductKey, &t.Device.Name, &t.Module, &t.Source, &t.Version,
		&t.Status, &t.Phase, &t.Attempt, &t.Step, &t.Reason,
		&t.Created, &t.Modified, &t.NotifiedAt, &t.BegunAt, &t.RetryAt, &t.Revision, &t.FirstBegun)
}
