package simulator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leapslot/ota"
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

// town is a world driven at random, with what it has to remember to judge it.
type town struct {
	*world
	rt       *rapid.T
	informed map[string]bool // device and version that were reported
	pushedAt map[string][]int64
	ended    map[string]Task
	jobs     []string
	packages []string
}

const townDevices = 6

func newTown(rt *rapid.T, t *testing.T) *town {
	w := newWorld(t, townDevices)
	w.cloud.Commit()
	return &town{world: w, rt: rt, informed: map[string]bool{}, pushedAt: map[string][]int64{}, ended: map[string]Task{}}
}

func (w *town) device() string {
	return "d" + itoa(rapid.IntRange(1, townDevices).Draw(w.rt, "device"))
}

// act does something at random, without committing it.
func (w *town) act() {
	switch rapid.IntRange(0, 11).Draw(w.rt, "act") {
	case 0:
		cmd := w.full(fmt.Sprint("p", rapid.IntRange(0, 99).Draw(w.rt, "name")))
		cmd.Version = rapid.SampledFrom([]string{"2.0", "3.0"}).Draw(w.rt, "version")
		cmd.NeedToVerify = rapid.Bool().Draw(w.rt, "verify")
		w.apply(cmd)
	case 1, 2:
		if len(w.packages) > 0 {
			w.apply(w.anyBatch())
		}
	case 3:
		if len(w.packages) > 0 {
			w.apply(CreateVerifyJob{Package: w.anyPackage(), Devices: []string{w.device()}, TimeoutMinutes: rapid.IntRange(0, 3).Draw(w.rt, "timeout")})
		}
	case 4:
		if len(w.jobs) > 0 {
			w.apply(CancelTasksByJob{
				Job:    rapid.SampledFrom(w.jobs).Draw(w.rt, "job"),
				Queued: rapid.Bool().Draw(w.rt, "queued"), Notified: rapid.Bool().Draw(w.rt, "notified"), InProgress: true,
			})
		}
	case 5, 6:
		w.cloud.Happen(Online{w.dev(w.device())}, w.now)
	case 7:
		w.cloud.Happen(Offline{w.dev(w.device())}, w.now)
	case 8:
		name, v := w.device(), rapid.SampledFrom([]string{"1.0", "2.0", "3.0", "0.1"}).Draw(w.rt, "version")
		w.informed[name+" "+v] = true
		w.cloud.Happen(Informed{w.dev(name), "", v}, w.now)
	case 9, 10:
		step := ota.Step(rapid.IntRange(-5, 100).Draw(w.rt, "step"))
		w.cloud.Happen(Progressed{w.dev(w.device()), "", step, ""}, w.now)
	case 11:
		w.cloud.Happen(Asked{Device: w.dev(w.device()), Reply: Reply{ota.TopicGetReply, "1"}}, w.now)
	}
}

func (w *town) anyPackage() string { return rapid.SampledFrom(w.packages).Draw(w.rt, "package") }

func (w *town) anyBatch() Command {
	cmd := CreateStaticJob{
		Package: w.anyPackage(), Target: TargetAll,
		TimeoutMinutes:   rapid.IntRange(0, 3).Draw(w.rt, "timeout"),
		MaximumPerMinute: 10,
		Overwrite:        OverwriteMode(rapid.IntRange(1, 2).Draw(w.rt, "overwrite")),
	}
	if rapid.Bool().Draw(w.rt, "retry") {
		cmd.RetryCount = rapid.SampledFrom(RetryCounts()).Draw(w.rt, "count")
		cmd.RetryMinutes = rapid.SampledFrom([]int{0, 10}).Draw(w.rt, "interval")
	}
	if rapid.IntRange(0, 4).Draw(w.rt, "scheduled") == 0 {
		cmd.Start = At(w.now.Add(10 * time.Minute))
		cmd.Finish = cmd.Start.Add(time.Hour)
	}
	return cmd
}

// apply remembers what was made; a refused command must have changed nothing.
func (w *town) apply(cmd Command) {
	before := w.cloud.Changes().Rows()
	v, err := w.cloud.Apply(cmd, w.now)
	if err != nil {
		if after := w.cloud.Changes().Rows(); after != before {
			w.rt.Fatalf("%T was refused (%v) and changed %d rows", cmd, err, after-before)
		}
		return
	}
	switch v := v.(type) {
	case Package:
		w.packages = append(w.packages, v.ID)
	case Job:
		w.jobs = append(w.jobs, v.ID)
	}
}

// save commits, and judges what was stored and sent.
func (w *town) save() {
	for _, t := range w.cloud.Changes().Tasks {
		w.judge(t)
	}
	w.cloud.Commit()
	for _, p := range w.cloud.TakePushes() {
		if p.Empty {
			continue
		}
		if t := p.Task; t.NotifiedAt == At(w.now) && t.Phase == PhaseNotified { // for the first time in this attempt
			key := fmt.Sprint(t.ID, t.Attempt)
			if len(w.pushedAt[key]) == 0 {
				w.pushedAt[key] = []int64{1}
				w.pushedAt[t.Job] = append(w.pushedAt[t.Job], w.now.UnixNano())
			}
		}
	}
}

func (w *town) judge(t Task) {
	if old, ok := w.ended[t.ID]; ok {
		w.rt.Fatalf("%s had ended as %s (%s) and is %s now", t.ID, old.Status, old.Reason, t.Status) // P51
	}
	if !t.Status.Active() {
		w.ended[t.ID] = t
	}
	if t.Status == Succeeded && !w.informed[t.Device.Name+" "+t.Version] {
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
		if other := busy[t.Device.Name]; other != "" {
			w.rt.Fatalf("%s has the active tasks %s and %s", t.Device.Name, other, t.ID) // P24
		}
		busy[t.Device.Name] = t.ID
		n := counts[t.Job]
		*n.of(t.Status)++
		counts[t.Job] = n
	}
	for _, t := range w.ended {
		n := counts[t.Job]
		*n.of(t.Status)++
		counts[t.Job] = n
	}
	for _, j := range s.Jobs {
		if j.Counts != counts[j.ID] {
			w.rt.Fatalf("job %s counts %+v, its tasks are %+v", j.ID, j.Counts, counts[j.ID])
		}
		if j.Status.Over() != (j.Counts.Active() == 0) {
			w.rt.Fatalf("job %s is %s with %+v", j.ID, j.Status, j.Counts)
		}
		if n := mostIn(w.pushedAt[j.ID]); n > j.Policy.MaximumPerMinute {
			w.rt.Fatalf("job %s pushed to %d devices in 60 s, allowed are %d", j.ID, n, j.Policy.MaximumPerMinute) // P34
		}
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
			w.cloud.Tick(w.now)
			for range rapid.IntRange(1, 4).Draw(rt, "acts") {
				w.act()
			}
			if rapid.IntRange(0, 4).Draw(rt, "fails") == 0 {
				w.cloud.Undo()
				if diff := cmp.Diff(before, w.cloud.state()); diff != "" {
					rt.Fatalf("Undo left (-before +after):\n%s", diff)
				}
				w.packages, w.jobs, w.informed = w.packages[:packages], w.jobs[:jobs], said
				w.sameAfterLoad()
			} else {
				w.save()
			}
			w.check()
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90_000).Draw(rt, "ms")) * time.Millisecond)
			w.cloud.Tick(w.now)
			w.save()
			w.check()
			if next := w.cloud.Next(); !next.IsZero() && !next.After(w.now) {
				rt.Fatalf("after a tick something is still due at %v, it is %v", next, w.now)
			}
		}
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
