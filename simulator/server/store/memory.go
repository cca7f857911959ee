package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/leapslot/ota/simulator"
)

// Memory is a Store that is gone with the process: for benchmarks, which show with it
// what the rest of a cloud costs, and for tests. It holds batches to the same revisions as
// SQLite does. It keeps no logs and no events, has no lists, and what it was given must
// not be changed any more. Safe for concurrent use.
type Memory struct {
	mu       sync.Mutex
	sequence int64
	products shelf[simulator.Product]
	modules  shelf[simulator.Module]
	devices  shelf[simulator.Device]
	groups   shelf[simulator.Group]
	packages shelf[simulator.Package]
	jobs     shelf[simulator.Job]
	tasks    shelf[simulator.Task]
}

// kindTask is for the keys of tasks, which are never deleted by themselves.
const kindTask simulator.Kind = "task"

// shelf has the values of a kind, by what would be said if they were gone.
type shelf[V any] struct {
	of    func(*V) (key simulator.Gone, revision int64)
	rows  map[simulator.Gone]row[V]
	place int // of the next new one
}

type row[V any] struct {
	value V
	place int
}

func newShelf[V any](of func(*V) (simulator.Gone, int64)) shelf[V] {
	return shelf[V]{of: of, rows: map[simulator.Gone]row[V]{}}
}

// NewMemory gives an empty one.
func NewMemory() *Memory {
	key := func(k simulator.Kind, key, name string) simulator.Gone {
		return simulator.Gone{Kind: k, Key: key, Name: name}
	}
	return &Memory{
		products: newShelf(func(v *simulator.Product) (simulator.Gone, int64) {
			return key(simulator.KindProduct, v.Key, ""), v.Revision
		}),
		modules: newShelf(func(v *simulator.Module) (simulator.Gone, int64) {
			return key(simulator.KindModule, v.Product, v.Name), v.Revision
		}),
		devices: newShelf(func(v *simulator.Device) (simulator.Gone, int64) {
			return key(simulator.KindDevice, v.ProductKey, v.Name), v.Revision
		}),
		groups: newShelf(func(v *simulator.Group) (simulator.Gone, int64) {
			return key(simulator.KindGroup, v.ID, ""), v.Revision
		}),
		packages: newShelf(func(v *simulator.Package) (simulator.Gone, int64) {
			return key(simulator.KindPackage, v.ID, ""), v.Revision
		}),
		jobs:  newShelf(func(v *simulator.Job) (simulator.Gone, int64) { return key(simulator.KindJob, v.ID, ""), v.Revision }),
		tasks: newShelf(func(v *simulator.Task) (simulator.Gone, int64) { return key(kindTask, v.ID, ""), v.Revision }),
	}
}

// Commit implements Store.
func (m *Memory) Commit(_ context.Context, ch *simulator.Changes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := map[simulator.Gone]bool{}
	for _, g := range ch.Gone {
		gone[g] = true
	}
	if len(gone) > 0 { // a job's tasks go with it
		for key, t := range m.tasks.rows {
			if gone[simulator.Gone{Kind: simulator.KindJob, Key: t.value.Job}] {
				gone[key] = true
			}
		}
	}
	if err := cmp.Or(m.products.check(ch.Products, gone), m.modules.check(ch.Modules, gone), m.devices.check(ch.Devices, gone), m.groups.check(ch.Groups, gone),
		m.packages.check(ch.Packages, gone), m.jobs.check(ch.Jobs, gone), m.tasks.check(ch.Tasks, gone)); err != nil {
		return fmt.Errorf("storing %d rows: %w", ch.Rows(), err)
	}
	if ch.Sequence != 0 {
		m.sequence = ch.Sequence
	}
	m.products.put(ch.Products, gone)
	m.modules.put(ch.Modules, gone)
	m.devices.put(ch.Devices, gone)
	m.groups.put(ch.Groups, gone)
	m.packages.put(ch.Packages, gone)
	m.jobs.put(ch.Jobs, gone)
	m.tasks.put(ch.Tasks, gone)
	return nil
}

// check says which value is not what a row that is there may become.
func (s *shelf[V]) check(values []V, gone map[simulator.Gone]bool) error {
	for i := range values {
		key, revision := s.of(&values[i])
		at := int64(0)
		if old, ok := s.rows[key]; ok && !gone[key] {
			_, at = s.of(&old.value)
		}
		if at != revision-1 {
			return fmt.Errorf("%s %s %s is not at revision %d: %w", key.Kind, key.Key, key.Name, revision-1, ErrConflict)
		}
	}
	return nil
}

// put deletes what is gone, and then takes the values in.
func (s *shelf[V]) put(values []V, gone map[simulator.Gone]bool) {
	for key := range gone {
		delete(s.rows, key)
	}
	for i := range values {
		key, _ := s.of(&values[i])
		old, ok := s.rows[key]
		if !ok {
			s.place++
			old.place = s.place
		}
		s.rows[key] = row[V]{values[i], old.place}
	}
}

// list gives the values in the order of one thing and then of another.
func list[V any, A, B cmp.Ordered](s *shelf[V], order func(row[V]) (A, B)) []V {
	var rows []row[V]
	for _, r := range s.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row[V]) int {
		a1, a2 := order(a)
		b1, b2 := order(b)
		return cmp.Or(cmp.Compare(a1, b1), cmp.Compare(a2, b2))
	})
	var out []V
	for _, r := range rows {
		out = append(out, r.value)
	}
	return out
}

// Load implements Store.
func (m *Memory) Load(context.Context) (*simulator.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := &simulator.State{
		Sequence: m.sequence,
		Products: list(&m.products, func(r row[simulator.Product]) (simulator.Stamp, string) { return r.value.Created, r.value.Key }),
		Modules: list(&m.modules, func(r row[simulator.Module]) (simulator.Stamp, string) {
			return r.value.Created, r.value.Product + "\x00" + r.value.Name
		}),
		Devices:  list(&m.devices, func(r row[simulator.Device]) (int, int) { return r.place, 0 }),
		Groups:   list(&m.groups, func(r row[simulator.Group]) (string, int) { return r.value.ID, 0 }),
		Packages: list(&m.packages, func(r row[simulator.Package]) (string, int) { return r.value.ID, 0 }),
		Jobs:     list(&m.jobs, func(r row[simulator.Job]) (string, int) { return r.value.ID, 0 }),
		Tasks:    list(&m.tasks, func(r row[simulator.Task]) (string, int) { return r.value.ID, 0 }),
	}
	for i := range st.Devices {
		st.Devices[i].Online = false
	}
	st.Tasks = slices.DeleteFunc(st.Tasks, func(t simulator.Task) bool { return t.Phase == 0 })
	return st, nil
}

// Close implements Store.
func (m *Memory) Close() error { return nil }
