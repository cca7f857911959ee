package simulator

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/leapslot/ota"
)

// Options are what a cloud is told from outside.
type Options struct {
	// Random gives keys and secrets. With the same bytes and the same commands and
	// events at the same times the cloud comes to the same state.
	Random io.Reader
	// MaxPushRate is the most devices a minute that a batch may ask for; 0 is
	// MaxPushRate (P34), Unlimited lifts the limit.
	MaxPushRate int
}

// Cloud is the working state: all products, devices, modules, packages and jobs,
// and the tasks that have not ended. It is not safe for concurrent use.
//
// Changes pile up until Commit or Undo. What follows from them in memory (indexes,
// queues, timers) is derived from the values and can be rebuilt from them.
type Cloud struct {
	opt      Options
	sequence int64 // the last number given to a package, job or task

	products map[string]*product
	packages map[string]*Package
	jobs     map[string]*job
	accounts map[string]int // packages of each account (P2)

	journal journal
	due     timers
	pushes  []Push
}

// product is a Product with what belongs to it.
type product struct {
	Product
	devices map[string]*device
	modules []*Module
}

// device is a Device with what follows from the tasks.
type device struct {
	Device
	active []*task // unfinished; at most one (P24)
}

// job is a Job with what follows from its tasks.
type job struct {
	Job
	pkg   *Package
	tasks map[string]*task // unfinished
	ready []*task          // in the order they want to be pushed; some may no longer want to
}

// task is a Task with the place it has.
type task struct {
	Task
	job    *job
	device *device
	queued bool  // is in job.ready
	timer  Stamp // is in Cloud.due for this moment
}

// State is everything that is stored of a cloud's working state: what Load reads.
type State struct {
	Sequence int64
	Products []Product
	Modules  []Module
	Devices  []Device
	Packages []Package
	Jobs     []Job  // all of them
	Tasks    []Task // those that have not ended
}

// New gives an empty cloud.
func New(opt Options) *Cloud {
	if opt.MaxPushRate == 0 {
		opt.MaxPushRate = MaxPushRate
	}
	return &Cloud{
		opt:      opt,
		products: map[string]*product{},
		packages: map[string]*Package{},
		jobs:     map[string]*job{},
		accounts: map[string]int{},
	}
}

// Apply does a command at the time now. After an error nothing has changed.
func (c *Cloud) Apply(cmd Command, now time.Time) (any, error) {
	return cmd.apply(c, At(now))
}

// Happen takes in what a device did at the time now.
func (c *Cloud) Happen(e Event, now time.Time) {
	e.happen(c, At(now))
}

// TakePushes gives what is to be sent because of the changes so far, in order, and
// forgets it. It must not be sent before these changes are stored.
func (c *Cloud) TakePushes() []Push {
	p := c.pushes
	c.pushes = nil
	return p
}

// newID gives the next id. Ids sort in the order they were given.
func (c *Cloud) newID(kind byte) string {
	c.journal.sequence(c)
	c.sequence++
	return formatID(kind, c.sequence)
}

func (c *Cloud) findDevice(d ota.Device) *device {
	if p := c.products[d.ProductKey]; p != nil {
		return p.devices[d.Name]
	}
	return nil
}

// sortedTasks gives the tasks of a job in the order they were made.
func sortedTasks(m map[string]*task) []*task {
	out := make([]*task, 0, len(m))
	for _, t := range m {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *task) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
