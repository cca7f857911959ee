package store

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// What the newer rules keep of devices and tasks is there after a restart: reports that
// have not settled, matches of dynamic batches, the first attempt's first progress, a
// task that waits for a user.
func TestReopenNewerRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	p := w.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
	w.do(simulator.SetRules{Product: p.Key, Rules: simulator.RulesNow()})
	w.do(simulator.RegisterDevices{Product: p.Key, Names: []string{"a", "b", "c"}})
	dev := func(name string) ota.Device { return ota.Device{ProductKey: p.Key, Name: name} }
	for _, name := range []string{"a", "b"} {
		w.happen(simulator.Online{Device: dev(name)})
		w.happen(simulator.Informed{Device: dev(name), Version: "1.0"})
	}
	pack := w.do(simulator.CreatePackage{
		Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
		Files: []simulator.File{{Name: "fw.bin", Key: "k", Size: 1, MD5: "93230c3bde4200000000000000000000"}},
	}).(simulator.Package)
	w.do(simulator.CreateDynamicJob{
		Package: pack.ID, Sources: []string{"1.0"}, MaximumPerMinute: simulator.Unlimited,
		Rate: simulator.VariableRate{Base: 1000, Factor: "1.5", Notified: 10},
	})
	w.now = w.now.Add(time.Second)
	for _, e := range []simulator.Event{
		simulator.Asked{Device: dev("a")}, simulator.Asked{Device: dev("b")},
		simulator.Progressed{Device: dev("a"), Step: 10}, simulator.Progressed{Device: dev("b"), Step: -1},
		simulator.Informed{Device: dev("a"), Version: "0.7"},
	} {
		w.happen(e)
	}
	w.do(simulator.CreateStaticJob{Package: pack.ID, Target: simulator.TargetSpecific, Devices: []string{"c"}, NeedConfirm: true, NoPush: true})
	before, err := w.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := before.Devices[0], before.Devices[1]; a.Versions[0].JudgeAt == 0 || b.More == nil || len(b.More.Matches) != 1 {
		t.Errorf("device a %+v, b %+v", a, b)
	}
	if a := before.Tasks[0]; a.FirstBegun == 0 || before.Tasks[len(before.Tasks)-1].Status != simulator.Unconfirmed {
		t.Errorf("tasks %+v", before.Tasks)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := newTown(t, path).store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the state after reopening differs (-before +after):\n%s", diff)
	}
}
