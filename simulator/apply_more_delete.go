package simulator

import "slices"

// DeleteProduct deletes a product that has neither devices nor packages. Result:
// Product.
type DeleteProduct struct{ Product string }

// DeleteDevice deletes a device. Its unfinished tasks are cancelled; those that have
// ended stay with their jobs. Result: Device.
type DeleteDevice struct{ Product, Name string }

// DeleteModule deletes a module that no package is for; never the default one (P8).
// What devices reported of it is kept. Result: Module.
type DeleteModule struct{ Product, Name string }

// DeletePackage deletes a package whose jobs are all over, and with it these jobs and
// their tasks. Result: Package.
type DeletePackage struct{ Package string }

// ReasonDeleted is the reason of a task whose device was deleted.
const ReasonDeleted = "the device was deleted"

// Kind says of what kind a deleted value is.
type Kind string

// The kinds; Gone.Key is the product's key or an id, Gone.Name a name in the product.
const (
	KindProduct Kind = "product"
	KindModule  Kind = "module" // has a Name
	KindDevice  Kind = "device" // has a Name
	KindGroup   Kind = "group"
	KindPackage Kind = "package"
	KindJob     Kind = "job" // with all its tasks
)

// Gone is a deleted value. It may never have been stored.
type Gone struct {
	Kind Kind
	Key  string
	Name string
}

// gone is a deletion in the journal: undo puts the value back in its place.
type gone struct {
	Gone
	undo func()
}

// remove notes a deletion that was done.
func (c *Cloud) remove(m *mark, g Gone, undo func()) {
	m.gone = true
	c.journal.gone = append(c.journal.gone, gone{g, func() {
		m.gone = false
		undo()
	}})
}

func (cmd DeleteProduct) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	if n := len(p.list); n > 0 {
		return nil, fail(Refused, "Product", "the product has %d devices: delete them first", n)
	}
	for _, k := range c.packages {
		if k.Product == p.Key {
			return nil, fail(Refused, "Product", "the product has packages, such as %s: delete them first", k.ID)
		}
	}
	for len(p.modules) > 0 {
		c.removeModule(p, len(p.modules)-1)
	}
	delete(c.products, p.Key)
	c.remove(&p.mark, Gone{KindProduct, p.Key, ""}, func() { c.products[p.Key] = p })
	return p.Product, nil
}

func (cmd DeleteDevice) apply(c *Cloud, now Stamp) (any, error) {
	d, err := c.device(cmd.Product, cmd.Name)
	if err != nil {
		return nil, err
	}
	for _, t := range slices.Clone(d.active) {
		c.change(t, t.canceled(ReasonDeleted, now))
	}
	c.regroup(d, d.groups(), nil)
	p := c.products[d.ProductKey]
	at := slices.Index(p.list, d)
	p.list = slices.Delete(p.list, at, at+1)
	delete(p.devices, d.Name)
	p.count(d.Versions, -1)
	c.settling.set(d, 0)
	c.remove(&d.mark, Gone{KindDevice, p.Key, d.Name}, func() {
		p.list = slices.Insert(p.list, at, d)
		p.devices[d.Name] = d
		p.count(d.Versions, 1)
		c.settling.set(d, d.judgeAt())
		c.regroup(d, nil, d.groups())
	})
	return d.Device, nil
}

func (cmd DeleteModule) apply(c *Cloud, _ Stamp) (any, error) {
	p, i, err := c.module(cmd.Product, cmd.Name)
	if err != nil {
		return nil, err
	}
	for _, k := range c.packages {
		if k.Product == p.Key && k.Module == cmd.Name {
			return nil, fail(Refused, "Name", "the module has packages, such as %s: delete them first", k.ID)
		}
	}
	return c.removeModule(p, i).Module, nil
}

func (c *Cloud) removeModule(p *product, i int) *module {
	m := p.modules[i]
	p.modules = slices.Delete(slices.Clone(p.modules), i, i+1)
	c.remove(&m.mark, Gone{KindModule, p.Key, m.Name}, func() { p.modules = slices.Insert(p.modules, i, m) })
	return m
}

func (cmd DeletePackage) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	jobs := map[*job]struct{}{}
	for _, j := range c.jobs {
		if j.pkg == p {
			jobs[j] = struct{}{}
		}
	}
	for _, j := range sortedJobs(jobs) {
		if !j.Status.Over() {
			return nil, fail(Refused, "Package", "job %s of the package is not over: cancel it first", j.ID)
		}
	}
	for _, j := range sortedJobs(jobs) {
		delete(c.jobs, j.ID)
		c.remove(&j.mark, Gone{KindJob, j.ID, ""}, func() { c.jobs[j.ID] = j })
	}
	delete(c.packages, p.ID)
	c.remove(&p.mark, Gone{KindPackage, p.ID, ""}, func() { c.packages[p.ID] = p })
	return p.Package, nil
}
