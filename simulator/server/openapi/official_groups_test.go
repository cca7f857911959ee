package openapi

import (
	"fmt"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
)

func (tw *town) group(name, super string) string {
	tw.t.Helper()
	r := iot.CreateCreateDeviceGroupRequest()
	r.GroupName, r.GroupDesc, r.SuperGroupId = name, "about "+name, super
	made := ok(tw.t, must(tw.client.CreateDeviceGroup(r)), nil).Data
	if made.GroupId == "" || made.GroupName != name || made.GroupDesc != "about "+name || made.UtcCreate == "" {
		tw.t.Fatalf("made %+v", made)
	}
	return made.GroupId
}

func (tw *town) into(group, product string, names ...string) *iot.BatchAddDeviceGroupRelationsResponse {
	tw.t.Helper()
	r := iot.CreateBatchAddDeviceGroupRelationsRequest()
	r.GroupId, r.Device = group, &[]iot.BatchAddDeviceGroupRelationsDevice{}
	for _, n := range names {
		*r.Device = append(*r.Device, iot.BatchAddDeviceGroupRelationsDevice{ProductKey: product, DeviceName: n})
	}
	return must(tw.client.BatchAddDeviceGroupRelations(r))
}

func TestOfficialGroups(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	for i := range 3 {
		tw.device(key, fmt.Sprint("d", i), "1.0")
	}
	tw.happen(simulator.Offline{Device: devNamed(key, "d1")})
	house := tw.group("我的_家里", "")
	floor := tw.group("floor", house)
	added := tw.into(house, key, "d0", "d1", "nobody")
	if !added.Success || added.ValidDeviceCount != 2 || added.SuccessAddedDeviceCount != 2 || added.AlreadyRelatedGroupDeviceCount != 0 {
		t.Errorf("added %s", added.GetHttpContentString())
	}
	if again := tw.into(house, key, "d1", "d2"); again.ValidDeviceCount != 2 || again.SuccessAddedDeviceCount != 1 || again.AlreadyRelatedGroupDeviceCount != 1 {
		t.Errorf("again %s", again.GetHttpContentString())
	}
	refused(t, tw.into("none", key, "d1"), codeNoGroup, "GroupId", "none")

	info := iot.CreateQueryDeviceGroupInfoRequest()
	info.GroupId, info.GroupType = house, groupStatic
	if d := must(c.QueryDeviceGroupInfo(info)).Data; d.GroupId != house || d.GroupName != "我的_家里" || d.DeviceCount != 3 || d.DeviceActive != 3 || d.DeviceOnline != 2 || d.UtcCreate == "" {
		t.Errorf("group %+v", d)
	}
	update := iot.CreateUpdateDeviceGroupRequest()
	update.GroupId, update.GroupDesc = house, "新"
	ok(t, must(c.UpdateDeviceGroup(update)), nil)

	list := iot.CreateQueryDeviceGroupListRequest()
	list.GroupTypes, list.PageSize, list.CurrentPage = &[]string{groupStatic}, "1", "1"
	l := must(c.QueryDeviceGroupList(list))
	if l.Total != 1 || l.PageCount != 1 || l.PageSize != 1 || l.CurrentPage != 1 || len(l.Data.GroupInfo) != 1 {
		t.Fatal(l.GetHttpContentString())
	}
	g := l.Data.GroupInfo[0]
	same(t, "listed", iot.GroupInfo{GroupId: house, GroupName: "我的_家里", GroupDesc: "新", GroupType: groupStatic, UtcCreate: g.UtcCreate}, g)
	below := iot.CreateQueryDeviceGroupListRequest()
	below.SuperGroupId = house
	if l := must(c.QueryDeviceGroupList(below)); l.Total != 1 || l.Data.GroupInfo[0].GroupId != floor {
		t.Errorf("below %s", l.GetHttpContentString())
	}

	members := iot.CreateQueryDeviceListByDeviceGroupRequest()
	members.GroupId, members.PageSize, members.CurrentPage = house, "2", "2"
	for _, format := range []string{"JSON", "XML"} {
		members.AcceptFormat = format
		m := must(c.QueryDeviceListByDeviceGroup(members))
		if m.Total != 3 || m.Page != 2 || m.PageSize != 2 || m.PageCount != 2 || len(m.Data.SimpleDeviceInfo) != 1 {
			t.Fatal(m.GetHttpContentString())
		}
		if d := m.Data.SimpleDeviceInfo[0]; d.DeviceName != "d2" || d.ProductKey != key || d.ProductName != "lamp" || d.Status != "ONLINE" || d.IotId == "" || d.DeviceSecret == "" || d.UtcActiveTime == "" || d.GmtCreate == "" {
			t.Errorf("%s: member %+v", format, d)
		}
	}
	of := iot.CreateQueryDeviceGroupByDeviceRequest()
	of.ProductKey, of.DeviceName = key, "d0"
	if l := must(c.QueryDeviceGroupByDevice(of)).GroupInfos.GroupInfo; len(l) != 1 || l[0].GroupId != house || l[0].GroupDesc != "新" {
		t.Errorf("groups of d0: %+v", l)
	}
	out := iot.CreateBatchDeleteDeviceGroupRelationsRequest()
	out.GroupId, out.Device = house, &[]iot.BatchDeleteDeviceGroupRelationsDevice{{ProductKey: key, DeviceName: "d0"}, {ProductKey: key, DeviceName: "nobody"}}
	if r := must(c.BatchDeleteDeviceGroupRelations(out)); r.ValidDeviceCount != 1 || r.SuccessDeviceCount != 1 || r.AlreadyRelatedGroupDeviceCount != 1 {
		t.Errorf("taken out %s", r.GetHttpContentString())
	}
	if l := must(c.QueryDeviceGroupByDevice(of)).GroupInfos.GroupInfo; len(l) != 0 {
		t.Errorf("groups of d0 then: %+v", l)
	}

	remove := iot.CreateDeleteDeviceGroupRequest()
	remove.GroupId = house
	refused(t, must(c.DeleteDeviceGroup(remove)), "iot.group.NotAllowed", "GroupId", floor)
	first := iot.CreateDeleteDeviceGroupRequest()
	first.GroupId = floor
	ok(t, must(c.DeleteDeviceGroup(first)), nil)
	ok(t, must(c.DeleteDeviceGroup(remove)), nil)
	refused(t, must(c.QueryDeviceGroupInfo(info)), codeNoGroup, "GroupId")
	twice := iot.CreateCreateDeviceGroupRequest()
	twice.GroupName = "a-b-c"
	refused(t, must(c.CreateDeviceGroup(twice)), codeInvalid, "GroupName", "4 to 30")
}
