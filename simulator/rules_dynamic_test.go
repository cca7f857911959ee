package simulator

import (
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// dynamic makes a dynamic batch for version 1.0.
func (w *world) dynamic(p Package, edit func(*CreateDynamicJob)) Job {
	w.t.Helper()
	cmd := CreateDynamicJob{Package: p.ID, Sources: []string{"1.0"}}
	if edit != nil {
		edit(&cmd)
	}
	return w.do(cmd).(Job)
}

// settled lets a report settle, and the rate give its place.
func (w *world) settled() { w.wait(settling + time.Second) }

func (w *world) to(name, version string) Package {
	w.t.Helper()
	cmd := w.full(name)
	cmd.Version = version
	return w.do(cmd).(Package)
}

func TestP22OneDynamicBatchForASource(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	a := w.dynamic(p, nil)
	w.dynamic(p, func(c *CreateDynamicJob) { c.Sources = []string{"0.9"} }) // another source version
	w.refused(CreateDynamicJob{Package: p.ID, Sources: []string{"1.1", "1.0"}}, Refused, "Sources", "1.0: cancel")
	w.do(CancelStrategyByJob{Job: a.ID}) // its task goes on, another batch may be made
	w.dynamic(p, nil)
}

func TestP22OptionOneDynamicBatchOfAPackage(t *testing.T) {
	w := newWorld(t, 1)
	w.do(SetRules{w.product, Rules{OneDynamic: true}})
	p := w.pkg("p")
	a := w.dynamic(p, nil)
	other := CreateDynamicJob{Package: p.ID, Sources: []string{"0.9"}}
	w.refused(other, Refused, "Package", a.ID)
	w.do(CancelStrategyByJob{Job: a.ID})
	w.do(other)
}

func TestP23DynamicBatchesOfSeveralPackagesTheNewestWins(t *testing.T) {
	w := newWorld(t, 0)
	older := w.dynamic(w.to("p", "2.0"), nil)
	newer := w.dynamic(w.to("q", "3.0"), nil)
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.online("late")
	w.inform("late", "1.0")
	w.settled()
	if got := w.task("late"); got.Job != newer.ID || got.Version != "3.0" {
		t.Errorf("the device got %s of job %s, want the newest one's", got.Version, got.Job)
	}
	w.do(CancelStrategyByJob{Job: newer.ID, Tasks: true})
	w.inform("late", "0.5") // and back: only the older one watches now
	w.inform("late", "1.0")
	w.settled()
	w.wantCounts(older, Counts{Notified: 1})
}

func TestP25DynamicNeedsASource(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	w.refused(CreateDynamicJob{Package: p.ID}, Missing, "Sources", "source versions")
	w.refused(CreateDynamicJob{Package: p.ID, Sources: []string{"2.0"}}, Invalid, "Sources", "target")
	w.refused(CreateDynamicJob{Package: p.ID, Sources: []string{"1.0"}, Mode: 3}, Invalid, "Mode", "neither")
	w.refused(CreateDynamicJob{Package: w.unverified("u").ID, Sources: []string{"1.0"}}, Refused, "Package", "verified")
	cmd := w.full("diff")
	cmd.Diff, cmd.Source = true, "1.0"
	d := w.do(cmd).(Package)
	j := w.do(CreateDynamicJob{Package: d.ID}).(Job) // the package's own
	if len(j.Sources) != 1 || j.Sources[0] != "1.0" || j.Selection != Dynamic {
		t.Errorf("%s batch for %v", j.Selection, j.Sources)
	}
	w.wantCounts(j, Counts{Queued: 1})
}

func TestP26DynamicNewlyActivatedDevices(t *testing.T) {
	w := newWorld(t, 2)
	w.inform("d2", "0.9")
	j := w.dynamic(w.pkg("p"), nil)
	w.wantCounts(j, Counts{Queued: 1}) // d1 matches now
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.settled()
	w.wantCounts(j, Counts{Queued: 1})
	w.online("late")
	w.inform("late", "1.0")
	w.settled()
	w.wantCounts(j, Counts{Queued: 1, Notified: 1})
	if s := w.job(j.ID).Status; s != JobInProgress {
		t.Errorf("job is %s", s)
	}
}

func TestP26DynamicChangedVersions(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	w.inform("d1", "0.9")
	j := w.dynamic(w.pkg("p"), nil)
	w.wantCounts(j, Counts{})
	w.inform("d1", "0.95")
	w.settled()
	w.wantCounts(j, Counts{})
	w.inform("d1", "1.0")
	w.settled()
	w.wantCounts(j, Counts{Notified: 1})
	w.inform("d1", "2.0")
	w.settled()
	w.wantCounts(j, Counts{Succeeded: 1})
	if s := w.job(j.ID).Status; s != JobInProgress {
		t.Errorf("job is %s, its strategy goes on", s)
	}
	w.inform("d1", "1.0") // back: it comes to match again
	w.settled()
	w.wantCounts(j, Counts{Succeeded: 1, Notified: 1})
}

func TestP26DynamicChain(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	a := w.dynamic(w.to("p", "2.0"), nil)
	b := w.dynamic(w.to("q", "3.0"), func(c *CreateDynamicJob) { c.Sources = []string{"2.0"} })
	w.settled()
	w.inform("d1", "2.0")
	w.settled()
	w.wantCounts(a, Counts{Succeeded: 1})
	w.wantCounts(b, Counts{Notified: 1})
}

func TestP26P51DynamicDoesNotTryAgain(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	j := w.dynamic(w.pkg("p"), nil)
	w.settled()
	w.progress("d1", -1)
	w.do(CancelTasksByJob{Job: j.ID, Notified: true})
	for range 3 { // they boot, and report what they reported before
		w.inform("d1", "1.0")
		w.inform("d2", "1.0")
		w.settled()
	}
	w.wantCounts(j, Counts{Failed: 1, Canceled: 1})
}

func TestP26MatchesAtMostTenTimesNow(t *testing.T) {
	for _, now := range []bool{false, true} {
		w := newWorld(t, 1)
		w.do(SetRules{w.product, Rules{NowLimits: now}})
		w.online("d1")
		j := w.dynamic(w.pkg("p"), nil)
		for range 12 {
			w.settled()
			w.inform("d1", "2.0")
			w.settled()
			w.inform("d1", "1.0")
		}
		w.settled()
		want := Counts{Succeeded: 12, Notified: 1}
		if now {
			want = Counts{Succeeded: MaxMatches}
		}
		w.wantCounts(j, want)
	}
}

func TestP26DynamicGroup(t *testing.T) {
	w := newWorld(t, 2)
	g := w.do(CreateGroup{Account: "me", Name: "house"}).(Group)
	w.do(AddToGroup{g.ID, []ota.Device{w.dev("d1")}})
	j := w.dynamic(w.pkg("p"), func(c *CreateDynamicJob) { c.Group = g.ID })
	w.wantCounts(j, Counts{Queued: 1})
	w.inform("d2", "0.9")
	w.inform("d2", "1.0")
	w.settled()
	w.wantCounts(j, Counts{Queued: 1}) // it is not in the group
	w.do(AddToGroup{g.ID, []ota.Device{w.dev("d2")}})
	w.wantCounts(j, Counts{Queued: 2})
	w.do(RemoveFromGroup{g.ID, []ota.Device{w.dev("d2")}})
	w.do(AddToGroup{g.ID, []ota.Device{w.dev("d2")}})
	w.wantCounts(j, Counts{Queued: 2}) // it is at it

	only := w.dynamic(w.to("q", "3.0"), func(c *CreateDynamicJob) {
		c.Group, c.Mode, c.Sources = g.ID, NewlyReported, []string{"0.5"}
	})
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.inform("late", "0.5")
	w.settled()
	w.do(AddToGroup{g.ID, []ota.Device{w.dev("late")}})
	w.settled()
	w.wantCounts(only, Counts{}) // it has reported before it joined
	w.inform("late", "0.5")
	w.settled()
	w.wantCounts(only, Counts{Queued: 1})
}

func TestP40OnlyNewlyReported(t *testing.T) {
	w := newWorld(t, 3)
	j := w.dynamic(w.pkg("p"), func(c *CreateDynamicJob) { c.Mode = NewlyReported })
	w.wantCounts(j, Counts{})
	w.inform("d1", "1.0") // the same version as before, but reported after the batch was made
	w.inform("d2", "0.9") // the newly reported version is what counts
	w.settled()
	w.wantCounts(j, Counts{Queued: 1})
	if got := w.task("d1").Source; got != "1.0" {
		t.Errorf("source %s", got)
	}
}

func TestP38P39DynamicAndOtherTasks(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	a := w.batch(w.to("p", "2.0"), nil)
	w.progress("d2", 10)
	b := w.dynamic(w.to("q", "3.0"), nil)
	w.wantCounts(b, Counts{Failed: 2}) // both have a task and keep it
	c := w.dynamic(w.to("r", "4.0"), func(c *CreateDynamicJob) { c.Overwrite = OverwriteTask })
	w.wantCounts(c, Counts{Notified: 1, Failed: 1})
	w.wantCounts(a, Counts{Canceled: 1, InProgress: 1})
}

func TestP55CancelDynamic(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	p := w.pkg("p")
	j := w.dynamic(p, nil)
	w.settled()
	w.progress("d2", 10)
	w.do(CancelStrategyByJob{Job: j.ID}) // by default the strategy: tasks go on
	w.wantCounts(j, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.inform("late", "1.0")
	w.settled()
	w.wantCounts(j, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.inform("d1", "2.0")
	w.do(CancelStrategyByJob{Job: j.ID, Tasks: true}) // the full form
	w.wantCounts(j, Counts{Canceled: 2, Succeeded: 1})
	if s := w.job(j.ID).Status; s != JobCompleted {
		t.Errorf("job is %s", s)
	}
	none := w.dynamic(p, func(c *CreateDynamicJob) { c.Sources = []string{"9.9"} })
	w.do(CancelStrategyByJob{Job: none.ID})
	if s := w.job(none.ID).Status; s != JobCanceled {
		t.Errorf("a strategy that was cancelled before any device matched is %s", s)
	}
	static := w.batch(p, nil)
	w.refused(CancelStrategyByJob{Job: static.ID}, Refused, "Job", "static")
}
