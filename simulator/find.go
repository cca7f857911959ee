package simulator

import "github.com/leapslot/ota"

func (c *Cloud) product(field, key string) (*product, error) {
	if key == "" {
		return nil, fail(Missing, field, "which product?")
	}
	p := c.products[key]
	if p == nil || c.foreign(p.Account) {
		return nil, fail(NotFound, field, "there is no product %q", key)
	}
	return p, nil
}

func (c *Cloud) device(productKey, name string) (*device, error) {
	p, err := c.product("Product", productKey)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, fail(Missing, "Name", "which device?")
	}
	d := p.devices[name]
	if d == nil {
		return nil, fail(NotFound, "Name", "product %s has no device %q", productKey, name)
	}
	return d, nil
}

func (c *Cloud) pack(id string) (*pack, error) {
	if id == "" {
		return nil, fail(Missing, "Package", "which package?")
	}
	p := c.packages[id]
	if p == nil || c.foreign(p.Account) {
		return nil, fail(NotFound, "Package", "there is no package %q", id)
	}
	return p, nil
}

func (c *Cloud) job(id string) (*job, error) {
	if id == "" {
		return nil, fail(Missing, "Job", "which job?")
	}
	j := c.jobs[id]
	if j == nil || c.foreign(j.Account) {
		return nil, fail(NotFound, "Job", "there is no job %q", id)
	}
	return j, nil
}

func (cmd FindProduct) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	return p.Product, nil
}

func (cmd FindDevice) apply(c *Cloud, _ Stamp) (any, error) {
	d, err := c.device(cmd.Product, cmd.Name)
	if err != nil {
		return nil, err
	}
	return d.Device, nil
}

func (cmd FindModules) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	out := []Module{{Product: p.Key, Name: ota.DefaultModule, Created: p.Created, Modified: p.Created}}
	for _, m := range p.modules {
		out = append(out, m.Module)
	}
	return out, nil
}

func (cmd FindPackage) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	return p.Package, nil
}

func (cmd FindJob) apply(c *Cloud, _ Stamp) (any, error) {
	j, err := c.job(cmd.Job)
	if err != nil {
		return nil, err
	}
	return j.Job, nil
}

func (cmd FindCauses) apply(c *Cloud, _ Stamp) (any, error) {
	out := make([]Cause, len(cmd.Tasks))
	for i := range cmd.Tasks {
		j := c.jobs[cmd.Tasks[i].Job]
		if j == nil || c.foreign(j.Account) {
			continue
		}
		if t := j.tasks[cmd.Tasks[i].ID]; t != nil {
			out[i] = t.cause()
		}
	}
	return out, nil
}

// cause is why a task is shown as pending (P42).
func (t *task) cause() Cause {
	switch {
	case t.Status != Queued:
		return NotPending
	case t.job.Pause.On():
		return BatchPaused
	case t.job.Status == JobPlanned:
		return WaitingSchedule
	case !t.device.Online:
		return DeviceOffline
	case t.job.Policy.NoPush:
		return WaitingAsk
	}
	return RateLimited
}

// Looks reports whether a command changes nothing, whatever its answer.
func Looks(cmd Command) bool {
	switch cmd := cmd.(type) {
	case As:
		return cmd.Command != nil && Looks(cmd.Command)
	case FindProduct, FindDevice, FindModules, FindPackage, FindJob, FindCauses, FindFiles, FindOffers, FindVersions, FindAllVersions, FindCandidates,
		FindMatches, FindDevices, FindPushRate, FindGroup, FindGroups, FindUnknown, FindSubDevices, FindSubLimits, AdmitSubDevice:
		return true
	}
	return false
}

func (FindFiles) apply(c *Cloud, _ Stamp) (any, error) {
	keys := make(map[string]struct{}, len(c.packages))
	for _, p := range c.packages {
		for i := range p.Files {
			keys[p.Files[i].Key] = struct{}{}
		}
	}
	return keys, nil
}
