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
	// AppEvents has Changes carry what applications are told.
	AppEvents bool
}

// Cloud is the working state: all products, devices, modules, packages and jobs,
// and the tasks that have not ended. It is not safe for concurrent use.
//
// Changes pile up until Commit or Undo. What follows from the values in memory
// (indexes, queues, timers) is kept beside them and can be made again from them.
type Cloud struct {
	opt      Options
	sequence int64 // the last number given to a package, job or task

	products map[string]*product
	packages map[string]*pack
	jobs     map[string]*job
	groups   map[string]*group

	running  map[*job]struct{} // jobs that are not over
	wanting  map[*job]struct{} // jobs with tasks in ready
	due      timers[*task]
	settling timers[*device]
	revived  map[string]*task // tasks that were started anew, as they are now
	pushes   []Push
	account  string // that the command being applied is limited to: see As
	audit    []AuditEntry
	told     []AppEvent
	journal  journal
}

// product is a Product with what belongs to it.
type product struct {
	mark
	Product
	devices map[string]*device
	list    []*device // in the order of registration
	modules []*module

	versions map[moduleVersion]int // how many devices report each (P6)
	watching []*job                // its dynamic batches whose strategy is on, oldest first
}

type module struct {
	mark
	Module
}

type pack struct {
	mark
	Package
}

// device is a Device with its unfinished tasks, of which there is at most one, or one
// for each module where they are upgraded on their own (P24).
type device struct {
	mark
	Device
	active []*task
	timer  Stamp // is in Cloud.settling for this moment
}

// job is a Job with its unfinished tasks.
type job struct {
	mark
	Job
	pkg     *pack
	product *product
	tasks   map[string]*task
	ready   []*task   // in the order they came to want a push; some may want it no longer
	told    JobStatus // what applications know of it
	recent  *recent   // its pushes of the last minute; nil is none
}

// task is a Task in its place.
type task struct {
	mark
	Task
	job    *job
	device *device
	queued bool  // is in job.ready
	missed bool  // its notice was held back by a pause, and is sent again after it
	timer  Stamp // is in Cloud.due for this moment
}

// State is everything that is stored of a cloud's working state: what Load reads.
type State struct {
	Sequence int64
	Products []Product
	Modules  []Module
	Devices  []Device // in the order of their registration
	Groups   []Group
	Packages []Package
	Jobs     []Job
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
		packages: map[string]*pack{},
		jobs:     map[string]*job{},
		groups:   map[string]*group{},
		running:  map[*job]struct{}{},
		wanting:  map[*job]struct{}{},
		revived:  map[string]*task{},
	}
}

// Apply does a command at the time now. After an error nothing has changed.
func (c *Cloud) Apply(cmd Command, now time.Time) (any, error) {
	v, err := cmd.apply(c, At(now))
	if !Looks(cmd) {
		c.pump(now)
		c.tellJobs(At(now))
	}
	return v, err
}

// Happen takes in what a device did at the time now.
func (c *Cloud) Happen(e Event, now time.Time) {
	e.happen(c, At(now))
	c.pump(now)
	c.tellJobs(At(now))
}

// Tick does what is due by the time now: timeouts, retries, starts and ends of
// batches, and the pushes that their rates allow.
func (c *Cloud) Tick(now time.Time) {
	at := At(now)
	for t := c.due.take(at); t != nil; t = c.due.take(at) {
		c.change(t, t.ticked(t.terms(), at))
		c.place(t)
	}
	for d := c.settling.take(at); d != nil; d = c.settling.take(at) {
		c.judge(d, at)
	}
	for _, j := range c.sortedRunning() {
		c.tickJob(j, at)
	}
	c.pump(now)
	c.tellJobs(At(now))
}

// Next is when Tick has something to do, as far as is known; the zero time is never.
func (c *Cloud) Next() time.Time {
	next := int64(c.due.next()) * int64(time.Millisecond)
	sooner := func(at int64) {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	sooner(int64(c.settling.next()) * int64(time.Millisecond))
	for j := range c.running {
		if j.Status == JobPlanned {
			sooner(int64(j.Start) * int64(time.Millisecond))
		}
		sooner(int64(j.Finish) * int64(time.Millisecond))
	}
	for j := range c.wanting {
		sooner(max(j.NextPush, 1))
	}
	if next == 0 {
		return time.Time{}
	}
	return time.Unix(0, next).UTC()
}

// TakePushes gives what is to be sent because of the changes so far, in order, and
// forgets it. It must not be sent before these changes are stored.
func (c *Cloud) TakePushes() []Push {
	p := c.pushes
	c.pushes = nil
	return p
}

// Sequence is the last number that was given to a package, a job or a task.
func (c *Cloud) Sequence() int64 { return c.sequence }

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

// sortedTasks gives the unfinished tasks of a job in the order they were made.
func (j *job) sortedTasks() []*task {
	out := make([]*task, 0, len(j.tasks))
	for _, t := range j.tasks {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *task) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (c *Cloud) sortedRunning() []*job { return sortedJobs(c.running) }

func sortedJobs(set map[*job]struct{}) []*job {
	out := make([]*job, 0, len(set))
	for j := range set {
		out = append(out, j)
	}
	slices.SortFunc(out, func(a, b *job) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
