package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func TestNeedConfirm(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2", "d3")
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.NeedConfirm = true })
	w.wantCounts(j, Counts{Unconfirmed: 3})
	w.happen(Asked{Device: w.dev("d1"), Reply: Reply{ota.TopicGetReply, "7"}})
	if len(w.pushes) != 1 || !w.pushes[0].Empty {
		t.Fatalf("a task that is not confirmed was offered: %+v", w.pushes)
	}
	d1 := w.task("d1")
	if c := w.causes(j)[0]; c != NotPending {
		t.Errorf("cause %s", c)
	}
	w.refused(ConfirmTasks{}, Missing, "Tasks", "which")
	w.refused(ConfirmTasks{[]string{d1.ID, d1.ID}}, Invalid, "Tasks", "twice")
	w.refused(ConfirmTasks{[]string{d1.ID, "t0"}}, NotFound, "Tasks", "t0")
	w.refused(ConfirmTasks{make([]string, MaxTasks+1)}, Invalid, "Tasks", "100")
	if got := w.do(ConfirmTasks{[]string{d1.ID}}).([]Task); len(got) != 1 || got[0].Status != Queued && got[0].Status != Notified {
		t.Errorf("confirmed %+v", got)
	}
	w.settled()
	w.wantCounts(j, Counts{Unconfirmed: 2, Notified: 1})
	w.refused(ConfirmTasks{[]string{d1.ID}}, Refused, "Tasks", "does not wait")
	w.inform("d2", "2.0") // the version decides here too
	w.do(CancelTasksByJob{Job: j.ID, Queued: true, Notified: true, InProgress: true})
	w.wantCounts(j, Counts{Unconfirmed: 1, Canceled: 1, Succeeded: 1})
	w.do(CancelTasksByJob{Job: j.ID, Unconfirmed: true})
	w.wantCounts(j, Counts{Canceled: 2, Succeeded: 1})
}

func TestNeedPushFalse(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.NoPush, c.RetryCount = true, 1 })
	w.wait(time.Hour)
	w.wantTask("d1", Queued, PhaseQueued, 1)
	if c := w.causes(j)[0]; c != WaitingAsk {
		t.Errorf("cause %q", c)
	}
	ask := Asked{Device: w.dev("d1"), Reply: Reply{ota.TopicGetReply, "7"}}
	w.happen(ask)
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.happen(Offline{w.dev("d1")}, Online{w.dev("d1")})
	if len(w.pushes) != 1 || w.pushes[0].Empty || w.pushes[0].Reply.ID != "7" {
		t.Errorf("messages %+v, want the answer alone", w.pushes)
	}
	w.progress("d1", -1) // tried again: when it asks again
	w.wait(time.Hour)
	w.wantTask("d1", Notified, PhaseQueued, 2)
	w.happen(ask)
	w.wantTask("d1", Notified, PhaseNotified, 2)
	w.inform("d1", "2.0")
	w.wantCounts(j, Counts{Succeeded: 1})
}

func TestReupgrade(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2", "d3")
	p := w.pkg("p")
	j := w.batch(p, func(c *CreateStaticJob) { c.RetryCount, c.TimeoutMinutes = 1, 5 })
	tasks := map[string]Task{}
	keep := func() {
		w.cloud.Tick(w.now)
		for _, t := range w.cloud.Changes().Tasks {
			tasks[t.Device.Name] = t
		}
		w.commit()
	}
	end := func(e Event) {
		w.cloud.Happen(e, w.now)
		keep()
	}
	w.progress("d1", 5)
	w.now = w.now.Add(5 * time.Minute)
	keep() // timed out
	if _, err := w.cloud.Apply(CancelTasksByJob{Job: j.ID, Notified: true}, w.now); err != nil {
		t.Fatal(err)
	}
	keep()
	w.wantCounts(j, Counts{Failed: 1, Canceled: 2})
	first := tasks["d1"]
	w.refused(ReupgradeTasks{}, Missing, "Tasks", "which")
	w.refused(ReupgradeTasks{[]Task{first, first}}, Invalid, "Tasks", "two of the tasks")
	again := w.do(ReupgradeTasks{[]Task{first, tasks["d2"]}}).([]Task)
	if len(again) != 2 || again[0].ID != first.ID || again[0].Revision != first.Revision+1 || again[0].Attempt != 1 {
		t.Errorf("started anew: %+v", again)
	}
	w.settled()
	w.wantCounts(j, Counts{Notified: 2, Canceled: 1})
	if got := w.job(j.ID); got.Status != JobInProgress || got.Ended != 0 {
		t.Errorf("job is %s, ended %d", got.Status, got.Ended)
	}
	w.refused(ReupgradeTasks{[]Task{first}}, Refused, "Tasks", "NOTIFIED")
	end(Progressed{w.dev("d1"), "", -1, ""})
	w.settled()
	end(Progressed{w.dev("d1"), "", -1, ""}) // its retry too
	w.wantCounts(j, Counts{Failed: 1, Notified: 1, Canceled: 1})
	w.refused(ReupgradeTasks{[]Task{first}}, Refused, "Tasks", "changed meanwhile") // what the store said before
	w.do(ReupgradeTasks{[]Task{tasks["d1"]}})
	w.inform("d1", "2.0")
	w.wantCounts(j, Counts{Succeeded: 1, Notified: 1, Canceled: 1})
	w.inform("d3", "2.0")
	w.refused(ReupgradeTasks{[]Task{tasks["d3"]}}, Refused, "Tasks", `"2.0"`)
	w.refused(ReupgradeTasks{[]Task{{Status: Succeeded}}}, Refused, "Tasks", "SUCCEEDED")
	w.refused(ReupgradeTasks{[]Task{{Status: Failed, Job: "j0"}}}, NotFound, "Tasks", "not there")
	d2 := w.task("d2").ID
	w.do(CancelTasksByJob{Job: j.ID, Notified: true})
	w.batch(w.to("q", "3.0"), nil)
	stale := w.cloud.revived[d2].Task
	w.refused(ReupgradeTasks{[]Task{stale}}, Refused, "Tasks", ReasonBusy)
}

func TestReupgradeRemembersNotForEver(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	for range maxRevived + 50 {
		j := w.do(CreateStaticJob{Package: p.ID, Target: TargetAll}).(Job)
		ended := w.task("d1").canceled(ReasonCanceled, At(w.now))
		ended.Revision++
		w.do(CancelTasksByJob{Job: j.ID, Queued: true})
		w.do(ReupgradeTasks{[]Task{ended}})
		w.do(CancelTasksByJob{Job: j.ID, Queued: true})
	}
	if n := len(w.cloud.revived); n > maxRevived {
		t.Errorf("%d tasks are remembered", n)
	}
}

func TestReupgradeOfAVerification(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	p := w.unverified("p")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}).(Job)
	w.cloud.Happen(Progressed{w.dev("d1"), "", -1, ""}, w.now)
	failed := w.cloud.Changes().Tasks[0]
	w.commit()
	w.do(ReupgradeTasks{[]Task{failed}})
	if s := w.do(FindPackage{p.ID}).(Package).Status; s != Verifying {
		t.Errorf("package is %d", s)
	}
	w.settled()
	w.inform("d1", "2.0")
	w.wantCounts(j, Counts{Succeeded: 1})
	if s := w.do(FindPackage{p.ID}).(Package).Status; s != Verified {
		t.Errorf("package is %d", s)
	}
}

func TestP41TagsCannotBeFieldsOfTheNotice(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	for _, key := range fields() {
		tag := []Tag{{key, "v"}}
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Tags: tag}, Invalid, "Tags", "")
		w.refused(CreateDynamicJob{Package: p.ID, Sources: []string{"1.0"}, Tags: tag}, Invalid, "Tags", "")
		w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}, Tags: tag}, Invalid, "Tags", "")
	}
	w.online("d1")
	w.dynamic(p, func(c *CreateDynamicJob) { c.Tags = []Tag{{"ring", "1"}} })
	w.settled()
	if got := w.pushes[0].Tags; len(got) != 1 || got[0].Key != "ring" {
		t.Errorf("tags %v", got)
	}
}

func TestP33NothingStartsAnewAfterTheEnd(t *testing.T) {
	w := newWorld(t, 1)
	at := func(d time.Duration) Stamp { return At(w.now.Add(d)) }
	w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.Start, c.Finish = at(10*time.Minute), at(2*time.Hour) })
	w.now = w.now.Add(2 * time.Hour)
	w.cloud.Tick(w.now)
	ended := w.cloud.Changes().Tasks[0]
	w.commit()
	w.refused(ReupgradeTasks{[]Task{ended}}, Refused, "Tasks", ReasonFinished)
}

func TestF5TasksOfOthers(t *testing.T) {
	w := newWorld(t, 1)
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.NeedConfirm = true })
	task := w.task("d1")
	w.refused(As{Account: "you", Command: ConfirmTasks{[]string{task.ID}}}, NotFound, "Tasks", task.ID)
	w.do(As{Account: "me", Command: ConfirmTasks{[]string{task.ID}}})
	w.cloud.Happen(Informed{w.dev("d1"), "", "0.1"}, w.now)
	w.now = w.now.Add(settling)
	w.cloud.Tick(w.now)
	ended := w.cloud.Changes().Tasks[0]
	w.commit()
	w.refused(As{Account: "you", Command: ReupgradeTasks{[]Task{ended}}}, NotFound, "Tasks", "not there")
	w.do(As{Account: "me", Command: ReupgradeTasks{[]Task{ended}}})
	w.wantCounts(j, Counts{Queued: 1})
	for _, cmd := range []Command{
		UpdateJob{Job: j.ID}, CancelStrategyByJob{Job: j.ID}, CreateDynamicJob{Package: j.Package},
		FindCandidates{Package: j.Package}, FindPushRate{Job: j.ID}, FindVersions{Product: w.product}, SetRules{Product: w.product},
	} {
		if _, err := w.cloud.Apply(As{Account: "you", Command: cmd}, w.now); err == nil || !strings.Contains(err.Error(), "there is no") {
			t.Errorf("%T of another account: %v", cmd, err)
		}
	}
}
