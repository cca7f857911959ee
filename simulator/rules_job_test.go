package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func (w *world) unverified(name string) Package {
	cmd := w.full(name)
	cmd.NeedToVerify = true
	return w.do(cmd).(Package)
}

func TestP17VerifiedBeforeBatch(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2", "d3")
	p := w.unverified("p")
	batch := CreateStaticJob{Package: p.ID, Target: TargetAll}
	w.refused(batch, Refused, "Package", "verified")
	w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1", "d2"}})
	w.refused(batch, Refused, "Package", "verified") // still running
	w.progress("d1", -1)
	w.inform("d2", "2.0")
	w.refused(batch, Refused, "Package", "verified") // one of them failed
	w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}})
	w.inform("d1", "2.0")
	if got := w.do(FindPackage{p.ID}).(Package); got.Status != Verified || got.Progress != 100 {
		t.Errorf("package is %d at %d %%, want verified", got.Status, got.Progress)
	}
	w.do(batch)
}

func TestP17CancelledVerificationProvesNothing(t *testing.T) {
	w := newWorld(t, 1)
	p := w.unverified("p")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}).(Job)
	w.do(CancelTasksByJob{Job: j.ID, Queued: true})
	if s := w.do(FindPackage{p.ID}).(Package).Status; s != Unverified {
		t.Errorf("status %d after a cancelled verification, want %d", s, Unverified)
	}
}

func TestP17P18P19VerificationDevices(t *testing.T) {
	w := newWorld(t, 12)
	cmd := w.full("diff")
	cmd.Diff, cmd.Source, cmd.NeedToVerify = true, "1.5", true
	p := w.do(cmd).(Package)
	w.refused(CreateVerifyJob{Package: p.ID}, Missing, "Devices", "which")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}, Invalid, "Devices", "1.5")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"nobody"}}, NotFound, "Devices", "nobody")
	w.inform("d1", "1.5")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1", "d1"}}, Invalid, "Devices", "twice")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}).(Job)
	if len(j.Sources) != 1 || j.Sources[0] != "1.5" {
		t.Errorf("sources %v, want the package's", j.Sources)
	}
	full := w.unverified("full")
	w.inform("d2", "2.0")
	w.refused(CreateVerifyJob{Package: full.ID, Devices: []string{"d2"}}, Invalid, "Devices", "already")
	var all []string
	for i := range 11 {
		all = append(all, "d"+itoa(i+1))
	}
	w.refused(CreateVerifyJob{Package: full.ID, Devices: all}, Invalid, "Devices", "at most 10")
}

// TestP28DevicesAreFound: those that may be chosen are found by a part of their names and
// by group, and counted.
func TestP28DevicesAreFound(t *testing.T) {
	w := newWorld(t, 25)
	w.inform("d12", "2.0")
	p := w.unverified("p")
	g := w.do(CreateGroup{Account: "me", Name: "north"}).(Group)
	w.do(AddToGroup{Group: g.ID, Devices: []ota.Device{{ProductKey: w.product, Name: "d1"}, {ProductKey: w.product, Name: "d20"}}})
	for _, tc := range []struct {
		cmd   FindCandidates
		want  string
		total int
	}{
		{FindCandidates{Name: "D1", Count: true}, "d1 d10 d11 d13 d14 d15 d16 d17 d18 d19", 10},
		{FindCandidates{Name: "d1", Skip: 8, Limit: 1, Count: true}, "d18", 10},
		{FindCandidates{Name: "d1", Skip: 8, Limit: 1}, "d18", 0},
		{FindCandidates{Group: g.ID, Count: true}, "d1 d20", 2},
		{FindCandidates{Group: g.ID, Name: "2", Count: true}, "d20", 1},
		{FindCandidates{Name: "nobody", Count: true}, "", 0},
	} {
		tc.cmd.Package = p.ID
		found := w.do(tc.cmd).(Candidates)
		var got []string
		for _, d := range found.Devices {
			got = append(got, d.Name)
		}
		if text := strings.Join(got, " "); text != tc.want || found.Total != tc.total {
			t.Errorf("%+v: %q and %d, want %q and %d", tc.cmd, text, found.Total, tc.want, tc.total)
		}
	}
	w.refused(FindCandidates{Package: p.ID, Group: "g9"}, NotFound, "Group", "g9")
}

func TestP18P28SourceVersionsFilterWhoIsOffered(t *testing.T) {
	w := newWorld(t, 5)
	w.inform("d2", "1.1")
	w.inform("d3", "2.0")
	p := w.unverified("p")
	for _, tc := range []struct {
		sources []string
		want    string
	}{{nil, "d1 d2 d4 d5"}, {[]string{"1.1"}, "d2"}, {[]string{"1.0", "1.1"}, "d1 d2 d4 d5"}, {[]string{"0.1"}, ""}} {
		var got []string
		for from := 0; ; {
			part := w.do(FindCandidates{Package: p.ID, Sources: tc.sources, From: from, Limit: 2}).(Candidates)
			for _, d := range part.Devices {
				got = append(got, d.Name)
			}
			if from = part.Next; from == 0 {
				break
			}
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("for %v are offered %q, want %q", tc.sources, text, tc.want)
		}
	}
	w.refused(FindCandidates{Package: p.ID, Sources: []string{"2.0"}}, Invalid, "Sources", "target")
	w.refused(FindCandidates{Package: p.ID, Limit: MaxCandidates + 1}, Invalid, "Limit", "200")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}, Sources: []string{"1.1"}}, Invalid, "Devices", "none of the source versions")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d2"}, Sources: []string{"1.1"}}).(Job)
	if len(j.Sources) != 1 || j.Sources[0] != "1.1" {
		t.Errorf("sources %v", j.Sources)
	}
}

func TestP21P53SeveralBatchesOfAPackage(t *testing.T) {
	w := newWorld(t, 3)
	w.inform("d2", "1.1")
	p := w.pkg("p")
	a := w.batch(p, func(c *CreateStaticJob) { c.Sources = []string{"1.1"} })
	b := w.batch(p, func(c *CreateStaticJob) { c.Sources = []string{"1.0"} })
	w.wantCounts(a, Counts{Queued: 1})
	w.wantCounts(b, Counts{Queued: 2})
}

func TestP24P38P46OneBatchAtATime(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	p := w.pkg("p")
	a := w.batch(p, nil) // d1, d2 notified; d3 queued
	w.progress("d2", 10)
	b := w.batch(p, nil)
	w.wantCounts(a, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.wantCounts(b, Counts{Failed: 3})
	if s := w.job(b.ID).Status; s != JobCompleted {
		t.Errorf("a batch whose tasks all failed at once is %s", s)
	}
}

func TestP38P39Overwrite(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	p := w.pkg("p")
	a := w.batch(p, nil)
	w.progress("d2", 10)
	b := w.batch(p, func(c *CreateStaticJob) { c.Overwrite = OverwriteTask })
	w.wantCounts(a, Counts{InProgress: 1, Canceled: 2}) // upgrading is never overwritten
	w.wantCounts(b, Counts{Queued: 1, Notified: 1, Failed: 1})
	if got := w.task("d2").Job; got != a.ID {
		t.Errorf("the upgrading device's task is of %s, want the older batch", got)
	}
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Overwrite: 3}, Invalid, "Overwrite", "neither")
}

func TestP25SourceVersions(t *testing.T) {
	w := newWorld(t, 2)
	p := w.pkg("p")
	job := CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: []string{"d1"}, Sources: []string{"1.0"}}
	w.refused(job, Invalid, "Sources", "targeted")
	job = CreateStaticJob{Package: p.ID, Target: TargetAll, Sources: []string{"2.0"}}
	w.refused(job, Invalid, "Sources", "target version")
	job.Sources = []string{"1.0", "1.0"}
	w.refused(job, Invalid, "Sources", "twice")
	job.Sources = []string{"0.9"}
	w.refused(job, Refused, "Devices", "no device matches")
	cmd := w.full("diff")
	cmd.Diff, cmd.Source = true, "1.0"
	d := w.do(cmd).(Package)
	w.refused(CreateStaticJob{Package: d.ID, Target: TargetAll, Sources: []string{"0.9"}}, Invalid, "Sources", "1.0")
	w.inform("d2", "1.1")
	j := w.batch(d, nil)
	w.wantCounts(j, Counts{Queued: 1}) // d1 only, by the package's source version
}

func TestP26P27StaticAllTakesWhatMatchesNow(t *testing.T) {
	w := newWorld(t, 3)
	w.inform("d3", "2.0")
	j := w.batch(w.pkg("p"), nil)
	w.wantCounts(j, Counts{Queued: 2}) // d3 is at the target already
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.online("late")
	w.inform("late", "1.0")
	w.wantCounts(j, Counts{Queued: 2})
}

func TestP28Targeted(t *testing.T) {
	w := newWorld(t, 3)
	p := w.pkg("p")
	j := w.batch(p, func(c *CreateStaticJob) { c.Target, c.Devices = TargetSpecific, []string{"d3", "d1"} })
	w.wantCounts(j, Counts{Queued: 2})
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetSpecific}, Missing, "Devices", "which")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Devices: []string{"d1"}}, Invalid, "Devices", "all")
	w.refused(CreateStaticJob{Package: p.ID}, Missing, "Target", "which")
	w.refused(CreateStaticJob{Package: p.ID, Target: "HALF"}, Invalid, "Target", "HALF")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: make([]string, MaxTargets+1)}, Invalid, "Devices", "10000")
}

func TestP31P32P33Schedule(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	p := w.pkg("p")
	at := func(d time.Duration) Stamp { return At(w.now.Add(d)) }
	for _, tc := range []struct {
		start, finish time.Duration
		field         string
	}{
		{5*time.Minute - time.Millisecond, 0, "Start"},
		{7*24*time.Hour + time.Millisecond, 0, "Start"},
		{time.Hour, 2*time.Hour - time.Millisecond, "Finish"},
		{time.Hour, 30*24*time.Hour + time.Hour + time.Millisecond, "Finish"},
	} {
		cmd := CreateStaticJob{Package: p.ID, Target: TargetAll, Start: at(tc.start)}
		if tc.finish != 0 {
			cmd.Finish = at(tc.finish)
		}
		w.refused(cmd, Invalid, tc.field, "allowed")
	}
	j := w.batch(p, func(c *CreateStaticJob) { c.Start, c.Finish = at(5*time.Minute), at(65*time.Minute) })
	if j.Status != JobPlanned || w.causes(j)[0] != WaitingSchedule {
		t.Errorf("%s, %v; want a planned job", j.Status, w.causes(j))
	}
	w.wait(5*time.Minute - 2*time.Second)
	if len(w.pushes) != 0 {
		t.Error("pushed before the start")
	}
	w.wait(2 * time.Second)
	w.wantCounts(j, Counts{Notified: 2})
	w.inform("d1", "2.0")
	w.wait(time.Hour)
	w.wantCounts(j, Counts{Succeeded: 1, Canceled: 1}) // ended by force
}

func (w *world) causes(j Job) []Cause {
	var tasks []Task
	for _, t := range w.cloud.jobs[j.ID].sortedTasks() {
		tasks = append(tasks, t.Task)
	}
	return w.do(FindCauses{tasks}).([]Cause)
}

func TestP34PushRate(t *testing.T) {
	w := newWorld(t, 30)
	p := w.pkg("p")
	for _, n := range []int{-1, 1, 9, 1001} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, MaximumPerMinute: n}, Invalid, "MaximumPerMinute", "10 to 1000")
	}
	for i := range 30 {
		w.online("d" + itoa(i+1))
	}
	j := w.batch(p, func(c *CreateStaticJob) { c.MaximumPerMinute = 10 })
	if c := w.causes(j)[29]; c != RateLimited {
		t.Errorf("the last device waits for %q, want its rate", c)
	}
	w.wait(59 * time.Second)
	w.wantCounts(j, Counts{Queued: 20, Notified: 10})
	w.wait(121 * time.Second)
	w.wantCounts(j, Counts{Queued: 0, Notified: 30})
}

func TestP34RaisedLimit(t *testing.T) {
	w := newWorld(t, 1)
	w.cloud.opt.MaxPushRate = Unlimited
	w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.MaximumPerMinute = 1_000_000 })
}

func TestP35P36RetryValues(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	for _, n := range []int{-1, 5, 15, 1441} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryCount: 1, RetryMinutes: n}, Invalid, "RetryMinutes", "0 10 30 60 1440")
	}
	for _, n := range []int{-1, 3, 6} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryCount: n}, Invalid, "RetryCount", "1 2 5")
	}
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryMinutes: 10}, Invalid, "RetryCount", "1 2 5")
}

func TestP41Tags(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	p := w.pkg("p")
	for _, tag := range []Tag{{"", "v"}, {"k", ""}, {"a b", "v"}, {strings.Repeat("k", 31), "v"}, {"k", strings.Repeat("v", 1025)}, {"url", "v"}, {"_package_udi", "v"}} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Tags: []Tag{tag}}, Invalid, "Tags", "")
	}
	w.batch(p, func(c *CreateStaticJob) { c.Tags = []Tag{{"key1", "value1"}} })
	if got := w.pushes[0].Tags; len(got) != 1 || got[0] != (Tag{"key1", "value1"}) {
		t.Errorf("the notice has tags %v", got)
	}
}

func TestP42Causes(t *testing.T) {
	w := newWorld(t, 1)
	j := w.batch(w.pkg("p"), nil)
	if c := w.causes(j); c[0] != DeviceOffline {
		t.Errorf("cause %q, want offline", c)
	}
	w.online("d1")
	if c := w.causes(j); c[0] != NotPending {
		t.Errorf("cause %q of a pushed task", c)
	}
}

func TestAskedKeepsTheRate(t *testing.T) {
	w := newWorld(t, 20)
	for i := range 20 {
		w.online("d" + itoa(i+1))
	}
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.MaximumPerMinute = 10 })
	for i := range 20 {
		w.happen(Asked{Device: w.dev("d" + itoa(i+1)), Reply: Reply{ota.TopicGetReply, "7"}})
	}
	w.wantCounts(j, Counts{Queued: 19, Notified: 1})
}

func TestP34ClockSetBack(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	j := w.do(CreateStaticJob{Package: w.pkg("p").ID, Target: TargetAll, MaximumPerMinute: 10}).(Job)
	w.now = w.now.Add(-time.Hour)
	w.cloud.Tick(w.now) // the engine ticks once a minute at least
	w.wait(10 * time.Second)
	w.wantCounts(j, Counts{Notified: 2})
}
