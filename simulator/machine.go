package simulator

import (
	"fmt"
	"time"

	"github.com/leapslot/ota"
)

// The life of a task. The phase is the attempt's, the state shown is beside it and
// does not change while the task is tried again (P50).
//
//	unconfirmed ──a user's word──> queued
//
//	queued ──push──> notified ──progress──> begun ──timeout──> over (FAILED, never retried)
//	  ^                 │ -n                  │ -n, other version
//	  │                 v                     v
//	  └──retry time── waiting <───────────────┘        no retry left: over (FAILED)
//
//	any phase: the target version is reported: over (SUCCEEDED); cancelled: over (CANCELED)
//
// pushed and its friends are functions of the task, the terms, what happened and the
// time. They return the task unchanged when it means nothing to it.

// terms are what a task goes by: its job's policy and its product's options.
type terms struct {
	Policy
	Rules
}

// settling is how long a version report waits for a newer one before it is held
// against a device. C SDK 3.2 reports twice when it connects, first a version of its
// own; the last one counts (protocol section 11). Success is never put off.
const settling = time.Second

// confirmed: a user lets the task go.
func (t Task) confirmed(now Stamp) Task {
	if t.Phase != PhaseUnconfirmed {
		return t
	}
	t.Status, t.Phase, t.Modified = Queued, PhaseQueued, now
	return t
}

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
//
// running is the version that the device reported last: with Rules.NeedProgress the
// 100 may be what is missing.
func (t Task) progressed(step ota.Step, desc, running string, by terms, now Stamp) Task {
	if t.Phase != PhaseNotified && t.Phase != PhaseBegun {
		return t
	}
	if step.Failed() { // P49
		t.Step = int(step)
		return t.failed(failure(step, desc), by, now)
	}
	if t.Phase == PhaseBegun && t.Step == int(step) {
		return t // nothing new: no write for a device that repeats itself
	}
	if t.Phase == PhaseNotified { // P43 to P44, and the timeout starts (P20, P37)
		t.Phase, t.Status, t.BegunAt = PhaseBegun, InProgress, now
		if t.FirstBegun == 0 {
			t.FirstBegun = now
		}
	}
	t.Step, t.Modified = int(step), now
	if by.NeedProgress && step == ota.StepDone && running == t.Version {
		return t.succeeded(now)
	}
	return t
}

// informed: the device reports the module's version. The target version is success
// in every phase, whatever the percentage was (P45: the version decides), unless the
// product wants both. Any other one is judged when it has settled.
func (t Task) informed(version string, by terms, now Stamp) Task {
	if t.Phase == PhaseOver || version != t.Version || by.NeedProgress && t.Step != int(ota.StepDone) {
		return t
	}
	return t.succeeded(now)
}

func (t Task) succeeded(now Stamp) Task {
	t.Status, t.Phase, t.Step, t.Reason, t.RetryAt, t.Modified = Succeeded, PhaseOver, 100, "", 0, now
	return t
}

// judged: the device stays with a version that it began to report at the moment
// reported. Another one than the target fails an attempt that had begun by then (P48);
// before that, the source version is what the device should have, and only a third
// one is a failure (P47).
func (t Task) judged(version string, reported Stamp, by terms, now Stamp) Task {
	begun := t.Phase == PhaseBegun && t.BegunAt <= reported
	switch {
	case t.Phase == PhaseOver, t.Phase == PhaseWaiting: // it has failed already
	case version == t.Version, t.Source == "":
	case version == t.Source && (!begun || by.TolerateSource):
	case t.Phase == PhaseBegun:
		return t.failed(fmt.Sprintf("reported version %s, expected %s", version, t.Version), by, now)
	default:
		return t.failed(fmt.Sprintf("reported version %s, neither %s nor %s", version, t.Source, t.Version), by, now)
	}
	return t
}

// sourced: the device reports a version for the first time, or another one right
// after the first: that is what the task upgrades from.
func (t Task) sourced(version string, now Stamp) Task {
	if t.Phase == PhaseOver || t.Phase == PhaseBegun || version == t.Version || version == t.Source {
		return t
	}
	t.Source, t.Modified = version, now
	return t
}

// failed ends the attempt: another one is tried while the policy allows (P35, P36),
// with the state shown unchanged (P50).
func (t Task) failed(reason string, by terms, now Stamp) Task {
	t.Reason, t.Modified = clipReason(reason), now
	if t.Attempt > by.RetryCount {
		t.Status, t.Phase = Failed, PhaseOver
		return t
	}
	t.Phase, t.RetryAt = PhaseWaiting, now.Add(minutes(by.RetryMinutes))
	return t.ticked(by, now)
}

// ticked: time has passed. A timeout is never retried (P51); it does not run while a
// retry is awaited and starts anew with the next attempt's first progress, unless the
// product counts from the first attempt's.
func (t Task) ticked(by terms, now Stamp) Task {
	if end := t.timeout(by); end != 0 && now >= end {
		t.Status, t.Phase, t.Reason, t.RetryAt, t.Modified = Failed, PhaseOver, ReasonTimeout, 0, now
		return t
	}
	if t.Phase != PhaseWaiting || now < t.RetryAt {
		return t
	}
	t.Phase, t.Step, t.RetryAt, t.NotifiedAt, t.BegunAt, t.Modified = PhaseQueued, 0, 0, 0, 0, now
	t.Attempt++
	return t
}

// timeout is when the task fails for good; 0 is never (P20, P37).
func (t *Task) timeout(by terms) Stamp {
	begun := t.BegunAt
	switch {
	case t.Phase == PhaseOver || by.TimeoutMinutes == 0:
		return 0
	case by.TimeoutOnce:
		begun = t.FirstBegun
	case t.Phase != PhaseBegun:
		return 0
	}
	if begun == 0 {
		return 0
	}
	return begun.Add(minutes(by.TimeoutMinutes))
}

// due is when ticked has something to do; 0 is never.
func (t *Task) due(by terms) Stamp {
	end := t.timeout(by)
	if t.Phase == PhaseWaiting && (end == 0 || t.RetryAt < end) {
		return t.RetryAt
	}
	return end
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
