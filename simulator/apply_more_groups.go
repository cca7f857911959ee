package simulator

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/leapslot/ota"
)

// Limits of groups (the platform's).
const (
	MaxGroups         = 1000   // MaxGroups is the most groups of an account.
	MaxGroupDepth     = 5      // MaxGroupDepth is how deep groups stand in groups.
	MaxGroupDevices   = 20_000 // MaxGroupDevices is the most devices of a group.
	MaxGroupsOfDevice = 10     // MaxGroupsOfDevice is the most groups that a device is in.
	MaxGroupBatch     = 200    // MaxGroupBatch is the most devices that are added or taken out at once.
	MinGroupName      = 4      // MinGroupName is the fewest characters of a group's name.
	MaxGroupName      = 30     // MaxGroupName is the most characters of a group's name.
)

// Group is a set of devices of any products, for batches with TargetGroup. The devices
// of the groups below it count as its own there.
type Group struct {
	ID       string
	Account  string
	Name     string // unique in the account
	Desc     string
	Super    string // the group it stands in; empty for most
	Created  Stamp
	Revision int64
}

// group is a Group with its devices; Device.Groups is what is stored of them.
type group struct {
	mark
	Group
	devices map[*device]struct{}
}

// CreateGroup makes a group. Result: Group.
type CreateGroup struct{ Account, Name, Desc, Super string }

// UpdateGroup changes a group's description. Result: Group.
type UpdateGroup struct{ Group, Desc string }

// DeleteGroup deletes a group that has no groups below it and that no running batch is
// for. Its devices stay. Result: Group.
type DeleteGroup struct{ Group string }

// AddToGroup puts devices into a group, RemoveFromGroup takes them out. Those that
// are not there are passed over. Result: GroupChange.
type AddToGroup struct {
	Group   string
	Devices []ota.Device
}

// RemoveFromGroup takes devices out of a group. Result: GroupChange.
type RemoveFromGroup struct {
	Group   string
	Devices []ota.Device
}

// GroupChange says how many devices were meant: those that exist, those of them that
// are in MaxGroupsOfDevice groups, those that were in the group, those that were
// added or taken out.
type GroupChange struct{ Valid, Exceeding, Already, Done int }

// FindGroups lists the groups of an account below Super, or those that stand in none;
// Name, when given, is a part of the names. Result: []Group, the oldest first.
type FindGroups struct{ Account, Super, Name string }

// FindGroup looks a group up. Result: GroupDevices.
type FindGroup struct{ Group string }

// GroupDevices is a group with its devices by product and name.
type GroupDevices struct {
	Group
	Devices   []ota.Device
	Activated int // of them
	Online    int // of them
}

func (c *Cloud) group(id string) (*group, error) {
	if id == "" {
		return nil, fail(Missing, "Group", "which group?")
	}
	g := c.groups[id]
	if g == nil || c.foreign(g.Account) {
		return nil, fail(NotFound, "Group", "there is no group %q", id)
	}
	return g, nil
}

func (cmd CreateGroup) apply(c *Cloud, now Stamp) (any, error) {
	if err := cmd.check(); err != nil {
		return nil, err
	}
	n := 0
	for _, g := range c.groups {
		if g.Account != cmd.Account {
			continue
		}
		if n++; g.Name == cmd.Name {
			return nil, fail(Exists, "Name", "there is a group named %q already, its id is %s", cmd.Name, g.ID)
		}
	}
	if n >= MaxGroups {
		return nil, fail(Limit, "Name", "the account has %d groups already, allowed are at most %d", n, MaxGroups)
	}
	depth := 1
	for at := cmd.Super; at != ""; at = c.groups[at].Super {
		if g := c.groups[at]; g == nil || g.Account != cmd.Account {
			return nil, fail(NotFound, "Super", "there is no group %q", at)
		}
		if depth++; depth > MaxGroupDepth {
			return nil, fail(Invalid, "Super", "groups stand in groups at most %d deep", MaxGroupDepth)
		}
	}
	g := &group{devices: map[*device]struct{}{}}
	*c.editGroup(g) = Group{
		ID: c.newID('g'), Account: cmd.Account, Name: cmd.Name, Desc: cmd.Desc, Super: cmd.Super,
		Created: now, Revision: 1,
	}
	c.groups[g.ID] = g
	return g.Group, nil
}

func (cmd *CreateGroup) check() error {
	if cmd.Name == "" {
		return fail(Missing, "Name", "a group needs a name")
	}
	n := utf8.RuneCountInString(cmd.Name)
	other := func(r rune) bool { return !letter(r) && r != '_' }
	if n < MinGroupName || n > MaxGroupName || strings.ContainsFunc(cmd.Name, other) {
		return fail(Invalid, "Name", "a group's name has %d to %d Chinese, English and Japanese letters, digits and _, not %q", MinGroupName, MaxGroupName, cmd.Name)
	}
	return invalid("Desc", ota.CheckText("the description", cmd.Desc, MaxDescription))
}

func (cmd UpdateGroup) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.group(cmd.Group)
	if err != nil {
		return nil, err
	}
	if err := ota.CheckText("the description", cmd.Desc, MaxDescription); err != nil {
		return nil, invalid("Desc", err)
	}
	c.editGroup(g).Desc = cmd.Desc
	return g.Group, nil
}

func (cmd DeleteGroup) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.group(cmd.Group)
	if err != nil {
		return nil, err
	}
	for _, below := range c.groups {
		if below.Super == g.ID {
			return nil, fail(Refused, "Group", "group %s stands in it: delete that first", below.ID)
		}
	}
	for j := range c.running {
		if j.Group == g.ID && j.Selection == Dynamic {
			return nil, fail(Refused, "Group", "the dynamic batch %s is for the group: cancel its strategy first", j.ID)
		}
	}
	for _, d := range g.sorted() {
		c.setGroups(d, slices.DeleteFunc(slices.Clone(d.groups()), func(id string) bool { return id == g.ID }))
	}
	delete(c.groups, g.ID)
	c.remove(&g.mark, Gone{KindGroup, g.ID, ""}, func() { c.groups[g.ID] = g })
	return g.Group, nil
}

func (cmd AddToGroup) apply(c *Cloud, now Stamp) (any, error) {
	g, devices, err := c.meant(cmd.Group, cmd.Devices)
	if err != nil {
		return nil, err
	}
	n := GroupChange{Valid: len(devices)}
	if len(g.devices)+len(devices) > MaxGroupDevices {
		return nil, fail(Limit, "Devices", "the group has %d devices already, allowed are at most %d", len(g.devices), MaxGroupDevices)
	}
	for _, d := range devices {
		switch {
		case slices.Contains(d.groups(), g.ID):
			n.Already++
		case len(d.groups()) >= MaxGroupsOfDevice:
			n.Exceeding++
		default:
			c.setGroups(d, append(slices.Clone(d.groups()), g.ID))
			c.joined(d, now)
			n.Done++
		}
	}
	return n, nil
}

// joined gives a device to the dynamic batch that it has come to match by joining a
// group (P26). One that is for newly reported versions alone waits for a report (P40).
func (c *Cloud) joined(d *device, now Stamp) {
	for _, v := range d.Versions {
		if j := c.wanted(d, v); j != nil && j.Group != "" && j.Dynamic == int(AllMatching) {
			c.addTask(j, d, now)
		}
	}
}

func (cmd RemoveFromGroup) apply(c *Cloud, _ Stamp) (any, error) {
	g, devices, err := c.meant(cmd.Group, cmd.Devices)
	if err != nil {
		return nil, err
	}
	n := GroupChange{Valid: len(devices)}
	for _, d := range devices {
		if slices.Contains(d.groups(), g.ID) {
			n.Already++
			n.Done++
			c.setGroups(d, slices.DeleteFunc(slices.Clone(d.groups()), func(id string) bool { return id == g.ID }))
		}
	}
	return n, nil
}

// meant gives the group, and those of the devices that exist, each once.
func (c *Cloud) meant(id string, named []ota.Device) (*group, []*device, error) {
	g, err := c.group(id)
	if err != nil {
		return nil, nil, err
	}
	if n := len(named); n == 0 || n > MaxGroupBatch {
		return nil, nil, fail(Invalid, "Devices", "%d devices, allowed are 1 to %d at once", n, MaxGroupBatch)
	}
	var devices []*device
	for _, name := range named {
		d := c.findDevice(name)
		if d != nil && c.products[d.ProductKey].Account == g.Account && !slices.Contains(devices, d) {
			devices = append(devices, d)
		}
	}
	return g, devices, nil
}
