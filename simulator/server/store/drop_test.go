package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// TestDeletedIsGone: what was deleted is not there after a start, and a device that was
// deleted and registered again in one batch is the new one.
func TestDeletedIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	memory := NewMemory()
	w.also = []Store{memory}
	p, j := w.fill(4)
	group := w.do(simulator.CreateGroup{Account: "me", Name: "group_1"}).(simulator.Group)
	other := w.do(simulator.CreateGroup{Account: "me", Name: "group_2"}).(simulator.Group)
	w.do(simulator.AddToGroup{Group: group.ID, Devices: []ota.Device{{ProductKey: p.Key, Name: "d1"}, {ProductKey: p.Key, Name: "d2"}}})

	apply := func(cmd simulator.Command) any {
		t.Helper()
		v, err := w.cloud.Apply(cmd, w.now)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	old := apply(simulator.DeleteDevice{Product: p.Key, Name: "d1"}).(simulator.Device)
	made := apply(simulator.RegisterDevices{Product: p.Key, Names: []string{"d1", "d9"}}).([]simulator.Device)
	apply(simulator.DeleteDevice{Product: p.Key, Name: "d9"}) // never stored
	apply(simulator.CancelTasksByJob{Job: j.ID, Queued: true, Notified: true, InProgress: true})
	apply(simulator.DeletePackage{Package: j.Package})
	apply(simulator.DeleteModule{Product: p.Key, Name: "MCU"})
	apply(simulator.DeleteGroup{Group: other.ID})
	w.now = w.now.Add(time.Second)
	w.save()
	sameState(t, w.store, memory)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}

	again := newTown(t, path)
	again.also = w.also
	st, err := again.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range st.Devices {
		names = append(names, st.Devices[i].Name)
	}
	if diff := cmp.Diff([]string{"d0", "d2", "d3", "d1"}, names); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	if d := st.Devices[3]; d.Secret != made[0].Secret || d.Secret == old.Secret || d.More != nil {
		t.Errorf("d1 is the old one: %+v", d)
	}
	if len(st.Packages)+len(st.Jobs)+len(st.Tasks)+len(st.Modules) != 0 || len(st.Groups) != 1 {
		t.Errorf("left are %d packages, %d jobs, %d tasks, %d modules, %d groups", len(st.Packages), len(st.Jobs), len(st.Tasks), len(st.Modules), len(st.Groups))
	}
	if _, n, err := again.store.Tasks(t.Context(), TaskFilter{Job: j.ID}, Page{}); n != 0 || err != nil {
		t.Errorf("%d tasks of a deleted job, %v", n, err)
	}
	found := again.do(simulator.FindGroup{Group: group.ID}).(simulator.GroupDevices)
	if len(found.Devices) != 1 || found.Devices[0].Name != "d2" {
		t.Errorf("the group has %v", found.Devices)
	}
	for _, name := range names {
		again.do(simulator.DeleteDevice{Product: p.Key, Name: name})
	}
	again.do(simulator.DeleteProduct{Product: p.Key})
	sameState(t, again.store, memory)
	if st, err = again.store.Load(t.Context()); err != nil || len(st.Products)+len(st.Devices) != 0 {
		t.Errorf("%d products, %d devices left, %v", len(st.Products), len(st.Devices), err)
	}
}

// TestTasksByID reads tasks that are named.
func TestTasksByID(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	_, j := w.fill(4)
	all, _, err := w.store.Tasks(t.Context(), TaskFilter{Job: j.ID}, Page{Size: 10})
	if err != nil || len(all) != 4 {
		t.Fatal(len(all), err)
	}
	some, n, err := w.store.Tasks(t.Context(), TaskFilter{IDs: []string{all[3].ID, all[1].ID, "none"}}, Page{})
	if err != nil || n != 2 || len(some) != 2 || some[0].ID != all[1].ID || some[1].ID != all[3].ID {
		t.Errorf("%d: %+v, %v", n, some, err)
	}
}
