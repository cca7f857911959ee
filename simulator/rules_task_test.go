package simulator

import (
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func TestP4NoticeAtOnceOrWhenOnline(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1")
	w.batch(w.pkg("p"), nil)
	if len(w.pushes) != 1 || w.pushes[0].Device.Name != "d1" {
		t.Fatalf("pushes %v, want one to the device that is online", w.pushes)
	}
	w.wait(time.Hour)
	w.online("d2")
	if len(w.pushes) != 2 || w.pushes[1].Device.Name != "d2" {
		t.Fatalf("pushes %v, want a second one to d2", w.pushes)
	}
}

func TestP4AgainWhenOnlineUnfinished(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	w.batch(w.pkg("p"), nil)
	w.happen(Offline{w.dev("d1")})
	w.online("d1")
	w.progress("d1", 5)
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.happen(Offline{w.dev("d1")})
	w.online("d1")
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	if len(w.pushes) != 3 {
		t.Errorf("%d pushes, want 3: the first and one for each time it came online", len(w.pushes))
	}
}

func TestP20P37Timeout(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	for _, n := range []int{-1, 1441} {
		w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}, TimeoutMinutes: n}, Invalid, "TimeoutMinutes", "1 to 1440")
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, TimeoutMinutes: n}, Invalid, "TimeoutMinutes", "1 to 1440")
	}
	w.online("d1")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}, TimeoutMinutes: 1}).(Job)
	w.wait(24 * time.Hour) // no progress yet: it does not run
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.progress("d1", 1)
	w.wait(30 * time.Second)
	w.progress("d1", 50) // counted from the first report, not from this one
	w.wait(29 * time.Second)
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.wait(time.Second)
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP43P44P45States(t *testing.T) {
	w := newWorld(t, 1)
	j := w.batch(w.pkg("p"), nil)
	w.wantTask("d1", Queued, PhaseQueued, 1)
	w.online("d1")
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.progress("d1", 0)
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.progress("d1", 100) // without the new version it is no success
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.inform("d1", "2.0")
	w.wantCounts(j, Counts{Succeeded: 1})
	if s := w.job(j.ID).Status; s != JobCompleted {
		t.Errorf("job is %s", s)
	}
}

func TestP45TheVersionDecides(t *testing.T) {
	w := newWorld(t, 2)
	j := w.batch(w.pkg("p"), nil)
	w.inform("d1", "2.0") // pending, and without any progress
	w.online("d2")
	w.inform("d2", "2.0")
	w.wantCounts(j, Counts{Succeeded: 2})
}

func retry(minutes, count int) func(*CreateStaticJob) {
	return func(c *CreateStaticJob) { c.RetryMinutes, c.RetryCount, c.TimeoutMinutes = minutes, count, 5 }
}

func TestP47RetryFromPendingOrPushed(t *testing.T) {
	w := newWorld(t, 2)
	j := w.batch(w.pkg("p"), retry(10, 1))
	w.inform("d1", "0.7") // pending
	w.wait(settling)
	w.wantTask("d1", Queued, PhaseWaiting, 1)
	w.online("d2")
	w.inform("d2", "1.0") // the source version means nothing yet
	w.wantTask("d2", Notified, PhaseNotified, 1)
	w.inform("d2", "0.7")
	w.wait(settling)
	w.wantTask("d2", Notified, PhaseWaiting, 1)
	w.wait(5 * time.Minute)
	w.inform("d2", "0.5") // it has failed already: that does not put its retry off
	w.progress("d2", -1)
	w.wait(5 * time.Minute)
	w.wantTask("d1", Queued, PhaseQueued, 2)
	w.wantTask("d2", Notified, PhaseNotified, 2)
	w.inform("d1", "0.6")
	w.wait(settling)
	w.inform("d2", "0.6")
	w.wait(settling)
	w.wantCounts(j, Counts{Failed: 2})
}

func TestP48RetryFromUpgrading(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), retry(10, 1))
	w.progress("d1", 50)
	w.inform("d1", "1.0") // the source version, while upgrading
	w.wait(settling)
	w.wantTask("d1", InProgress, PhaseWaiting, 1)
	w.wait(10 * time.Minute)
	w.inform("d1", "1.0") // the next attempt has not begun: it is what the device should have
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.progress("d1", 50)
	w.inform("d1", "1.0")
	w.wait(settling)
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP49P50NegativeSteps(t *testing.T) {
	for _, step := range []ota.Step{-1, -2, -3, -4, -77} {
		w := newWorld(t, 2)
		w.online("d1", "d2")
		j := w.batch(w.pkg("p"), retry(0, 1))
		w.progress("d2", 10)
		w.progress("d1", step)
		w.progress("d2", step)
		w.wait(time.Second)
		w.wantTask("d1", Notified, PhaseNotified, 2) // at once, and shown as before
		w.wantTask("d2", InProgress, PhaseNotified, 2)
		w.progress("d1", step)
		w.progress("d2", step)
		w.wantCounts(j, Counts{Failed: 2})
	}
}

func TestP49WithoutRetry(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), nil)
	w.happen(Progressed{w.dev("d1"), "", -3, "md5 differs"})
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP51NeverRetried(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	j := w.batch(w.pkg("p"), retry(0, 5))
	w.progress("d1", 10)
	w.wait(5 * time.Minute)
	w.wantCounts(j, Counts{Notified: 1, Failed: 1})
	w.do(CancelTasksByJob{Job: j.ID, Notified: true})
	w.wantCounts(j, Counts{Canceled: 1, Failed: 1})
	w.wait(24 * time.Hour)
	w.wantCounts(j, Counts{Canceled: 1, Failed: 1})
}

func TestP51TimeoutDoesNotRunWhileWaiting(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	w.batch(w.pkg("p"), retry(60, 1)) // timeout 5 minutes
	w.progress("d1", 10)
	w.progress("d1", -2)
	w.wait(60 * time.Minute)
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.wait(time.Hour) // nor before the next attempt's first progress
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.progress("d1", 0)
	w.wait(4 * time.Minute)
	w.wantTask("d1", InProgress, PhaseBegun, 2)
}

func TestP52P54Cancel(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	j := w.batch(w.pkg("p"), nil)
	w.progress("d1", 1)
	w.refused(CancelTasksByJob{Job: j.ID}, Missing, "Scheduled", "which")
	w.refused(CancelTasksByJob{Job: "j0", Queued: true}, NotFound, "Job", "j0")
	w.do(CancelTasksByJob{Job: j.ID, Scheduled: true}) // it has none
	w.wantCounts(j, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.do(CancelTasksByJob{Job: j.ID, Queued: true})
	w.wantCounts(j, Counts{Canceled: 1, Notified: 1, InProgress: 1})
	w.do(CancelTasksByJob{Job: j.ID, Notified: true, InProgress: true})
	w.wantCounts(j, Counts{Canceled: 3})
	if s := w.job(j.ID).Status; s != JobCanceled {
		t.Errorf("job is %s", s)
	}
	n := len(w.pushes)
	w.online("d1", "d2", "d3")
	if len(w.pushes) != n {
		t.Error("a cancelled task was pushed")
	}
}

func TestAskedIsAnswered(t *testing.T) {
	w := newWorld(t, 1)
	ask := Asked{Device: w.dev("d1"), Reply: Reply{ota.TopicGetReply, "7"}}
	w.online("d1")
	w.happen(ask)
	if p := w.pushes[0]; !p.Empty || p.Reply.ID != "7" {
		t.Errorf("answer %+v, want an empty one", p)
	}
	w.batch(w.pkg("p"), nil)
	w.happen(ask)
	if p := w.pushes[2]; p.Empty || p.Task.Version != "2.0" {
		t.Errorf("answer %+v, want the notice", p)
	}
}
