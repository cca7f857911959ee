package simulator

import (
	"fmt"
	"slices"
)

// Changes is what has to be stored: each changed value once, as it is now. Its
// Revision is one more than that of the stored row it replaces, and 1 when there
// is none yet.
type Changes struct {
	Sequence int64  // 0 when unchanged
	Gone     []Gone // to be deleted before the rest is stored
	Products []Product
	Modules  []Module
	Devices  []Device
	Groups   []Group
	Packages []Package
	Jobs     []Job
	Tasks    []Task // those that have ended too: the store keeps them, the cloud forgets them
	Audit    []AuditEntry
	Events   []AppEvent // in the order that they are to be delivered in
}

// Rows is how many values there are to store.
func (ch *Changes) Rows() int {
	n := len(ch.Gone) + len(ch.Products) + len(ch.Modules) + len(ch.Devices) + len(ch.Groups) +
		len(ch.Packages) + len(ch.Jobs) + len(ch.Tasks) + len(ch.Audit) + len(ch.Events)
	if ch.Sequence != 0 {
		n++
	}
	return n
}

// journal remembers what every changed value was at the last commit. Every change
// of a value goes through one of the edit methods below, which note it first.
type journal struct {
	products entries[Product, product]
	modules  entries[Module, module]
	devices  entries[Device, device]
	groups   entries[Group, group]
	packages entries[Package, pack]
	jobs     entries[Job, job]
	tasks    entries[Task, task]
	gone     []gone
	seqOld   int64
	seqNew   bool
}

func (j *journal) sequence(c *Cloud) {
	if !j.seqNew {
		j.seqNew, j.seqOld = true, c.sequence
	}
}

// mark is set on what is in the journal, and on what was deleted.
type mark struct{ noted, gone bool }

// entries is the journal of one kind: V is what is stored of it, T what holds it.
type entries[V, T any] []entry[V, T]

type entry[V, T any] struct {
	of      *T
	old     V
	created bool
}

// note records the value before it is changed, and says whether this is the first
// change since the last commit.
func (e *entries[V, T]) note(m *mark, of *T, old V, created bool) bool {
	if m.noted {
		return false
	}
	m.noted = true
	*e = append(*e, entry[V, T]{of, old, created})
	return true
}

// forget empties the journal, and keeps its memory unless it was a big one.
func forget[V, T any](e *entries[V, T], marked func(*T) *mark) {
	for i := range *e {
		marked((*e)[i].of).noted = false
	}
	clear(*e)
	if *e = (*e)[:0]; cap(*e) > 4096 {
		*e = nil
	}
}

func (c *Cloud) editProduct(p *product) *Product {
	if c.journal.products.note(&p.mark, p, p.Product, p.Revision == 0) {
		p.Revision++
	}
	return &p.Product
}

func (c *Cloud) editModule(m *module) *Module {
	if c.journal.modules.note(&m.mark, m, m.Module, m.Revision == 0) {
		m.Revision++
	}
	return &m.Module
}

func (c *Cloud) editDevice(d *device) *Device {
	if c.journal.devices.note(&d.mark, d, d.Device, d.Revision == 0) {
		d.Revision++
	}
	return &d.Device
}

func (c *Cloud) editGroup(g *group) *Group {
	if c.journal.groups.note(&g.mark, g, g.Group, g.Revision == 0) {
		g.Revision++
	}
	return &g.Group
}

func (c *Cloud) editPackage(p *pack) *Package {
	if c.journal.packages.note(&p.mark, p, p.Package, p.Revision == 0) {
		p.Revision++
	}
	return &p.Package
}

func (c *Cloud) editJob(j *job) *Job {
	if c.journal.jobs.note(&j.mark, j, j.Job, j.Revision == 0) {
		j.Revision++
	}
	return &j.Job
}

func (c *Cloud) editTask(t *task) *Task {
	if c.journal.tasks.note(&t.mark, t, t.Task, t.Revision == 0) {
		t.Revision++
	}
	return &t.Task
}

// Changes gives what has changed since the last Commit. The slices inside of the
// values are shared with the cloud, which never changes them in place.
func (c *Cloud) Changes() *Changes {
	ch := &Changes{Audit: c.audit, Events: c.told}
	j := &c.journal
	if j.seqNew {
		ch.Sequence = c.sequence
	}
	for _, g := range j.gone {
		ch.Gone = append(ch.Gone, g.Gone)
	}
	for _, e := range j.products {
		if !e.of.gone {
			ch.Products = append(ch.Products, e.of.Product)
		}
	}
	for _, e := range j.modules {
		if !e.of.gone {
			ch.Modules = append(ch.Modules, e.of.Module)
		}
	}
	for _, e := range j.devices {
		if !e.of.gone {
			ch.Devices = append(ch.Devices, e.of.Device)
		}
	}
	for _, e := range j.groups {
		if !e.of.gone {
			ch.Groups = append(ch.Groups, e.of.Group)
		}
	}
	for _, e := range j.packages {
		if !e.of.gone {
			ch.Packages = append(ch.Packages, e.of.Package)
		}
	}
	for _, e := range j.jobs {
		if !e.of.gone {
			ch.Jobs = append(ch.Jobs, e.of.Job)
		}
	}
	for _, e := range j.tasks {
		if !e.of.job.gone { // else deleted with its job
			ch.Tasks = append(ch.Tasks, e.of.Task)
		}
	}
	return ch
}

// Commit makes the changes the state that Undo gives back: they are stored.
func (c *Cloud) Commit() {
	j := &c.journal
	forget(&j.products, func(p *product) *mark { return &p.mark })
	forget(&j.modules, func(m *module) *mark { return &m.mark })
	forget(&j.devices, func(d *device) *mark { return &d.mark })
	forget(&j.groups, func(g *group) *mark { return &g.mark })
	forget(&j.packages, func(p *pack) *mark { return &p.mark })
	forget(&j.jobs, func(j *job) *mark { return &j.mark })
	forget(&j.tasks, func(t *task) *mark { return &t.mark })
	j.gone, j.seqNew = nil, false
	c.audit, c.told = nil, nil
}

// Undo takes back every change since the last Commit, and what was to be sent: they
// could not be stored. Which devices are online is not taken back, it is not the
// cloud's to decide.
func (c *Cloud) Undo() {
	j := &c.journal
	for _, g := range slices.Backward(j.gone) { // first: what was made after it stands behind it
		g.undo()
	}
	for _, e := range j.tasks {
		id, ends := e.of.ID, e.of.Phase == PhaseOver
		e.of.Task = e.old
		switch ended := e.of.Phase == PhaseOver; { // a new one had: its old value is none
		case ended:
			delete(e.of.job.tasks, id)
			e.of.device.drop(e.of)
		case ends:
			e.of.job.tasks[id] = e.of
			e.of.device.active = append(e.of.device.active, e.of)
		}
	}
	for _, e := range j.jobs {
		id := e.of.ID
		if e.of.Job = e.old; e.created {
			delete(c.jobs, id)
		}
	}
	for _, e := range j.packages {
		id := e.of.ID
		if e.of.Package = e.old; e.created {
			delete(c.packages, id)
		}
	}
	for _, e := range j.groups {
		id := e.of.ID
		if e.of.Group = e.old; e.created {
			delete(c.groups, id)
		}
	}
	c.undoDevices()
	for _, e := range j.products {
		key := e.of.Key
		if e.of.Product = e.old; e.created {
			delete(c.products, key)
		}
	}
	if j.seqNew {
		c.sequence = j.seqOld
	}
	c.Commit() // the journal's work is done
	c.pushes = nil
	c.derive()
}

func (c *Cloud) undoDevices() {
	for _, e := range c.journal.devices {
		now := e.of.Device
		e.of.Device = e.old
		c.products[now.ProductKey].count(now.Versions, -1)
		c.products[now.ProductKey].count(e.old.Versions, 1)
		c.regroup(e.of, now.groups(), e.old.groups())
		e.of.Online, e.of.LastOnline = now.Online, now.LastOnline
		c.settling.set(e.of, e.of.judgeAt())
		if e.created { // created ones are at the end of the list
			p := c.products[now.ProductKey]
			if p.devices[now.Name] == e.of { // else one of this name was deleted before
				delete(p.devices, now.Name)
			}
			p.list = p.list[:len(p.list)-1]
		}
	}
	for _, e := range c.journal.modules {
		now := e.of.Module
		if e.of.Module = e.old; e.created {
			p := c.products[now.Product]
			p.modules = p.modules[:len(p.modules)-1]
		}
	}
}

// derive makes everything again that follows from the values.
func (c *Cloud) derive() {
	c.due = nil
	clear(c.running)
	clear(c.wanting)
	for _, p := range c.products {
		p.watching = nil
	}
	for _, j := range c.jobs {
		j.ready, j.told = nil, j.Status
		if !j.Status.Over() {
			c.running[j] = struct{}{}
		}
	}
	for _, j := range c.sortedRunning() {
		if j.Watching {
			j.product.watching = append(j.product.watching, j)
		}
		for _, t := range j.sortedTasks() {
			t.queued, t.timer = false, 0
			c.place(t)
		}
	}
}

func formatID(kind byte, n int64) string { return fmt.Sprintf("%c%012d", kind, n) }
