package simulator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// state is everything that is stored of a cloud, as Load would read it.
func (c *Cloud) state() *State {
	s := &State{Sequence: c.sequence}
	for _, p := range c.sortedProducts() {
		s.Products = append(s.Products, p.Product)
		for _, m := range p.modules {
			s.Modules = append(s.Modules, m.Module)
		}
		for _, d := range p.list {
			v := d.Device
			v.Online, v.LastOnline = false, 0
			s.Devices = append(s.Devices, v)
		}
	}
	for i := int64(1); i <= c.sequence; i++ {
		if p := c.packages[formatID('p', i)]; p != nil {
			s.Packages = append(s.Packages, p.Package)
		}
		if j := c.jobs[formatID('j', i)]; j != nil {
			s.Jobs = append(s.Jobs, j.Job)
			for _, t := range j.sortedTasks() {
				s.Tasks = append(s.Tasks, t.Task)
			}
		}
	}
	return s
}

func (c *Cloud) sortedProducts() []*product {
	var out []*product
	for _, p := range c.products {
		out = append(out, p)
	}
	for i := range out { // few, and by key
		for k := i + 1; k < len(out); k++ {
			if out[k].Key < out[i].Key {
				out[i], out[k] = out[k], out[i]
			}
		}
	}
	return out
}

// save commits, and judges what was stored and sent.
func (w *town) save() {
	for _, t := range w.cloud.Changes().Tasks {
		w.judge(t)
	}
	clear(w.revived)
	w.cloud.Commit()
	w.log = append(append(w.log, w.batch...), input{end: "commit"})
	w.batch = nil
	for _, p := range w.cloud.TakePushes() {
		if p.Empty {
			continue
		}
		if t := p.Task; t.NotifiedAt == At(w.now) && t.Phase == PhaseNotified { // for the first time in this attempt
			key := fmt.Sprint(t.ID, t.Attempt, t.NotifiedAt)
			if len(w.pushedAt[key]) == 0 {
				w.pushedAt[key] = []int64{1}
				w.pushedAt[t.Job] = append(w.pushedAt[t.Job], w.now.UnixNano())
			}
		}
	}
}

// undo takes the batch back. Who is online is not taken back.
func (w *town) undo() {
	w.cloud.Undo()
	clear(w.revived)
	for _, in := range w.batch {
		switch in.ev.(type) {
		case Online, Offline:
			w.log = append(w.log, in)
		}
	}
	w.log = append(w.log, input{end: "undo"})
	w.batch = nil
}

// replay: the same inputs at the same times come to the same state, without those that
// were undone.
func (w *town) replay() {
	again := newWorld(w.t, townDevices)
	again.do(CreateModule{Product: again.product, Name: "mcu"})
	for _, in := range w.log {
		switch {
		case in.cmd != nil:
			_, _ = again.cloud.Apply(in.cmd, in.at)
		case in.ev != nil:
			again.cloud.Happen(in.ev, in.at)
		case in.end == "tick":
			again.cloud.Tick(in.at)
		case in.end == "undo":
			again.cloud.Undo()
		default:
			again.cloud.Commit()
		}
	}
	if diff := cmp.Diff(w.cloud.state(), again.cloud.state()); diff != "" {
		w.rt.Fatalf("replayed (-cloud +replay):\n%s", diff)
	}
}

func (w *town) judge(t Task) {
	if old, ok := w.ended[t.ID]; ok && !w.revived[t.ID] {
		w.rt.Fatalf("%s had ended as %s (%s) and is %s now", t.ID, old.Status, old.Reason, t.Status) // P51
	}
	if delete(w.ended, t.ID); !t.Status.Active() {
		w.ended[t.ID] = t
	}
	if t.Status == Succeeded && !w.informed[t.Device.Name+" "+t.Module+" "+t.Version] {
		w.rt.Fatalf("%s succeeded and %s never reported %s", t.ID, t.Device.Name, t.Version) // P45
	}
	if (t.Phase == PhaseOver) == t.Status.Active() {
		w.rt.Fatalf("%s is %s in phase %s", t.ID, t.Status, t.Phase)
	}
}

// check looks at the whole state.
func (w *town) check() {
	s := w.cloud.state()
	busy := map[string]string{}
	counts := map[string]Counts{}
	for _, t := range s.Tasks {
		key := t.Device.Name // P24
		if w.modular {
			key += " " + t.Module
		}
		if other := busy[key]; other != "" {
			w.rt.Fatalf("%s has the active tasks %s and %s", key, other, t.ID)
		}
		busy[key] = t.ID
		n := counts[t.Job]
		*n.of(t.Status)++
		counts[t.Job] = n
	}
	for _, t := range w.ended {
		n := counts[t.Job]
		*n.of(t.Status)++
		counts[t.Job] = n
	}
	watching := 0
	for _, j := range s.Jobs {
		if j.Counts != counts[j.ID] {
			w.rt.Fatalf("job %s counts %+v, its tasks are %+v", j.ID, j.Counts, counts[j.ID])
		}
		if j.Status.Over() != (j.Counts.Active() == 0 && !j.Watching) {
			w.rt.Fatalf("job %s is %s with %+v", j.ID, j.Status, j.Counts)
		}
		if n := mostIn(w.pushedAt[j.ID]); n > j.rate() {
			w.rt.Fatalf("job %s pushed to %d devices in 60 s, allowed are %d", j.ID, n, j.rate()) // P34
		}
		if j.Watching {
			watching++
		}
	}
	w.checkDevices(s, watching)
}

// checkDevices looks at what follows from the devices: statistics, timers, strategies.
func (w *town) checkDevices(s *State, watching int) {
	versions := map[moduleVersion]int{}
	for _, d := range s.Devices {
		for _, v := range d.Versions {
			versions[moduleVersion{v.Module, v.Version}]++ // P6
		}
		if have := w.cloud.findDevice(d.Device); have.timer != d.judgeAt() {
			w.rt.Fatalf("%s wakes up at %d, its report settles at %d", d.Name, have.timer, d.judgeAt())
		}
	}
	pr := w.cloud.products[w.product]
	if diff := cmp.Diff(versions, pr.versions, cmp.AllowUnexported(moduleVersion{})); diff != "" {
		w.rt.Fatalf("versions (-devices +counted):\n%s", diff)
	}
	if len(pr.watching) != watching {
		w.rt.Fatalf("%d strategies are on, %d are watched", watching, len(pr.watching))
	}
}

// TestPropertyTown drives a cloud at random: batches of events are stored or, at random,
// fail to be and are undone.
func TestPropertyTown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newTown(rt, t)
		for range rapid.IntRange(1, 60).Draw(rt, "batches") {
			before := w.cloud.state()
			packages, jobs, said := len(w.packages), len(w.jobs), cloneSet(w.informed)
			w.tick()
			for range rapid.IntRange(1, 4).Draw(rt, "acts") {
				w.act()
			}
			if rapid.IntRange(0, 4).Draw(rt, "fails") == 0 {
				w.undo()
				if diff := cmp.Diff(before, w.cloud.state()); diff != "" {
					rt.Fatalf("Undo left (-before +after):\n%s", diff)
				}
				w.packages, w.jobs, w.informed = w.packages[:packages], w.jobs[:jobs], said
				w.sameAfterLoad()
			} else {
				w.save()
			}
			w.check()
			w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{0, 100, 500, 1000, 5000, 30_000, 90_000}).Draw(rt, "ms")) * time.Millisecond)
			w.tick()
			w.save()
			w.check()
			if next := w.cloud.Next(); !next.IsZero() && !next.After(w.now) {
				rt.Fatalf("after a tick something is still due at %v, it is %v", next, w.now)
			}
		}
		w.sameAfterLoad()
		w.replay()
	})
}

func cloneSet(m map[string]bool) map[string]bool {
	out := make(map[string]bool, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// sameAfterLoad: a cloud that is loaded from the state, with the same devices online,
// wants to wake up at the same time: nothing was left behind in the indexes.
func (w *town) sameAfterLoad() {
	twin, err := Load(Options{Random: rand.NewChaCha8([32]byte{9})}, w.cloud.state())
	if err != nil {
		w.rt.Fatal(err)
	}
	for _, p := range w.cloud.products {
		for _, d := range p.list {
			twin.products[p.Key].devices[d.Name].Online = d.Online
		}
	}
	twin.derive()
	if a, b := w.cloud.Next(), twin.Next(); !a.Equal(b) {
		w.rt.Fatalf("the cloud wakes up at %v, its twin at %v", a, b)
	}
	if diff := cmp.Diff(w.cloud.state(), twin.state()); diff != "" {
		w.rt.Fatalf("loaded again (-cloud +twin):\n%s", diff)
	}
}
