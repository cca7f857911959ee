package openapi

import (
	"context"
	"slices"
	"strconv"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

const (
	groupPage          = 10
	maxGroupPage       = 200
	maxGroupDevicePage = 50
	// groupStatic is the type of groups that devices are put into by hand. Those of the
	// other type, groupDynamic, follow from a search that this simulator has not.
	groupStatic  = "LINK_PLATFORM"
	groupDynamic = "LINK_PLATFORM_DYNAMIC"
)

// readGroupType accepts the one type of groups that there is.
func readGroupType(p *reader) {
	if p.choice("GroupType", groupStatic, groupStatic, groupDynamic) == groupDynamic {
		p.fail(business(codeLater, "GroupType: %s is not supported by this simulator, only %s", groupDynamic, groupStatic))
	}
}

type groupBrief struct{ GroupId, GroupName, GroupDesc, UtcCreate string }

type groupInfo struct {
	groupBrief
	GroupType string
}

func briefOf(g *simulator.Group) groupBrief { return groupBrief{g.ID, g.Name, g.Desc, utc(g.Created)} }

func groupOf(g *simulator.Group) groupInfo { return groupInfo{briefOf(g), groupStatic} }

func createGroup(p *reader) call {
	cmd := simulator.CreateGroup{
		Name:  p.need("GroupName", maxText),
		Desc:  p.text("GroupDesc", maxText),
		Super: p.text("SuperGroupId", maxID),
	}
	return func(ctx context.Context, s session) (answer, error) {
		cmd.Account = s.who.Account
		made, err := do[simulator.Group](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		return data(briefOf(&made)), nil
	}
}

func updateGroup(p *reader) call {
	readGroupType(p)
	return changed[simulator.Group](simulator.UpdateGroup{Group: p.need("GroupId", maxID), Desc: p.text("GroupDesc", maxText)})
}

func deleteGroup(p *reader) call {
	return changed[simulator.Group](simulator.DeleteGroup{Group: p.need("GroupId", maxID)})
}

func queryGroup(p *reader) call {
	readGroupType(p)
	id := p.need("GroupId", maxID)
	return func(ctx context.Context, s session) (answer, error) {
		g, err := do[simulator.GroupDevices](ctx, s, simulator.FindGroup{Group: id})
		if err != nil {
			return nil, err
		}
		return data(groupDetail{briefOf(&g.Group), len(g.Devices), g.Activated, g.Online}), nil
	}
}

type groupDetail struct {
	groupBrief
	DeviceCount, DeviceActive, DeviceOnline int
}

type groupList struct {
	head
	CurrentPage, PageCount, PageSize, Total int
	Data                                    struct{ GroupInfo []groupInfo }
}

// queryGroups lists the groups that stand in SuperGroupId, or in none.
func queryGroups(p *reader) call {
	cmd := simulator.FindGroups{Super: p.text("SuperGroupId", maxID), Name: p.text("GroupName", maxText)}
	kinds := p.list("GroupTypes", 2, 32)
	for _, kind := range kinds {
		if kind != groupStatic && kind != groupDynamic {
			p.fail(invalid("GroupTypes", "has %q, allowed are %s and %s", shorten(kind), groupStatic, groupDynamic))
		}
	}
	static := len(kinds) == 0 || slices.Contains(kinds, groupStatic)
	pg := p.page(groupPage, maxGroupPage)
	return func(ctx context.Context, s session) (answer, error) {
		cmd.Account = s.who.Account
		found, err := do[[]simulator.Group](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		if !static {
			found = nil
		}
		a := &groupList{CurrentPage: pg.Number, PageCount: pg.Count(len(found)), PageSize: pg.Size, Total: len(found)}
		a.Data.GroupInfo = []groupInfo{}
		for _, g := range cut(found, pg) {
			a.Data.GroupInfo = append(a.Data.GroupInfo, groupOf(&g))
		}
		return a, nil
	}
}

// readMembers reads the devices that are to be put into a group or taken out.
func readMembers(p *reader) (group string, devices []ota.Device) {
	group = p.need("GroupId", maxID)
	n := p.objects("Device", simulator.MaxGroupBatch, "ProductKey", "DeviceName")
	for i := range min(n, simulator.MaxGroupBatch) {
		item := "Device." + strconv.Itoa(i+1) + "."
		devices = append(devices, ota.Device{ProductKey: p.need(item+"ProductKey", maxKey), Name: p.need(item+"DeviceName", maxName)})
	}
	if n == 0 {
		p.fail(missing("Device"))
	}
	return group, devices
}

func addToGroup(p *reader) call {
	id, devices := readMembers(p)
	return func(ctx context.Context, s session) (answer, error) {
		n, err := do[simulator.GroupChange](ctx, s, simulator.AddToGroup{Group: id, Devices: devices})
		if err != nil {
			return nil, err
		}
		return &groupAdded{
			ValidDeviceCount: n.Valid, ExceedTenGroupDeviceCount: n.Exceeding,
			AlreadyRelatedGroupDeviceCount: n.Already, SuccessAddedDeviceCount: n.Done,
		}, nil
	}
}

type groupAdded struct {
	head
	ValidDeviceCount, ExceedTenGroupDeviceCount             int
	AlreadyRelatedGroupDeviceCount, SuccessAddedDeviceCount int
}

func removeFromGroup(p *reader) call {
	id, devices := readMembers(p)
	return func(ctx context.Context, s session) (answer, error) {
		n, err := do[simulator.GroupChange](ctx, s, simulator.RemoveFromGroup{Group: id, Devices: devices})
		if err != nil {
			return nil, err
		}
		return &groupReduced{ValidDeviceCount: n.Valid, AlreadyRelatedGroupDeviceCount: n.Already, SuccessDeviceCount: n.Done}, nil
	}
}

type groupReduced struct {
	head
	ValidDeviceCount, AlreadyRelatedGroupDeviceCount, SuccessDeviceCount int
}

type groupDevices struct {
	head
	Page, PageSize, PageCount, Total int
	Data                             struct{ SimpleDeviceInfo []groupDevice }
}

type groupDevice struct {
	ProductName, ProductKey, DeviceName, DeviceSecret, IotId, Nickname, Status string
	ActiveTime, UtcActiveTime, LastOnlineTime, UtcLastOnlineTime               string
	GmtCreate, UtcCreate, GmtModified, UtcModified                             string
	NodeType                                                                   int
}

func queryGroupDevices(p *reader) call {
	id := p.need("GroupId", maxID)
	pg := p.page(devicePage, maxGroupDevicePage)
	return func(ctx context.Context, s session) (answer, error) {
		g, err := do[simulator.GroupDevices](ctx, s, simulator.FindGroup{Group: id})
		if err != nil {
			return nil, err
		}
		a := &groupDevices{Page: pg.Number, PageSize: pg.Size, PageCount: pg.Count(len(g.Devices)), Total: len(g.Devices)}
		a.Data.SimpleDeviceInfo = []groupDevice{}
		products := map[string]simulator.Product{}
		for _, name := range cut(g.Devices, pg) {
			d, err := do[simulator.Device](ctx, s, simulator.FindDevice{Product: name.ProductKey, Name: name.Name})
			if err != nil {
				return nil, err
			}
			of, err := once(ctx, s, products, d.ProductKey, simulator.FindProduct{Product: d.ProductKey})
			if err != nil {
				return nil, err
			}
			at := max(d.Registered, d.Activated)
			a.Data.SimpleDeviceInfo = append(a.Data.SimpleDeviceInfo, groupDevice{
				ProductName: of.Name, ProductKey: d.ProductKey, DeviceName: d.Name, DeviceSecret: s.secretOf(&d), IotId: d.IotID(), Nickname: d.Nickname, Status: d.Status(),
				ActiveTime: gmt(d.Activated), UtcActiveTime: utc(d.Activated), LastOnlineTime: gmt(d.LastOnline), UtcLastOnlineTime: utc(d.LastOnline),
				GmtCreate: gmt(d.Registered), UtcCreate: utc(d.Registered), GmtModified: gmt(at), UtcModified: utc(at), NodeType: of.NodeType,
			})
		}
		return a, nil
	}
}

type deviceGroups struct {
	head
	GroupInfos struct{ GroupInfo []groupInfo }
}

func queryGroupsOfDevice(p *reader) call {
	which := oneDevice{product: p.need("ProductKey", maxKey), name: p.need("DeviceName", maxName)}
	return func(ctx context.Context, s session) (answer, error) {
		d, err := which.find(ctx, s)
		if err != nil {
			return nil, err
		}
		a := &deviceGroups{}
		a.GroupInfos.GroupInfo = []groupInfo{}
		if d.More == nil {
			return a, nil
		}
		for _, id := range d.More.Groups {
			g, err := do[simulator.GroupDevices](ctx, s, simulator.FindGroup{Group: id})
			if err != nil {
				return nil, err
			}
			a.GroupInfos.GroupInfo = append(a.GroupInfos.GroupInfo, groupOf(&g.Group))
		}
		return a, nil
	}
}
