package simulator

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func (w *world) devicesOf(j Job) []string {
	var out []string
	for _, t := range w.cloud.jobs[j.ID].sortedTasks() {
		out = append(out, t.Device.Name)
	}
	return out
}

func TestP30GreyPercent(t *testing.T) {
	w := newWorld(t, 0)
	names := make([]string, 1999)
	for i := range names {
		names[i] = "d" + itoa(i+1)
	}
	w.do(RegisterDevices{Product: w.product, Names: names})
	p := w.pkg("p")
	gray := func(percent string) CreateStaticJob {
		return CreateStaticJob{Package: p.ID, Target: TargetGray, Gray: percent}
	}
	for _, s := range []string{"0", "0.000", "100.001", "101", "1.2345", "-1", "+1", "1e1", ".5", "5.", " 5", "1000", "१"} {
		w.refused(gray(s), Invalid, "Gray", "0.001 to 100")
	}
	w.refused(gray(""), Missing, "Gray", "percentage")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Gray: "5"}, Invalid, "Gray", "GRAY")
	var smaller []string
	for _, tc := range []struct {
		percent string
		want    int
	}{{"0.001", 1}, {"0.05", 1}, {"0.1", 1}, {"0.101", 2}, {"33.333", 666}, {"50", 999}, {"99.999", 1998}, {"100", 1999}} {
		var first []string
		for range 2 { // asked again it is the same
			j := w.do(gray(tc.percent)).(Job)
			got := w.devicesOf(j)
			if len(got) != tc.want {
				t.Errorf("%s %% of 1,999 are %d devices, want %d", tc.percent, len(got), tc.want)
			}
			if first != nil && !slices.Equal(first, got) {
				t.Errorf("%s %%: other devices when asked again", tc.percent)
			}
			first = got
			w.do(CancelTasksByJob{Job: j.ID, Queued: true})
		}
		for _, name := range smaller {
			if !slices.Contains(first, name) {
				t.Fatalf("%s is in a smaller percentage and not in %s", name, tc.percent)
			}
		}
		smaller = first
	}
}

func TestP30GreyOfWhatMatches(t *testing.T) {
	w := newWorld(t, 10)
	for i := range 6 {
		w.inform("d"+itoa(i+1), "2.0")
	}
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.Target, c.Gray = TargetGray, "50" })
	w.wantCounts(j, Counts{Queued: 2}) // of the 4 that are not at the target
}

func TestGroupTarget(t *testing.T) {
	w := newWorld(t, 3)
	p := w.pkg("p")
	g := w.do(CreateGroup{Account: "me", Name: "house"}).(Group)
	other := w.do(CreateGroup{Account: "you", Name: "house"}).(Group)
	w.do(AddToGroup{g.ID, []ota.Device{w.dev("d1"), w.dev("d3")}})
	job := CreateStaticJob{Package: p.ID, Target: TargetGroup}
	w.refused(job, Missing, "Group", "which")
	job.Group = other.ID
	w.refused(job, NotFound, "Group", other.ID)
	job.Group = g.ID
	if got := w.devicesOf(w.do(job).(Job)); !slices.Equal(got, []string{"d1", "d3"}) {
		t.Errorf("devices %v", got)
	}
}

func TestP33EndWithoutAnEndNothingIsForced(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	at := func(d time.Duration) Stamp { return At(w.now.Add(d)) }
	p := w.pkg("p")
	j := w.batch(p, func(c *CreateStaticJob) { c.Start = at(10 * time.Minute) })
	w.wait(60 * 24 * time.Hour)
	w.wantCounts(j, Counts{Queued: 1, Notified: 2})
	w.do(CancelTasksByJob{Job: j.ID, Queued: true, Notified: true})
	j = w.batch(p, func(c *CreateStaticJob) { c.Start, c.Finish = at(10*time.Minute), at(70*time.Minute) })
	w.wait(15 * time.Minute)
	w.progress("d1", 50)
	w.wait(54*time.Minute + 58*time.Second)
	w.wantCounts(j, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.wait(2 * time.Second) // the end: pending, pushed and upgrading tasks are cancelled, with a reason
	w.wantCounts(j, Counts{Canceled: 3})
	if s := w.job(j.ID).Status; s != JobCanceled {
		t.Errorf("job is %s", s)
	}
	w.inform("d1", "2.0") // it was too late
	w.wantCounts(j, Counts{Canceled: 3})
}

func pointer[T any](v T) *T { return &v }

func TestP34VariableRate(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	job := func(max int, r VariableRate) CreateStaticJob {
		return CreateStaticJob{Package: p.ID, Target: TargetAll, MaximumPerMinute: max, Rate: r}
	}
	w.refused(job(100, VariableRate{Base: 9, Factor: "2", Notified: 10}), Invalid, "Base", "10 to the batch's maximum of 100")
	w.refused(job(100, VariableRate{Base: 101, Factor: "2", Notified: 10}), Invalid, "Base", "101")
	for _, f := range []string{"", "1", "1.0", "5.1", "1.55", "-2", "x", "2.", "1e1"} {
		w.refused(job(0, VariableRate{Base: 10, Factor: f, Notified: 10}), Invalid, "Factor", "1.1 to 5")
	}
	w.refused(job(0, VariableRate{Base: 10, Factor: "2"}), Invalid, "Notified", "one of the two")
	w.refused(job(0, VariableRate{Base: 10, Factor: "2", Notified: 1, Succeeded: 1}), Invalid, "Notified", "one of the two")
	w.refused(job(0, VariableRate{Base: 10, Factor: "2", Notified: -1}), Invalid, "Notified", "1 to")
	for _, tc := range []struct {
		rate              VariableRate
		pushed, succeeded int
		want              int
	}{
		{VariableRate{}, 0, 0, 1000},
		{VariableRate{Base: 50, Factor: "1.5", Notified: 100}, 99, 99, 50},
		{VariableRate{Base: 50, Factor: "1.5", Notified: 100}, 100, 0, 75},
		{VariableRate{Base: 50, Factor: "1.5", Notified: 100}, 299, 0, 112}, // 112.5
		{VariableRate{Base: 50, Factor: "1.5", Succeeded: 100}, 900, 350, 168},
		{VariableRate{Base: 50, Factor: "1.1", Succeeded: 1}, 0, 1 << 30, 1000},
	} {
		j := Job{Policy: Policy{MaximumPerMinute: 1000, Rate: tc.rate}, Pushed: tc.pushed, Counts: Counts{Succeeded: tc.succeeded}}
		if got := j.rate(); got != tc.want {
			t.Errorf("%+v after %d and %d: %d a minute, want %d", tc.rate, tc.pushed, tc.succeeded, got, tc.want)
		}
	}
}

// within counts the pushes of the job's first notices in a window that ends now.
func (w *world) within(d time.Duration) int {
	n := 0
	for i := range w.pushes {
		if w.at[i].After(w.now.Add(-d)) {
			n++
		}
	}
	return n
}

func TestP34VariableRateGrowsAndIsNeverExceeded(t *testing.T) {
	w := newWorld(t, 600)
	for i := range 600 {
		w.online("d" + itoa(i+1))
	}
	w.do(CreateStaticJob{Package: w.pkg("p").ID, Target: TargetAll, MaximumPerMinute: 80, Rate: VariableRate{Base: 10, Factor: "2", Notified: 20}})
	top := 0
	for range 600 {
		w.wait(time.Second)
		n := w.within(time.Minute)
		limit := min(80, 10<<(len(w.pushes)/20))
		if n > limit {
			t.Fatalf("%d in 60 s after %d, allowed are %d", n, len(w.pushes), limit)
		}
		top = max(top, n)
	}
	if top != 80 {
		t.Errorf("it grew to %d a minute, want 80", top)
	}
}

func TestP34RateIsEditedWhileRunning(t *testing.T) {
	w := newWorld(t, 400)
	for i := range 400 {
		w.online("d" + itoa(i+1))
	}
	j := w.do(CreateStaticJob{Package: w.pkg("p").ID, Target: TargetAll, MaximumPerMinute: 10}).(Job)
	w.wait(time.Minute)
	w.refused(UpdateJob{Job: j.ID, MaximumPerMinute: pointer(9)}, Invalid, "MaximumPerMinute", "10 to 1000")
	w.do(UpdateJob{Job: j.ID, MaximumPerMinute: pointer(120)})
	w.wait(time.Minute)
	if n := w.within(time.Minute); n < 118 || n > 120 {
		t.Errorf("%d in the minute after it was raised to 120", n)
	}
	w.do(UpdateJob{Job: j.ID, MaximumPerMinute: pointer(10)})
	w.wait(time.Minute)
	if n := w.within(time.Minute); n > 10 {
		t.Errorf("%d in the minute after it was lowered to 10", n)
	}
	w.do(UpdateJob{Job: j.ID, Rate: &VariableRate{Base: 10, Factor: "2", Succeeded: 1}, MaximumPerMinute: pointer(0)})
	if got := w.job(j.ID).Policy; got.MaximumPerMinute != MaxPushRate || got.Rate.Base != 10 {
		t.Errorf("policy %+v", got)
	}
	w.do(CancelTasksByJob{Job: j.ID, Queued: true, Notified: true})
	w.refused(UpdateJob{Job: j.ID}, Refused, "Job", "over")
}

func TestP37TimeoutIsEditedWhileRunning(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), nil)
	w.progress("d1", 10)
	w.wait(10 * time.Minute)
	w.refused(UpdateJob{Job: j.ID, TimeoutMinutes: pointer(1441)}, Invalid, "TimeoutMinutes", "1440")
	w.do(UpdateJob{Job: j.ID, TimeoutMinutes: pointer(5)})
	w.wait(time.Second)
	w.wantCounts(j, Counts{Failed: 1})
}

func FuzzParseGray(f *testing.F) {
	for _, s := range []string{"", "0", "5", "100", "33.333", "0.001", "100.001", "1.", ".1", "+5", "1e2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseGray(s)
		if err != nil {
			return
		}
		back, err := strconv.ParseFloat(s, 64)
		if diff := back*1000 - float64(n); err != nil || n < 1 || n > wholeGray || diff > 1e-6 || diff < -1e-6 {
			t.Errorf("%q is read as %d thousandths (%v)", s, n, err)
		}
	})
}
