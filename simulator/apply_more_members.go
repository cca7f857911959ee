package simulator

import (
	"cmp"
	"slices"
	"strings"
)

// setGroups changes which groups a device is in.
func (c *Cloud) setGroups(d *device, ids []string) {
	c.regroup(d, d.groups(), ids)
	var more More
	if d.More != nil {
		more = *d.More
	}
	more.Groups = ids
	c.editDevice(d).More = &more
}

// groups gives the ids of the groups that the device is in.
func (d *Device) groups() []string {
	if d.More == nil {
		return nil
	}
	return d.More.Groups
}

// regroup keeps the groups' sets in step with a device's list.
func (c *Cloud) regroup(d *device, before, after []string) {
	for _, id := range before {
		if g := c.groups[id]; g != nil {
			delete(g.devices, d)
		}
	}
	for _, id := range after {
		if g := c.groups[id]; g != nil {
			g.devices[d] = struct{}{}
		}
	}
}

// inGroup reports whether a device is in a group or in one below it.
func (c *Cloud) inGroup(d *device, id string) bool {
	for _, at := range d.groups() {
		for g := c.groups[at]; g != nil; g = c.groups[g.Super] {
			if g.ID == id {
				return true
			}
		}
	}
	return false
}

func (g *group) sorted() []*device {
	out := make([]*device, 0, len(g.devices))
	for d := range g.devices {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *device) int {
		return cmp.Or(cmp.Compare(a.ProductKey, b.ProductKey), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func (cmd FindGroups) apply(c *Cloud, _ Stamp) (any, error) {
	out := []Group{}
	for _, g := range c.groups {
		if g.Account == cmd.Account && g.Super == cmd.Super && strings.Contains(g.Name, cmd.Name) {
			out = append(out, g.Group)
		}
	}
	slices.SortFunc(out, func(a, b Group) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (cmd FindGroup) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.group(cmd.Group)
	if err != nil {
		return nil, err
	}
	out := GroupDevices{Group: g.Group}
	for _, d := range g.sorted() {
		out.Devices = append(out.Devices, d.Device.Device)
		if d.Activated != 0 {
			out.Activated++
		}
		if d.Online {
			out.Online++
		}
	}
	return out, nil
}
