package simulator

import "fmt"

// Load gives a cloud with a stored state. No device is online. An error says which
// value names something that is not there.
func Load(opt Options, s *State) (*Cloud, error) {
	c := New(opt)
	c.sequence = s.Sequence
	for i := range s.Products {
		c.products[s.Products[i].Key] = &product{Product: s.Products[i], devices: map[string]*device{}}
	}
	for _, m := range s.Modules {
		p := c.products[m.Product]
		if p == nil {
			return nil, fmt.Errorf("module %s is of product %q, which is not there", m.Name, m.Product)
		}
		p.modules = append(p.modules, &module{Module: m})
	}
	for i := range s.Groups {
		c.groups[s.Groups[i].ID] = &group{Group: s.Groups[i], devices: map[*device]struct{}{}}
	}
	for i := range s.Devices {
		d := &device{Device: s.Devices[i]}
		p := c.products[d.ProductKey]
		if p == nil {
			return nil, fmt.Errorf("device %s is of a product that is not there", d.Device.Device)
		}
		d.Online = false
		p.devices[d.Name] = d
		p.list = append(p.list, d)
		c.regroup(d, nil, d.groups())
		p.count(d.Versions, 1)
		c.settling.set(d, d.judgeAt())
	}
	for i := range s.Packages {
		c.packages[s.Packages[i].ID] = &pack{Package: s.Packages[i]}
	}
	for i := range s.Jobs {
		j := &job{Job: s.Jobs[i], tasks: map[string]*task{}}
		if j.pkg = c.packages[j.Package]; j.pkg == nil {
			return nil, fmt.Errorf("job %s is of package %q, which is not there", j.ID, j.Package)
		}
		if j.product = c.products[j.Product]; j.product == nil {
			return nil, fmt.Errorf("job %s is of product %q, which is not there", j.ID, j.Product)
		}
		c.jobs[j.ID] = j
	}
	for i := range s.Tasks {
		t := &task{Task: s.Tasks[i]}
		t.job, t.device = c.jobs[t.Job], c.findDevice(t.Device)
		if t.job == nil || t.device == nil {
			return nil, fmt.Errorf("task %s is of job %q and device %s, of which one is not there", t.ID, t.Job, t.Device)
		}
		t.job.tasks[t.ID] = t
		t.device.active = append(t.device.active, t)
	}
	c.derive()
	return c, nil
}
