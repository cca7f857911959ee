package simulator

// JobType is what a job is for, spelled as in the cloud API.
type JobType string

// The types of jobs.
const (
	VerifyFirmware  JobType = "VERIFY_FIRMWARE"
	UpgradeFirmware JobType = "UPGRADE_FIRMWARE"
)

// JobStatus is spelled as in the cloud API.
type JobStatus string

// The states of a job.
const (
	JobPlanned    JobStatus = "PLANNED"
	JobInProgress JobStatus = "IN_PROGRESS"
	JobCompleted  JobStatus = "COMPLETED"
	JobCanceled   JobStatus = "CANCELED"
)

// Over reports whether the job has ended for good.
func (s JobStatus) Over() bool { return s == JobCompleted || s == JobCanceled }

// Selection says whether a batch watches devices that match later (P26).
type Selection string

// The selections.
const (
	Static  Selection = "STATIC"
	Dynamic Selection = "DYNAMIC"
)

// Target is how the devices of a batch are chosen (P27 to P30).
type Target string

// The targets.
const (
	TargetAll      Target = "ALL"
	TargetSpecific Target = "SPECIFIC"
	TargetGray     Target = "GRAY"
	TargetGroup    Target = "GROUP"
)

// OverwriteMode says what becomes of a task that a device already has (P38).
type OverwriteMode int

// The modes; 0 means KeepTask.
const (
	KeepTask      OverwriteMode = 1
	OverwriteTask OverwriteMode = 2
)

// DynamicMode says which devices a dynamic batch begins with (P40).
type DynamicMode int

// The modes; 0 means AllMatching.
const (
	AllMatching   DynamicMode = 1 // those that match now, and those that match later
	NewlyReported DynamicMode = 2 // only those that report a version after the batch was made
)

// Policy is how a job treats each of its devices. The zero value of what came later
// is what jobs had before.
type Policy struct {
	TimeoutMinutes   int           // from the first progress of an attempt; 0 is none (P20, P37)
	RetryMinutes     int           // 0 is at once (P35)
	RetryCount       int           // 0 is never (P35, P36)
	MaximumPerMinute int           // devices that get the notice (P34)
	Overwrite        OverwriteMode // P38
	Rate             VariableRate  // zero: the rate is constant
	NoPush           bool          // NeedPush=false: a device gets its notice when it asks
	NeedConfirm      bool          // tasks wait in CONFIRM until a user confirms them
	MultiModule      bool          // a device may have a task of each of its modules
	Stop             FailureStop   // zero: failures never pause the job
}

// VariableRate is a push rate that begins at Base devices a minute and is multiplied
// by Factor each time so many devices were notified, or have succeeded, up to the
// policy's MaximumPerMinute. Exactly one of Notified and Succeeded is set.
type VariableRate struct {
	Base      int    // BaseRatePerMinute; 0 is no variable rate
	Factor    string // IncrementFactor, at most 1 decimal: 1.1 to 5
	Notified  int    // NumberOfNotifiedDevices
	Succeeded int    // NumberOfSucceedDevices
}

// Tag is a key and a value sent to the device with the notice (P41).
type Tag struct{ Key, Value string }

// Job is a verification or a batch.
type Job struct {
	ID        string
	Account   string
	Product   string
	Package   string
	Type      JobType
	Selection Selection
	Target    Target
	Status    JobStatus
	Desc      string
	Sources   []string // source versions; none is no restriction (P25)
	Devices   []string // names, when the target is TargetSpecific; nil once the tasks are made
	Policy    Policy
	Protocol  Protocol // of the download; empty is HTTPS
	Tags      []Tag    // P41
	Gray      string   // percent, with TargetGray (P30)
	Start     Stamp    // P32; 0 is at once
	Finish    Stamp    // P33; 0 is never
	Group     string   // id, with TargetGroup
	Dynamic   int      // DynamicMode, with Dynamic: 1 all, 2 newly reported (P40)
	Watching  bool     // with Dynamic: the strategy has not been cancelled (P55)
	Pushed    int      // devices that were notified so far, for a variable rate
	Pause     Pause    // zero: it is not paused
	Tried     Tried    // what counts against Policy.Stop
	NextPush  int64    // nanoseconds since 1970 of the pacer's next place

	Counts   Counts
	Created  Stamp
	Modified Stamp
	Ended    Stamp
	Revision int64
}

// Counts is how many tasks of a job are in each state (P53).
type Counts struct {
	Queued, Notified, InProgress, Succeeded, Failed, Canceled int

	Unconfirmed int // in CONFIRM
}

// Total is all tasks of the job.
func (c Counts) Total() int { return c.Active() + c.Succeeded + c.Failed + c.Canceled }

// Active is the tasks that have not ended.
func (c Counts) Active() int { return c.Unconfirmed + c.Queued + c.Notified + c.InProgress }

func (c *Counts) of(s TaskStatus) *int {
	switch s {
	case Unconfirmed:
		return &c.Unconfirmed
	case Queued:
		return &c.Queued
	case Notified:
		return &c.Notified
	case InProgress:
		return &c.InProgress
	case Succeeded:
		return &c.Succeeded
	case Failed:
		return &c.Failed
	}
	return &c.Canceled
}
