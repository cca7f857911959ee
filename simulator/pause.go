package simulator

import "fmt"

// Pausing a job is our addition to the platform. While a job is paused it sends no
// notice, neither a first one nor one again: no device begins because of it. A device
// that has begun may go on: what it reports is taken in, it is answered when it asks for
// its notice, its timeout runs and its retry is due at its time (it then waits for the
// end of the pause). A schedule's start comes and its end ends it (P32, P33), and a
// dynamic batch goes on matching. When it is resumed it goes on at its rate: its places
// in time begin anew, and what was held back takes one for each notice (P34).

// Pause is when and why a job was paused.
type Pause struct {
	At     Stamp // 0: it is not paused
	Why    PauseReason
	Failed int // with PauseFailures: so many of Ended had failed
	Ended  int
}

// On reports whether the job is paused.
func (p Pause) On() bool { return p.At != 0 }

// PauseReason is why a job was paused.
type PauseReason string

// The reasons.
const (
	PauseUser     PauseReason = "user"
	PauseFailures PauseReason = "failures" // more failed than Policy.Stop allows
)

// FailureStop pauses a job by itself: when more than Percent of the tasks that have
// succeeded or failed have failed, and Least of them have ended at all. What was
// cancelled is not counted, and neither are tasks that failed at once because their
// device was busy (P46): they say nothing of the package.
type FailureStop struct {
	Percent int // 1 to MaxStopPercent; 0 is never
	Least   int // 1 to MaxStopLeast; 0 with no Percent
}

// Bounds of a FailureStop. Of 100 percent no more can fail.
const (
	MaxStopPercent = 99
	MaxStopLeast   = 1_000_000

	DefaultStopLeast = 10 // of who names a percentage only
)

func (s FailureStop) check() error {
	switch {
	case s == FailureStop{}:
		return nil
	case s.Percent < 1 || s.Percent > MaxStopPercent:
		return fail(Invalid, "StopPercent", "%d percent of failures, allowed are 1 to %d", s.Percent, MaxStopPercent)
	case s.Least < 1 || s.Least > MaxStopLeast:
		return fail(Invalid, "StopLeast", "%d ended tasks before failures count, allowed are 1 to %d", s.Least, MaxStopLeast)
	}
	return nil
}

// exceeded reports whether too many of the tasks that were tried have failed.
func (s FailureStop) exceeded(t Tried) bool {
	return s.Percent > 0 && t.Ended >= s.Least && 100*t.Failed > s.Percent*t.Ended
}

// Tried counts the tasks that came to an end of their own since the job began, or was
// last resumed: who resumes a job after failures has judged those.
type Tried struct{ Ended, Failed int }

// PauseJob pauses a job that is not over. Result: Job.
type PauseJob struct{ Job string }

// ResumeJob has a paused job go on. Result: Job.
type ResumeJob struct{ Job string }

// SetJobStop changes when failures pause a job that is not over; the zero value is
// never. What has ended since it began or was resumed counts at once. Result: Job.
type SetJobStop struct {
	Job  string
	Stop FailureStop
}

// unfinished finds a job that is not over.
func (c *Cloud) unfinished(id string) (*job, error) {
	j, err := c.job(id)
	if err == nil && j.Status.Over() {
		return nil, fail(Refused, "Job", "job %s is over", j.ID)
	}
	return j, err
}

func (cmd PauseJob) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.unfinished(cmd.Job)
	if err != nil {
		return nil, err
	}
	if j.Pause.On() {
		return nil, fail(Refused, "Job", "job %s is paused already", j.ID)
	}
	c.pause(j, Pause{At: now, Why: PauseUser})
	return j.Job, nil
}

func (c *Cloud) pause(j *job, p Pause) {
	e := c.editJob(j)
	e.Pause, e.Modified = p, p.At
}

func (cmd ResumeJob) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.unfinished(cmd.Job)
	if err != nil {
		return nil, err
	}
	if !j.Pause.On() {
		return nil, fail(Refused, "Job", "job %s is not paused", j.ID)
	}
	e := c.editJob(j)
	e.Pause, e.Tried, e.Modified = Pause{}, Tried{}, now
	for _, t := range j.sortedTasks() {
		c.place(t) // what was passed over, or held back
	}
	return j.Job, nil
}

func (cmd SetJobStop) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.unfinished(cmd.Job)
	if err != nil {
		return nil, err
	}
	if err := cmd.Stop.check(); err != nil {
		return nil, err
	}
	e := c.editJob(j)
	e.Policy.Stop, e.Modified = cmd.Stop, now
	c.mind(j, now)
	return j.Job, nil
}

// weigh counts a task that has ended, and pauses its job when too many have failed.
func (c *Cloud) weigh(t *task) {
	if t.Status != Succeeded && t.Status != Failed {
		return
	}
	j := c.editJob(t.job)
	j.Tried.Ended++
	if t.Status == Failed {
		j.Tried.Failed++
	}
	c.mind(t.job, t.Modified)
}

// mind pauses the job when too many of its tasks have failed, and writes that down as
// what the cloud has done by itself.
func (c *Cloud) mind(j *job, now Stamp) {
	if j.Pause.On() || !j.Policy.Stop.exceeded(j.Tried) || j.Counts.Active() == 0 && !j.Watching {
		return
	}
	c.pause(j, Pause{At: now, Why: PauseFailures, Failed: j.Tried.Failed, Ended: j.Tried.Ended})
	c.audit = append(c.audit, AuditEntry{
		At: now, Account: j.Account, Key: AuditCloud, Action: "PauseOTAJob", Result: AuditOK,
		Object: fmt.Sprintf("JobId=%s %d of %d failed, more than %d %%", j.ID, j.Tried.Failed, j.Tried.Ended, j.Policy.Stop.Percent),
	})
}

// AuditCloud is the Key of what the cloud does by itself.
const AuditCloud = "(cloud)"

// held reports whether a pause keeps the device from its notice also when it asks for
// it: it has not begun.
func (t *task) held() bool { return t.job.Pause.On() && t.Phase != PhaseBegun }
