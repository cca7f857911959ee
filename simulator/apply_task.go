package simulator

import (
	"maps"
	"slices"

	"github.com/leapslot/ota"
)

// MaxTasks is the most tasks of one ConfirmTasks or ReupgradeTasks.
const MaxTasks = 100

func checkTasks(n int) error {
	switch {
	case n == 0:
		return fail(Missing, "Tasks", "which tasks?")
	case n > MaxTasks:
		return fail(Invalid, "Tasks", "%d tasks, allowed are at most %d at once", n, MaxTasks)
	}
	return nil
}

// task finds an unfinished task.
func (c *Cloud) task(id string) *task {
	for j := range c.running {
		if t := j.tasks[id]; t != nil && !c.foreign(j.Account) {
			return t
		}
	}
	return nil
}

func (cmd ConfirmTasks) apply(c *Cloud, now Stamp) (any, error) {
	if err := checkTasks(len(cmd.Tasks)); err != nil {
		return nil, err
	}
	tasks := make([]*task, len(cmd.Tasks))
	for i, id := range cmd.Tasks {
		t := c.task(id)
		switch {
		case t == nil:
			return nil, fail(NotFound, "Tasks", "there is no task %q that is not over", id)
		case t.Phase != PhaseUnconfirmed:
			return nil, fail(Refused, "Tasks", "task %s is %s: it does not wait to be confirmed", id, t.Status)
		case slices.Contains(cmd.Tasks[:i], id):
			return nil, fail(Invalid, "Tasks", "task %s is named twice", id)
		}
		tasks[i] = t
	}
	out := make([]Task, len(tasks))
	for i, t := range tasks {
		c.change(t, t.confirmed(now))
		c.place(t)
		out[i] = t.Task
	}
	return out, nil
}

func (cmd ReupgradeTasks) apply(c *Cloud, now Stamp) (any, error) {
	if err := checkTasks(len(cmd.Tasks)); err != nil {
		return nil, err
	}
	seen := map[ota.Device]bool{}
	for i := range cmd.Tasks {
		t := &cmd.Tasks[i]
		if err := c.checkReupgrade(t, now); err != nil {
			return nil, err
		}
		if seen[t.Device] {
			return nil, fail(Invalid, "Tasks", "device %s has two of the tasks", t.Device.Name)
		}
		seen[t.Device] = true
	}
	out := make([]Task, len(cmd.Tasks))
	for i := range cmd.Tasks {
		out[i] = c.reupgrade(cmd.Tasks[i], now)
	}
	return out, nil
}

func (c *Cloud) checkReupgrade(t *Task, now Stamp) error {
	j, d := c.jobs[t.Job], c.findDevice(t.Device)
	switch {
	case t.Status != Failed && t.Status != Canceled:
		return fail(Refused, "Tasks", "task %s is %s: only what has failed or was cancelled starts anew", t.ID, t.Status)
	case j == nil || d == nil || c.foreign(j.Account):
		return fail(NotFound, "Tasks", "the job or the device of task %s is not there any more", t.ID)
	case j.tasks[t.ID] != nil:
		return fail(Refused, "Tasks", "task %s is %s", t.ID, j.tasks[t.ID].Status)
	case c.revived[t.ID] != nil && c.revived[t.ID].Revision != t.Revision:
		return fail(Refused, "Tasks", "task %s has changed meanwhile", t.ID)
	case j.Finish != 0 && j.Finish <= now:
		return fail(Refused, "Tasks", "task %s: %s", t.ID, word(ReasonFinished))
	case !j.pkg.offers(d.Version(t.Module), j.Sources):
		return fail(Refused, "Tasks", "task %s: device %s runs %q, which the job does not upgrade", t.ID, d.Name, d.Version(t.Module))
	case d.blocked(j):
		return fail(Refused, "Tasks", "task %s: %s", t.ID, word(ReasonBusy))
	}
	return nil
}

// reupgrade puts a task that was over back among those that are not. The tasks that
// came back are remembered as they are now: the store's copy of a task that the caller
// read may be older than that.
func (c *Cloud) reupgrade(old Task, now Stamp) Task {
	j, d := c.jobs[old.Job], c.findDevice(old.Device)
	c.makeRoom(j, d, now)
	t := &task{Task: old, job: j, device: d}
	c.remember(t)
	e, n := c.editTask(t), c.editJob(j)
	*n.Counts.of(old.Status)--
	n.Counts.Queued++
	n.Modified = now
	if n.Status.Over() {
		n.Status, n.Ended = JobInProgress, 0
		c.running[j] = struct{}{}
	}
	*e = Task{
		ID: old.ID, Job: old.Job, Package: old.Package, Device: old.Device, Module: old.Module,
		Source: d.Version(old.Module), Version: old.Version, Status: Queued, Phase: PhaseQueued, Attempt: 1,
		Created: old.Created, Modified: now, Revision: e.Revision,
	}
	j.tasks[t.ID] = t
	d.active = append(d.active, t)
	if j.Type == VerifyFirmware && !j.pkg.Status.Usable() {
		c.editPackage(j.pkg).Status = Verifying
	}
	c.place(t)
	return t.Task
}

// maxRevived is how many tasks that came back are remembered before those that are over
// again, and stored so, are forgotten.
const maxRevived = 1000

func (c *Cloud) remember(t *task) {
	if len(c.revived) >= maxRevived {
		maps.DeleteFunc(c.revived, func(_ string, old *task) bool { return old.Phase == PhaseOver && !old.noted })
	}
	c.revived[t.ID] = t
}

func (cmd UpdateJob) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.job(cmd.Job)
	if err != nil {
		return nil, err
	}
	if j.Status.Over() {
		return nil, fail(Refused, "Job", "job %s is over", j.ID)
	}
	next := CreateStaticJob{MaximumPerMinute: j.Policy.MaximumPerMinute, Rate: j.Policy.Rate, TimeoutMinutes: j.Policy.TimeoutMinutes}
	if cmd.MaximumPerMinute != nil {
		if next.MaximumPerMinute = *cmd.MaximumPerMinute; next.MaximumPerMinute == 0 {
			next.MaximumPerMinute = min(MaxPushRate, c.opt.MaxPushRate)
		}
	}
	if cmd.Rate != nil {
		next.Rate = *cmd.Rate
	}
	if cmd.TimeoutMinutes != nil {
		next.TimeoutMinutes = *cmd.TimeoutMinutes
	}
	next.RetryCount, next.RetryMinutes = j.Policy.RetryCount, j.Policy.RetryMinutes
	for _, err := range []error{checkTimeout(next.TimeoutMinutes), next.checkRetry(j.product.Rules), next.checkRate(c.opt.MaxPushRate)} {
		if err != nil {
			return nil, err
		}
	}
	e := c.editJob(j)
	e.Policy.MaximumPerMinute, e.Policy.Rate, e.Policy.TimeoutMinutes, e.Modified = next.MaximumPerMinute, next.Rate, next.TimeoutMinutes, now
	for _, t := range j.sortedTasks() {
		c.place(t) // its timeout may be another one now
	}
	return j.Job, nil
}
