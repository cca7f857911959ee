package simulator

import "github.com/leapslot/ota"

// Command is what a user asks for. Apply answers with the value that each command
// names, or with an *Error that says which field was wrong; then nothing has
// changed.
type Command interface {
	apply(c *Cloud, now Stamp) (any, error)
}

// CreateProduct makes a product. Result: Product.
type CreateProduct struct {
	Account  string
	Name     string
	Desc     string
	NodeType int // 0 device, 1 gateway
}

// SetSecureUpgrade switches signed notices on or off (P7). The keys are kept when
// they are empty and the product has some. Result: Product.
type SetSecureUpgrade struct {
	Product    string
	On         bool
	SigningKey []byte // PKCS #8 PEM; the server fills it in when it is needed
	PublicKey  []byte // PKIX PEM
}

// SetRules sets the options of a product, all of them at once. Tasks that are under
// way follow the new ones from then on. Result: Product.
type SetRules struct {
	Product string
	Rules   Rules
}

// RegisterDevices registers devices by name, or Count of them with names that the
// cloud makes up; all or none. Result: []Device, in the order of Names.
type RegisterDevices struct {
	Product   string
	Names     []string
	Nicknames []string // none, or as many as Names
	Count     int      // with no Names
}

// SetDeviceDisabled bars a device from signing in, or lets it again. Result: Device.
type SetDeviceDisabled struct {
	Product, Name string
	Disabled      bool
}

// CreateModule makes a module (P9 to P11). Result: Module.
type CreateModule struct {
	Product string
	Name    string
	Alias   string // may be empty
	Desc    string
}

// CreatePackage makes a package of files that are already with the package server
// (P2, P3, P5, P12 to P16). Result: Package.
type CreatePackage struct {
	Product      string
	Module       string // empty is default
	Name         string
	Desc         string
	Diff         bool
	Source       string
	Version      string
	SignMethod   ota.SignMethod
	Files        []File
	UDI          string
	NeedToVerify bool
}

// CreateVerifyJob tries a package on a few devices, chosen one by one (P17 to P20).
// Result: Job.
type CreateVerifyJob struct {
	Package        string
	Devices        []string // names
	Sources        []string // P18: the devices run one of them; none is no restriction
	TimeoutMinutes int      // 0 is none
	Desc           string
	Protocol       Protocol // empty is HTTPS
	NoPush         bool     // NeedPush=false
	NeedConfirm    bool
	Tags           []Tag
}

// CreateStaticJob upgrades the devices that match now (P25 to P28, P31, P34 to P38).
// Result: Job.
type CreateStaticJob struct {
	Package          string
	Target           Target   // any of the four
	Sources          []string // P25
	Devices          []string // names, with TargetSpecific
	TimeoutMinutes   int      // 0 is none
	RetryMinutes     int
	RetryCount       int // 0 is never
	MaximumPerMinute int // 0 is MaxPushRate
	Overwrite        OverwriteMode
	Tags             []Tag
	Desc             string
	Start            Stamp    // 0 is at once (P31, P32)
	Finish           Stamp    // 0 is never; only with Start (P33)
	Protocol         Protocol // empty is HTTPS
	Gray             string   // percent, with TargetGray: 0.001 to 100 (P30)
	Group            string   // id, with TargetGroup
	Rate             VariableRate
	NoPush           bool // NeedPush=false
	NeedConfirm      bool
	MultiModule      bool
	Stop             FailureStop // our addition; zero: failures never pause it
}

// CreateDynamicJob upgrades the devices that match now and those that match later, or
// only the latter (P22, P23, P25, P26, P40). Result: Job.
type CreateDynamicJob struct {
	Package          string
	Sources          []string    // P25: needed, a diff package has its own
	Mode             DynamicMode // 0 is AllMatching
	Group            string      // id: only devices of this group; empty is all
	TimeoutMinutes   int         // 0 is none
	RetryMinutes     int
	RetryCount       int // 0 is never
	MaximumPerMinute int // 0 is MaxPushRate
	Overwrite        OverwriteMode
	Tags             []Tag
	Desc             string
	Protocol         Protocol // empty is HTTPS
	Rate             VariableRate
	NoPush           bool // NeedPush=false
	NeedConfirm      bool
	MultiModule      bool
	Stop             FailureStop // our addition; zero: failures never pause it
}

// CancelStrategyByJob ends the watching of a dynamic batch (P55). Its tasks go on,
// unless Tasks asks for every one of them to be cancelled. Result: Job.
type CancelStrategyByJob struct {
	Job   string
	Tasks bool
}

// ConfirmTasks lets tasks go that wait for a user (NeedConfirm); all or none.
// Result: []Task.
type ConfirmTasks struct{ Tasks []string }

// ReupgradeTasks starts tasks anew that have failed or were cancelled; all or none.
// Tasks are read from the store by the caller: the working state has forgotten them.
// Result: []Task.
type ReupgradeTasks struct{ Tasks []Task }

// UpdateJob changes the rate or the timeout of a job that is not over. nil leaves it
// as it is. Result: Job.
type UpdateJob struct {
	Job              string
	MaximumPerMinute *int
	Rate             *VariableRate // its zero value makes the rate constant
	TimeoutMinutes   *int          // 0 is none
}

// CancelTasksByJob cancels the tasks of a job that are in the states asked for
// (P52, P54). At least one of the five is needed. Result: Job.
type CancelTasksByJob struct {
	Job         string
	Scheduled   bool // tasks that wait for the job's start
	Queued      bool
	Notified    bool
	InProgress  bool
	Unconfirmed bool
}

// The commands below change nothing: they look at the working state, which unlike
// the store also knows which devices are online.

// FindProduct looks a product up. Result: Product.
type FindProduct struct{ Product string }

// FindDevice looks a device up. Result: Device.
type FindDevice struct{ Product, Name string }

// FindModules lists the modules of a product, the default one first. Result: []Module.
type FindModules struct{ Product string }

// FindPackage looks a package up. Result: Package.
type FindPackage struct{ Package string }

// FindJob looks a job up. Result: Job.
type FindJob struct{ Job string }

// FindCauses says why tasks are pending (P42). Result: []Cause, in the order of Tasks.
type FindCauses struct{ Tasks []Task }

// FindVersions counts how many devices report which version (P6), of one module or,
// with an empty one, of all. Result: []VersionCount, by module and version.
type FindVersions struct{ Product, Module string }

// FindAllVersions counts as FindVersions does, of every product. Result:
// map[string][]VersionCount, by the product's key.
type FindAllVersions struct{}

// FindFiles gives the keys of all packages' files: those that are in use. Result:
// map[string]struct{}.
type FindFiles struct{}
