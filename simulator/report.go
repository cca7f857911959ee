package simulator

import (
	"slices"

	"github.com/leapslot/ota"
)

func (e Informed) happen(c *Cloud, now Stamp) {
	d := c.findDevice(e.Device)
	module := moduleOr(e.Module)
	if d == nil || ota.CheckModule(module) != nil || ota.CheckVersion(e.Version) != nil {
		return
	}
	before, i := c.noteVersion(d, module, e.Version, now)
	t := d.taskOf(module)
	if t != nil {
		again := before.At != 0 && now < before.At.Add(settling) && t.Source == before.Version
		if t.Source == "" || again && t.job.pkg.offers(e.Version, t.job.Sources) {
			c.change(t, t.sourced(e.Version, now))
		}
		c.change(t, t.informed(e.Version, t.terms(), now))
		c.place(t)
	}
	if i >= 0 {
		c.putOff(d, i, now)
	}
}

// noteVersion keeps the reported version, and gives the one before and the place in
// d.Versions, -1 when there is none left. A device reports the same version at every
// boot, which changes nothing.
func (c *Cloud) noteVersion(d *device, module, version string, now Stamp) (before Version, i int) {
	i = slices.IndexFunc(d.Versions, func(v Version) bool { return v.Module == module })
	if i >= 0 && d.Versions[i].Version == version || i < 0 && len(d.Versions) >= MaxVersions {
		return Version{}, i
	}
	if module == ota.DefaultModule {
		module = ota.DefaultModule // one string for a million devices
	}
	pr, e := c.products[d.ProductKey], c.editDevice(d)
	e.Versions = slices.Clone(e.Versions)
	if i < 0 {
		e.Versions = append(e.Versions, Version{})
		i = len(e.Versions) - 1
	} else {
		before = e.Versions[i]
		pr.count(e.Versions[i:i+1], -1)
	}
	e.Versions[i] = Version{Module: module, Version: version, At: now, JudgeAt: before.JudgeAt}
	c.tellVersion(d, module, version, now)
	pr.count(e.Versions[i:i+1], 1)
	return before, i
}

// putOff has a report judged when it has settled, if it would mean something then.
// One that means nothing takes back the one before it. The moment is the first
// report's: a device that never stops changing its mind is judged all the same.
func (c *Cloud) putOff(d *device, i int, now Stamp) {
	v := d.Versions[i]
	t := d.taskOf(v.Module)
	minds := t != nil && t.judged(v.Version, now, t.terms(), now) != t.Task || c.mindsMatch(d, v)
	switch {
	case minds && v.JudgeAt == 0:
		v.JudgeAt = now.Add(settling)
	case !minds && v.JudgeAt != 0:
		v.JudgeAt = 0
	default:
		return
	}
	e := c.editDevice(d)
	e.Versions = slices.Clone(e.Versions)
	e.Versions[i] = v
	c.settling.set(d, d.judgeAt())
}

// judge holds reports that have settled against the device's tasks, and gives the
// device to dynamic batches.
func (c *Cloud) judge(d *device, now Stamp) {
	for i := range d.Versions {
		v := d.Versions[i]
		if v.JudgeAt == 0 || v.JudgeAt > now {
			continue
		}
		e := c.editDevice(d)
		e.Versions = slices.Clone(e.Versions)
		e.Versions[i].JudgeAt = 0
		if t := d.taskOf(v.Module); t != nil {
			c.change(t, t.judged(v.Version, v.JudgeAt.Add(-settling), t.terms(), now))
			c.place(t)
		}
		c.match(d, v, now)
	}
	c.settling.set(d, d.judgeAt())
}

// judgeAt is when the next report of the device has settled; 0 is never.
func (d *Device) judgeAt() Stamp {
	var at Stamp
	for i := range d.Versions {
		if n := d.Versions[i].JudgeAt; n != 0 && (at == 0 || n < at) {
			at = n
		}
	}
	return at
}
