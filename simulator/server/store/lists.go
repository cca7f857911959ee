package store

import (
	"context"
	"strings"

	"github.com/leapslot/ota/simulator"
)

// where collects conditions; empty values make none.
type where struct {
	parts []string
	args  []any
}

func (w *where) is(column, value string) {
	if value != "" {
		w.parts, w.args = append(w.parts, column+" = ?"), append(w.args, value)
	}
}

func (w *where) in(column string, values []string) {
	if len(values) == 0 {
		return
	}
	w.parts = append(w.parts, column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")")
	for _, v := range values {
		w.args = append(w.args, v)
	}
}

func (w *where) String() string {
	if len(w.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.parts, " AND ")
}

func (p Page) limits() (limit, offset int) {
	if p.Size <= 0 {
		p.Size = 10
	}
	return p.Size, (max(p.Number, 1) - 1) * p.Size
}

// count counts what the conditions select.
func (s *SQLite) count(ctx context.Context, table string, w *where) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM "+table+w.String(), w.args...).Scan(&n)
	return n, err
}

// page is the end of a query for one page.
func (w *where) page(p Page) []any {
	limit, offset := p.limits()
	return append(append([]any{}, w.args...), limit, offset)
}

// Tasks lists tasks, the newest first.
func (s *SQLite) Tasks(ctx context.Context, f TaskFilter, p Page) ([]simulator.Task, int, error) {
	var w where
	w.in("id", f.IDs)
	w.is("job", f.Job)
	w.is("product", f.Product)
	w.in("device", f.Devices)
	w.is("module", f.Module)
	w.is("status", string(f.Status))
	w.is("reason", f.Reason)
	if f.Step != nil {
		w.parts, w.args = append(w.parts, "step = ?"), append(w.args, *f.Step)
	}
	if f.Active {
		w.parts = append(w.parts, "phase <> 0")
	}
	n, err := s.count(ctx, "tasks", &w)
	if err != nil {
		return nil, 0, explain("counting tasks", err)
	}
	// The inner query reads an index alone: pages far behind do not touch the rows
	// before them.
	list, err := rows(ctx, s.read, scanTask, "SELECT "+taskColumns+" FROM tasks WHERE id IN (SELECT id FROM tasks"+w.String()+
		" ORDER BY id DESC LIMIT ? OFFSET ?) ORDER BY id DESC", w.page(p)...)
	return list, n, explain("listing tasks", err)
}

// Jobs lists jobs, the newest first.
func (s *SQLite) Jobs(ctx context.Context, f JobFilter, p Page) ([]simulator.Job, int, error) {
	var w where
	w.is("account", f.Account)
	w.is("package", f.Package)
	w.is("status", string(f.Status))
	if f.Device == "" {
		w.is("product", f.Product)
	} else {
		w.parts = append(w.parts, "id IN (SELECT job FROM tasks WHERE product = ? AND device = ?)")
		w.args = append(w.args, f.Product, f.Device)
	}
	n, err := s.count(ctx, "jobs", &w)
	if err != nil {
		return nil, 0, explain("counting jobs", err)
	}
	list, err := bodies[simulator.Job](ctx, s.read, "SELECT body, rev FROM jobs"+w.String()+" ORDER BY id DESC LIMIT ? OFFSET ?", w.page(p)...)
	return list, n, explain("listing jobs", err)
}

// Packages lists packages, the newest first.
func (s *SQLite) Packages(ctx context.Context, f PackageFilter, p Page) ([]simulator.Package, int, error) {
	var w where
	w.is("account", f.Account)
	w.is("product", f.Product)
	w.is("module", f.Module)
	w.is("version", f.Version)
	n, err := s.count(ctx, "packages", &w)
	if err != nil {
		return nil, 0, explain("counting packages", err)
	}
	list, err := bodies[simulator.Package](ctx, s.read, "SELECT body, rev FROM packages"+w.String()+" ORDER BY id DESC LIMIT ? OFFSET ?", w.page(p)...)
	return list, n, explain("listing packages", err)
}

// Devices lists devices in the order of their registration.
func (s *SQLite) Devices(ctx context.Context, f DeviceFilter, p Page) ([]simulator.Device, int, error) {
	var w where
	w.is("product", f.Product)
	w.is("iot_id", f.IotID)
	if f.Prefix != "" {
		w.parts, w.args = append(w.parts, "name >= ? AND name < ?"), append(w.args, f.Prefix, f.Prefix+"\U0010ffff")
	}
	n, err := s.count(ctx, "devices", &w)
	if err != nil {
		return nil, 0, explain("counting devices", err)
	}
	list, err := rows(ctx, s.read, s.scanDevice, "SELECT "+deviceColumns+" FROM devices"+w.String()+" ORDER BY id LIMIT ? OFFSET ?", w.page(p)...)
	return list, n, explain("listing devices", err)
}

// Products lists the products of an account, the newest first.
func (s *SQLite) Products(ctx context.Context, account string, p Page) ([]simulator.Product, int, error) {
	var w where
	w.is("account", account)
	n, err := s.count(ctx, "products", &w)
	if err != nil {
		return nil, 0, explain("counting products", err)
	}
	list, err := s.products(ctx, s.read, "SELECT body, rev FROM products"+w.String()+" ORDER BY created DESC, key LIMIT ? OFFSET ?", w.page(p)...)
	return list, n, explain("listing products", err)
}

var (
	_ Store  = (*SQLite)(nil)
	_ Lists  = (*SQLite)(nil)
	_ Outbox = (*SQLite)(nil)
	_ Keys   = (*SQLite)(nil)
)
