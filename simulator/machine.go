package simulator

import (
	"fmt"

	"github.com/leapslot/ota"
)

// The life of a task. The phase is the attempt's, the state shown is beside it and
// does not change while the task is tried again (P50).
//
//	queued ──push──> notified ──progress──> begun ──timeout──> over (FAILED, never retried)
//	  ^                 │ -n                  │ -n, other version
//	  │                 v                     v
//	  └──retry time── waiting <───────────────┘        no retry left: over (FAILED)
//
//	any phase: the target version is reported: over (SUCCEEDED); cancelled: over (CANCELED)
//
// next and its friends are functions of the task, the job's policy, what happened
// and the time. They return the task unchanged when it means nothing to it.

// pushed: the notice goes out, or went out with an answer.
func (t Task) pushed(now Stamp) Task {
	if t.Phase != PhaseQueued {
		return t
	}
	t.Phase, t.NotifiedAt, t.Modified = PhaseNotified, now, now
	if t.Status == Queued {
		t.Status = Notified
	}
	return t
}

// progressed: the device reports a step. Only an attempt whose notice was sent can
// begin or fail by it: what comes while a retry is awaited belongs to the attempt
// that has failed already.
func (t Task) progressed(step ota.Step, desc string, pol Policy, now Stamp) Task {
	if t.Phase != PhaseNotified && t.Phase != PhaseBegun {
		return t
	}
	if step.Failed() { // P49
		t.Step = int(step)
		return t.failed(failure(step, desc), pol, now)
	}
	if t.Phase == PhaseBegun && t.Step == int(step) {
		return t // nothing new: no write for a device that repeats itself
	}
	if t.Phase == PhaseNotified { // P43 to P44, and the timeout starts (P20, P37)
		t.Phase, t.Status, t.BegunAt = PhaseBegun, InProgress, now
	}
	t.Step, t.Modified = int(step), now
	return t
}

// informed: the device reports the module's version. The target version is success
// in every phase, whatever the percentage was (P45: the version decides). Another
// one fails an attempt that has begun (P48); before that, the source version is what
// the device should have, and only a third one is a failure (P47).
func (t Task) informed(version string, pol Policy, now Stamp) Task {
	switch {
	case t.Phase == PhaseOver:
	case version == t.Version:
		t.Status, t.Phase, t.Step, t.Reason, t.RetryAt, t.Modified = Succeeded, PhaseOver, 100, "", 0, now
	case t.Phase == PhaseWaiting: // it has failed already
	case t.Phase == PhaseBegun:
		return t.failed(fmt.Sprintf("reported version %s, expected %s", version, t.Version), pol, now)
	case version != t.Source && t.Source != "":
		return t.failed(fmt.Sprintf("reported version %s, neither %s nor %s", version, t.Source, t.Version), pol, now)
	case t.Source == "":
		t.Source, t.Modified = version, now // the first version it ever reported
	}
	return t
}

// failed ends the attempt: another one is tried while the policy allows (P35, P36),
// with the state shown unchanged (P50).
func (t Task) failed(reason string, pol Policy, now Stamp) Task {
	t.Reason, t.Modified = clipReason(reason), now
	if t.Attempt > pol.RetryCount {
		t.Status, t.Phase = Failed, PhaseOver
		return t
	}
	t.Phase, t.RetryAt = PhaseWaiting, now.Add(minutes(pol.RetryMinutes))
	return t.ticked(pol, now)
}

// ticked: time has passed. A timeout is never retried (P51); it does not run while a
// retry is awaited and starts anew with the next attempt's first progress.
func (t Task) ticked(pol Policy, now Stamp) Task {
	due := t.due(pol)
	if due == 0 || now < due {
		return t
	}
	t.Modified = now
	if t.Phase == PhaseBegun {
		t.Status, t.Phase, t.Reason = Failed, PhaseOver, ReasonTimeout
		return t
	}
	t.Phase, t.Step, t.RetryAt, t.NotifiedAt, t.BegunAt = PhaseQueued, 0, 0, 0, 0
	t.Attempt++
	return t
}

// due is when ticked has something to do; 0 is never.
func (t *Task) due(pol Policy) Stamp {
	switch {
	case t.Phase == PhaseBegun && pol.TimeoutMinutes > 0:
		return t.BegunAt.Add(minutes(pol.TimeoutMinutes))
	case t.Phase == PhaseWaiting:
		return t.RetryAt
	}
	return 0
}

// canceled: a user cancels the task, or a newer one takes its place (P38, P52).
func (t Task) canceled(reason string, now Stamp) Task {
	if t.Phase == PhaseOver {
		return t
	}
	t.Status, t.Phase, t.Reason, t.RetryAt, t.Modified = Canceled, PhaseOver, reason, 0, now
	return t
}

func failure(step ota.Step, desc string) string {
	if desc == "" {
		return fmt.Sprintf("%s: %s", step, step.Meaning())
	}
	return fmt.Sprintf("%s: %s", step, desc)
}

func clipReason(s string) string {
	n := 0
	for i := range s {
		if n++; n > MaxReason {
			return s[:i]
		}
	}
	return s
}
