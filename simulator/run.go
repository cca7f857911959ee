package simulator

import (
	"slices"
	"time"

	"github.com/leapslot/ota"
)

// change is the one place where a task changes. The job's counts, its end and the
// package's verification follow.
func (c *Cloud) change(t *task, next Task) {
	if next == t.Task {
		return
	}
	before := t.Status
	next.Revision = c.editTask(t).Revision
	t.Task = next
	if before != next.Status {
		j := c.editJob(t.job)
		*j.Counts.of(before)--
		*j.Counts.of(next.Status)++
		j.Modified = next.Modified
	}
	if next.Phase == PhaseOver {
		delete(t.job.tasks, t.ID)
		t.device.drop(t)
		c.due.set(t, 0)
		c.noteMatch(t)
		c.tellTask(t)
		c.weigh(t)
		c.settle(t.job, next.Modified)
	}
}

// place puts an unfinished task where its next step will find it: among the timers,
// or in the queue of those that want a push.
func (c *Cloud) place(t *task) {
	if t.Phase == PhaseOver {
		return
	}
	c.due.set(t, t.due(t.terms()))
	if t.wantsPush() && !t.queued {
		t.queued = true
		t.job.ready = append(t.job.ready, t)
		c.wanting[t.job] = struct{}{}
	}
}

// pump pushes what the jobs' rates allow at the time now (P4, P34).
func (c *Cloud) pump(now time.Time) {
	if len(c.wanting) == 0 {
		return
	}
	for _, j := range sortedJobs(c.wanting) {
		for len(j.ready) > 0 {
			t := j.ready[0]
			if t.wantsPush() {
				if !c.takePlace(j, now) {
					break
				}
				c.push(t, At(now))
			}
			t.queued = false
			j.ready[0] = nil
			j.ready = j.ready[1:]
		}
		if len(j.ready) == 0 {
			j.ready = nil
			delete(c.wanting, j)
		}
	}
}

func (t *task) terms() terms { return terms{t.job.Policy, t.job.product.Rules} }

func (t *task) wantsPush() bool {
	wants := t.Phase == PhaseQueued || t.missed && (t.Phase == PhaseNotified || t.Phase == PhaseBegun)
	return wants && t.device.Online && t.job.Status == JobInProgress && !t.job.Policy.NoPush && !t.job.Pause.On()
}

// takePlace takes the job's next place in time, if it has come.
func (c *Cloud) takePlace(j *job, now time.Time) bool {
	next, ok := pace(j.NextPush, j.rate(), now.UnixNano())
	if next != j.NextPush {
		c.editJob(j).NextPush = next
	}
	return ok
}

// push moves a task on and has its notice sent (P43), or sends one again that a pause
// has held back.
func (c *Cloud) push(t *task, now Stamp) {
	t.missed = false
	if t.Phase == PhaseQueued {
		c.notify(t, now)
	}
	c.send(t, Reply{})
}

// notify has the task's notice count as sent.
func (c *Cloud) notify(t *task, now Stamp) {
	if t.Attempt == 1 {
		c.editJob(t.job).Pushed++
	}
	if t.job.recent == nil {
		t.job.recent = &recent{}
	}
	t.job.recent.note(now)
	c.change(t, t.pushed(now))
	c.place(t)
}

// send has the task's notice sent once the changes are stored.
func (c *Cloud) send(t *task, r Reply) {
	if t.job.Policy.NoPush && r.Topic == 0 {
		return // the device gets its notice when it asks
	}
	p := Push{Device: t.Task.Device, Reply: r, Task: t.Task, Package: t.job.pkg.Package, Tags: t.job.Tags, Protocol: t.job.Protocol}
	if pr := t.job.product; pr.SecureUpgrade {
		p.SigningKey = pr.SigningKey
	}
	c.pushes = append(c.pushes, p)
}

// settle ends a job with no task left, and with it a verification (P17).
func (c *Cloud) settle(j *job, now Stamp) {
	if j.Type == VerifyFirmware {
		c.settleVerification(j, now)
	}
	if j.Counts.Active() > 0 || j.Watching || j.Status.Over() {
		return
	}
	e := c.editJob(j)
	e.Status, e.Ended, e.Modified = JobCompleted, now, now
	e.Pause, e.Tried = Pause{}, Tried{} // begun anew by ReupgradeTasks, it is not paused
	if e.Counts.Canceled == e.Counts.Total() {
		e.Status = JobCanceled
	}
	delete(c.running, j)
}

// settleVerification: a package is verified when a verification has ended in which
// devices succeeded and none failed, those left out that were cancelled. The last
// verification decides; while it runs, what was verified before stays usable.
func (c *Cloud) settleVerification(j *job, now Stamp) {
	n := j.Counts
	p := c.editPackage(j.pkg)
	p.Progress, p.Modified = 100*(n.Total()-n.Active())/max(n.Total(), 1), now
	if n.Active() > 0 || p.Status == NoVerification {
		return
	}
	switch {
	case n.Failed > 0:
		p.Status = VerificationFailed
	case n.Succeeded > 0:
		p.Status = Verified
	case p.Status == Verifying:
		p.Status = Unverified // everything was cancelled
	}
}

// tickJob starts and ends a scheduled job (P31 to P33).
func (c *Cloud) tickJob(j *job, now Stamp) {
	if j.Status == JobPlanned && j.Start <= now {
		e := c.editJob(j)
		e.Status, e.Modified = JobInProgress, now
		for _, t := range j.sortedTasks() {
			c.place(t)
		}
	}
	if j.Finish != 0 && j.Finish <= now {
		for _, t := range j.sortedTasks() {
			c.change(t, t.canceled(ReasonFinished, now))
		}
	}
}

func (d *device) drop(t *task) {
	i := slices.Index(d.active, t)
	if i < 0 {
		return
	}
	if len(d.active) == 1 {
		d.active = nil
		return
	}
	d.active = slices.Delete(slices.Clone(d.active), i, i+1)
}

// taskOf gives the device's unfinished task for a module.
func (d *device) taskOf(module string) *task {
	for _, t := range d.active {
		if t.Module == module {
			return t
		}
	}
	return nil
}

func moduleOr(s string) string {
	if s == "" {
		return ota.DefaultModule
	}
	return s
}
