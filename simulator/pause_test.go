package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// sentTo counts the notices that a device was sent.
func (w *world) sentTo(name string) (n int) {
	for _, p := range w.pushes {
		if p.Device.Name == name && !p.Empty {
			n++
		}
	}
	return n
}

func (w *world) wantSent(name string, n int) {
	w.t.Helper()
	if got := w.sentTo(name); got != n {
		w.t.Errorf("%s was sent %d notices, want %d", name, got, n)
	}
}

func (w *world) cause(name string) Cause {
	return w.do(FindCauses{Tasks: []Task{w.task(name)}}).([]Cause)[0]
}

// TestPauseSendsNothing: no notice goes out while a batch is paused: not to the device
// that comes online or asks, not to one that comes back, not for a retry; and a dynamic
// batch that matches a device only waits with it.
func TestPauseSendsNothing(t *testing.T) {
	w := newWorld(t, 5)
	p := w.pkg("p")
	w.online("d1", "d2", "d5")
	j := w.do(CreateDynamicJob{Package: p.ID, Sources: []string{"1.0"}, RetryMinutes: 10, RetryCount: 2}).(Job)
	w.wait(time.Second)
	w.progress("d2", 30)
	w.progress("d5", -2) // retried in 10 minutes
	w.do(PauseJob{j.ID})
	if got := w.job(j.ID); got.Status != JobInProgress || got.Pause != (Pause{At: At(w.now), Why: PauseUser}) {
		t.Errorf("paused it is %s, %+v", got.Status, got.Pause)
	}
	w.online("d3")
	w.happen(Offline{w.dev("d1")}, Offline{w.dev("d2")})
	w.online("d1", "d2")
	ask := func(name string) { w.happen(Asked{w.dev(name), "", Reply{ota.TopicGetReply, "1"}}) }
	ask("d1")
	ask("d3")
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.online("late")
	w.inform("late", "1.0")
	w.wait(time.Hour)
	for name, n := range map[string]int{"d1": 1, "d2": 1, "d3": 0, "d4": 0, "d5": 1, "late": 0} {
		w.wantSent(name, n)
	}
	w.wantTask("late", Queued, PhaseQueued, 1)
	w.wantTask("d5", Notified, PhaseQueued, 2)
	for name, want := range map[string]Cause{"d3": BatchPaused, "late": BatchPaused, "d1": NotPending} {
		if got := w.cause(name); got != want {
			t.Errorf("%s waits because of %q, want %q", name, got, want)
		}
	}
	ask("d2") // which has begun, and needs a fresh URL
	w.wantSent("d2", 2)
	w.do(ResumeJob{j.ID})
	w.wait(time.Minute)
	for name, n := range map[string]int{"d1": 2, "d2": 3, "d3": 1, "d4": 0, "d5": 2, "late": 1} {
		w.wantSent(name, n)
	}
}

// TestPauseLeavesRunningTasks: what has begun ends, whatever way: success, its failure
// and its timeout, the schedule's end.
func TestPauseLeavesRunningTasks(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2", "d3")
	start := At(w.now.Add(10 * time.Minute))
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) {
		c.TimeoutMinutes, c.Start, c.Finish = 30, start, start.Add(2*time.Hour)
	})
	w.do(PauseJob{j.ID})
	w.wait(20 * time.Minute)
	w.wantCounts(j, Counts{Queued: 3}) // its start has come, and sends nothing
	w.do(ResumeJob{j.ID})
	w.wait(time.Minute)
	w.wantCounts(j, Counts{Notified: 3})
	w.progress("d1", 10)
	w.progress("d2", 10)
	w.do(PauseJob{j.ID})
	w.progress("d1", 100)
	w.inform("d1", "2.0")
	w.wait(31 * time.Minute)
	w.wantCounts(j, Counts{Notified: 1, Succeeded: 1, Failed: 1}) // d2: timeout
	w.wait(2 * time.Hour)
	w.wantCounts(j, Counts{Succeeded: 1, Failed: 1, Canceled: 1}) // P33
	if got := w.job(j.ID); got.Status != JobCompleted || got.Pause.On() {
		t.Errorf("in the end it is %s, paused %v", got.Status, got.Pause.On())
	}
}

// TestResumeWithoutBurst: an hour of pause gives no place in time for later, and what
// was held back waits for its place too (P34).
func TestResumeWithoutBurst(t *testing.T) {
	w := newWorld(t, 60)
	for i := range 60 {
		w.online("d" + itoa(i+1))
	}
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.MaximumPerMinute = 20 })
	w.wait(time.Minute)
	w.do(PauseJob{j.ID})
	begun := w.job(j.ID).Counts.Notified
	for i := range 60 { // everybody comes back meanwhile
		w.happen(Offline{w.dev("d" + itoa(i+1))})
		w.online("d" + itoa(i+1))
	}
	w.wait(time.Hour)
	w.pushes, w.at = nil, nil
	w.do(ResumeJob{j.ID})
	w.wait(10 * time.Minute)
	if len(w.pushes) != 60 {
		t.Errorf("%d notices after the pause, want 60: the %d that were held back and the rest", len(w.pushes), begun)
	}
	for i := range w.at {
		n := 0
		for _, at := range w.at[i:] {
			if at.Sub(w.at[i]) < time.Minute {
				n++
			}
		}
		if n > 20 {
			t.Fatalf("%d notices in a minute, the rate is 20", n)
		}
	}
	if got := w.job(j.ID); got.Pushed != 60 || got.Counts.Notified != 60 {
		t.Errorf("pushed %d, counts %+v", got.Pushed, got.Counts)
	}
}

// TestPauseRefused: what cannot be paused or resumed says why, and an end ends a pause.
func TestPauseRefused(t *testing.T) {
	w := newWorld(t, 2)
	j := w.batch(w.pkg("p"), nil)
	w.refused(PauseJob{}, Missing, "Job", "which job")
	w.refused(PauseJob{"j9"}, NotFound, "Job", "no job")
	w.refused(ResumeJob{j.ID}, Refused, "Job", "is not paused")
	w.do(PauseJob{j.ID})
	w.refused(PauseJob{j.ID}, Refused, "Job", "paused already")
	w.refused(As{Account: "you", Command: ResumeJob{j.ID}}, NotFound, "Job", "no job")
	w.do(CancelTasksByJob{Job: j.ID, Queued: true})
	for _, cmd := range []Command{PauseJob{j.ID}, ResumeJob{j.ID}, SetJobStop{Job: j.ID}} {
		w.refused(cmd, Refused, "Job", "is over")
	}
	for _, s := range []FailureStop{{Percent: -1, Least: 1}, {Percent: 100, Least: 1}, {Least: 1}} {
		w.refused(CreateStaticJob{Package: w.pkg("q" + itoa(int(w.cloud.Sequence()))).ID, Target: TargetAll, Stop: s}, Invalid, "StopPercent", "1 to 99")
	}
	w.refused(CreateStaticJob{Package: j.Package, Target: TargetAll, Stop: FailureStop{Percent: 5}}, Invalid, "StopLeast", "1 to")
}

// finish has devices d(from) to d(to) end with a failure or a success.
func (w *world) finish(from, to int, good bool) {
	for i := from; i <= to; i++ {
		name := "d" + itoa(i)
		if w.progress(name, 10); good {
			w.inform(name, "2.0")
		} else {
			w.progress(name, -1)
		}
	}
}

// TestStopAtFailureShare: a batch pauses itself when more than the share has failed of
// at least so many that have ended; cancelled tasks and those of busy devices are none
// of them; resumed, it counts anew; and it is written down as the cloud's own doing.
func TestStopAtFailureShare(t *testing.T) {
	w := newWorld(t, 30)
	for i := range 30 {
		w.online("d" + itoa(i+1))
	}
	other := w.pkg("other")
	w.do(CreateStaticJob{Package: other.ID, Target: TargetSpecific, Devices: []string{"d29", "d30"}}) // they are busy
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.Stop = FailureStop{Percent: 25, Least: 12} })
	w.wait(time.Minute)
	w.wantCounts(j, Counts{Notified: 28, Failed: 2})
	w.do(CancelTasksByDevice{Product: w.product, Package: j.Package, Devices: []string{"d28"}})
	w.finish(1, 3, false)
	w.finish(4, 11, true)
	if w.job(j.ID).Pause.On() {
		t.Fatal("3 of 11 have failed and it is paused: 12 have to end first")
	}
	w.finish(12, 12, true) // 3 of 12 are 25 percent, and not more
	if w.job(j.ID).Pause.On() {
		t.Fatal("a quarter has failed and it is paused: more than that is allowed to")
	}
	w.progress("d13", 10)
	w.cloud.Happen(Progressed{w.dev("d13"), "", -1, ""}, w.now)
	wrote := w.cloud.Changes().Audit
	w.commit()
	if got, want := w.job(j.ID).Pause, (Pause{At: At(w.now), Why: PauseFailures, Failed: 4, Ended: 13}); got != want {
		t.Errorf("paused with %+v, want %+v", got, want)
	}
	if len(wrote) != 1 || wrote[0].Key != AuditCloud || wrote[0].Account != "me" || !strings.Contains(wrote[0].Object, j.ID+" 4 of 13 failed, more than 25 %") {
		t.Errorf("written down: %+v", wrote)
	}
	w.do(ResumeJob{j.ID})
	w.finish(14, 24, false) // 11 ended since
	if w.job(j.ID).Pause.On() {
		t.Error("resumed it counts what failed before")
	}
	w.finish(25, 25, false)
	if got := w.job(j.ID).Pause; got.Failed != 12 || got.Ended != 12 {
		t.Errorf("paused again with %+v", got)
	}
	w.do(ResumeJob{j.ID})
	w.finish(26, 26, false)
	w.do(SetJobStop{j.ID, FailureStop{Percent: 99, Least: 1}}) // counts at once
	if !w.job(j.ID).Pause.On() {
		t.Error("a new threshold that is exceeded does not pause it")
	}
	w.do(ResumeJob{j.ID})
	w.do(SetJobStop{j.ID, FailureStop{}})
	w.finish(27, 27, false)
	w.wantCounts(j, Counts{Succeeded: 9, Failed: 18 + 2, Canceled: 1}) // 28 and the 2 busy ones
}

// TestPauseSurvives: the pause is part of what is stored, and a batch that is taken back
// (it could not be stored) is as it was.
func TestPauseSurvives(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.Stop = FailureStop{Percent: 10, Least: 5} })
	if _, err := w.cloud.Apply(PauseJob{j.ID}, w.now); err != nil {
		t.Fatal(err)
	}
	stored := w.cloud.Changes()
	if len(stored.Jobs) != 1 || !stored.Jobs[0].Pause.On() || stored.Jobs[0].Policy.Stop.Percent != 10 {
		t.Errorf("to be stored: %+v", stored.Jobs)
	}
	w.cloud.Undo()
	if w.job(j.ID).Pause.On() {
		t.Error("taken back, it is paused all the same")
	}
}
