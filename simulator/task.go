package simulator

import "github.com/leapslot/ota"

// TaskStatus is the state of a task that users see, spelled as in the cloud API
// (P42 to P46, P52).
type TaskStatus string

// The states of a task.
const (
	Unconfirmed TaskStatus = "CONFIRM"     // waits for a user (NeedConfirm)
	Queued      TaskStatus = "QUEUED"      // pending
	Notified    TaskStatus = "NOTIFIED"    // pushed
	InProgress  TaskStatus = "IN_PROGRESS" // upgrading
	Succeeded   TaskStatus = "SUCCEEDED"
	Failed      TaskStatus = "FAILED"
	Canceled    TaskStatus = "CANCELED"
)

// Active reports whether a device with such a task is busy (P24).
func (s TaskStatus) Active() bool {
	return s == Unconfirmed || s == Queued || s == Notified || s == InProgress
}

// Phase is where the current attempt of a task is. It is apart from the state shown,
// which stays unchanged while a task is tried again (P50).
type Phase int

// The phases of an attempt.
const (
	PhaseOver        Phase = iota // the task has ended
	PhaseQueued                   // no notice of this attempt yet
	PhaseNotified                 // notice sent, no progress of this attempt yet
	PhaseBegun                    // progress reported: the timeout runs
	PhaseWaiting                  // failed, waiting for its retry
	PhaseUnconfirmed              // waiting for a user's word
)

// String gives the phase in a word.
func (p Phase) String() string {
	return [...]string{"over", "queued", "notified", "begun", "waiting", "unconfirmed"}[p]
}

// Cause is why a task is pending (P42).
type Cause string

// The causes.
const (
	NotPending      Cause = ""
	DeviceOffline   Cause = "offline"
	WaitingSchedule Cause = "scheduled"
	RateLimited     Cause = "rate"
	WaitingAsk      Cause = "ask"    // NeedPush=false: until the device asks
	BatchPaused     Cause = "paused" // until the batch is resumed
)

// Reasons of tasks that have ended.
const (
	ReasonTimeout     = "timeout" // P51
	ReasonCanceled    = "canceled by a user"
	ReasonOverwritten = "overwritten"
	ReasonBusy        = "the device has not finished another upgrade" // P46
	ReasonFinished    = "the time of the batch is over"               // P33
)

// Turned reports whether the last change of a task took it somewhere else: into another
// phase, or a new attempt, and not only from one percentage to the next.
func (t *Task) Turned() bool {
	switch t.Phase {
	case PhaseNotified:
		return t.Modified == t.NotifiedAt
	case PhaseBegun:
		return t.Modified == t.BegunAt
	}
	return true
}

// Task is the upgrade of one device by one job.
type Task struct {
	ID      string
	Job     string
	Package string
	Device  ota.Device
	Module  string
	Source  string // what the device ran when the task was made; "" if it had not reported
	Version string // the target

	Status  TaskStatus
	Phase   Phase
	Attempt int    // 1 and up
	Step    int    // last reported in this attempt: percent, or a failure below zero
	Reason  string // of a failure or cancellation, and of the last failure while it is tried again

	Created    Stamp
	Modified   Stamp
	NotifiedAt Stamp // notice of this attempt
	BegunAt    Stamp // first progress of this attempt (P37)
	FirstBegun Stamp // first progress of the first attempt that had one (Rules.TimeoutOnce)
	RetryAt    Stamp // while PhaseWaiting
	Revision   int64
}
