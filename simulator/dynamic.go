package simulator

import "slices"

// watches reports whether a dynamic batch wants a device that reports this version.
func (c *Cloud) watches(j *job, d *device, v Version) bool {
	return j.pkg.Module == v.Module && j.pkg.offers(v.Version, j.Sources) && (j.Group == "" || c.inGroup(d, j.Group))
}

// wanted gives the dynamic batch that is to upgrade the device because of its report:
// the newest one that wants it. Nothing when the device has matched that one with the
// same version before: it has succeeded, failed or been cancelled, and reporting at
// every boot does not bring it back (P51). Nothing either when it is at it now.
func (c *Cloud) wanted(d *device, v Version) *job {
	pr := c.products[d.ProductKey]
	for _, j := range slices.Backward(pr.watching) {
		if !c.watches(j, d, v) {
			continue
		}
		m := d.matchOf(j.ID)
		if t := d.taskOf(v.Module); t != nil && t.job == j || m.Version == v.Version || pr.Rules.NowLimits && m.N >= MaxMatches {
			return nil
		}
		return j
	}
	return nil
}

// mindsMatch reports whether match would do something.
func (c *Cloud) mindsMatch(d *device, v Version) bool {
	pr := c.products[d.ProductKey]
	return len(pr.watching) > 0 && (c.wanted(d, v) != nil || slices.ContainsFunc(pr.watching, func(j *job) bool { return d.leaves(j, v) }))
}

// leaves reports whether the device has matched the batch with a version that it runs
// no longer: it may match again then.
func (d *Device) leaves(j *job, v Version) bool {
	m := d.matchOf(j.ID)
	return j.pkg.Module == v.Module && m.Version != "" && m.Version != v.Version
}

// match gives the device to the dynamic batch that its report is for (P26, P40).
func (c *Cloud) match(d *device, v Version, now Stamp) {
	for _, j := range c.products[d.ProductKey].watching {
		if d.leaves(j, v) {
			m := d.matchOf(j.ID)
			m.Version = ""
			c.setMatch(d, m)
		}
	}
	if j := c.wanted(d, v); j != nil {
		c.addTask(j, d, now)
	}
}

// noteMatch remembers, when a task of a dynamic batch ends, that the device has
// matched it.
func (c *Cloud) noteMatch(t *task) {
	if !t.job.Watching {
		return
	}
	m := t.device.matchOf(t.job.ID)
	if m.N, m.Version = m.N+1, ""; t.device.Version(t.Module) == t.Source {
		m.Version = t.Source
	}
	c.setMatch(t.device, m)
}

// matchOf gives how often the device has matched a job.
func (d *Device) matchOf(id string) Match {
	if d.More != nil {
		for _, m := range d.More.Matches {
			if m.Job == id {
				return m
			}
		}
	}
	return Match{Job: id}
}

// setMatch keeps a match, and forgets those of strategies that are over.
func (c *Cloud) setMatch(d *device, m Match) {
	more := More{}
	if d.More != nil {
		more = *d.More
	}
	more.Matches = append(slices.DeleteFunc(slices.Clone(more.Matches), func(old Match) bool {
		j := c.jobs[old.Job]
		return old.Job == m.Job || j == nil || !j.Watching
	}), m)
	c.editDevice(d).More = &more
}
