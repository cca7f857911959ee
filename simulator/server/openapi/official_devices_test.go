package openapi

import (
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
)

func TestOfficialDevices(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	register := iot.CreateRegisterDeviceRequest()
	register.ProductKey, register.DeviceName, register.Nickname = key, "d1", "厨房"
	made := must(c.RegisterDevice(register))
	if d := made.Data; !made.Success || d.ProductKey != key || d.DeviceName != "d1" || d.DeviceSecret == "" || d.IotId == "" || d.Nickname != "厨房" {
		t.Errorf("made %s", made.GetHttpContentString())
	}
	refused(t, must(c.RegisterDevice(register)), "iot.device.AlreadyExistedDeviceName", "DeviceName", "d1")
	refused(t, must(c.RegisterDevice(newDevice(key, "a/b"))), codeInvalid, "DeviceName")
	if auto := must(c.RegisterDevice(newDevice(key, ""))); !auto.Success || auto.Data.DeviceName == "" {
		t.Errorf("without a name: %s", auto.GetHttpContentString())
	}

	detail := iot.CreateQueryDeviceDetailRequest()
	detail.ProductKey, detail.DeviceName = key, "d1"
	before := must(c.QueryDeviceDetail(detail)).Data
	if before.UtcCreate == "" || before.GmtCreate == "" || before.UtcActive != "" {
		t.Errorf("times %+v", before)
	}
	before.UtcCreate, before.GmtCreate = "", ""
	same(t, "detail", iot.DataInQueryDeviceDetail{
		IotId: made.Data.IotId, ProductKey: key, ProductName: "lamp", DeviceName: "d1", DeviceSecret: made.Data.DeviceSecret,
		Status: "UNACTIVE", Owner: true, Nickname: "厨房",
	}, before)
	status := iot.CreateGetDeviceStatusRequest()
	status.IotId = made.Data.IotId // the other way to name a device
	if s := must(c.GetDeviceStatus(status)).Data; s.Status != "UNACTIVE" || s.Timestamp != 0 {
		t.Errorf("status %+v", s)
	}

	d := devNamed(key, "d1")
	tw.happen(simulator.Online{Device: d}, simulator.Informed{Device: d, Version: "1.0"}, simulator.Informed{Device: d, Module: "MCU", Version: "7"})
	after := must(c.QueryDeviceDetail(detail)).Data
	if after.Status != "ONLINE" || after.FirmwareVersion != "1.0" || after.UtcActive == "" || after.GmtOnline == "" {
		t.Errorf("online: %+v", after)
	}
	states := iot.CreateBatchGetDeviceStateRequest()
	states.ProductKey, states.DeviceName = key, &[]string{"d1"}
	tw.happen(simulator.Offline{Device: d})
	if l := must(c.BatchGetDeviceState(states)).DeviceStatusList.DeviceStatus; len(l) != 1 || l[0].Status != "OFFLINE" || l[0].DeviceName != "d1" || l[0].IotId != made.Data.IotId || l[0].Timestamp == 0 {
		t.Errorf("states %+v", l)
	}

	list := iot.CreateQueryDeviceRequest()
	list.ProductKey, list.PageSize = key, "1"
	page := must(c.QueryDevice(list))
	if page.Total != 2 || page.PageCount != 2 || page.Page != 1 || page.PageSize != 1 || len(page.Data.DeviceInfo) != 1 {
		t.Fatalf("list %s", page.GetHttpContentString())
	}
	info := page.Data.DeviceInfo[0]
	if info.DeviceName != "d1" || info.DeviceStatus != "OFFLINE" || info.DeviceSecret != made.Data.DeviceSecret || info.IotId != made.Data.IotId || info.Nickname != "厨房" {
		t.Errorf("listed %+v", info)
	}
	list.PageSize = "51"
	refused(t, must(c.QueryDevice(list)), codePage, "PageSize", "50")
	detail.DeviceName = "nobody"
	refused(t, must(c.QueryDeviceDetail(detail)), codeNoDevice, "nobody")

	versions := iot.CreateListOTAModuleVersionsByDeviceRequest()
	versions.ProductKey, versions.DeviceName = key, "d1"
	v := must(c.ListOTAModuleVersionsByDevice(versions))
	want := []iot.SimpleOTAModuleInfo{
		{ProductKey: key, DeviceName: "d1", IotId: made.Data.IotId, ModuleName: "default", ModuleVersion: "1.0"},
		{ProductKey: key, DeviceName: "d1", IotId: made.Data.IotId, ModuleName: "MCU", ModuleVersion: "7"},
	}
	if v.Total != 2 || v.CurrentPage != 1 {
		t.Errorf("versions %s", v.GetHttpContentString())
	}
	same(t, "versions", want, v.Data.SimpleOTAModuleInfo)
}

func TestOfficialBatchOfDevices(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	batch := iot.CreateBatchRegisterDeviceRequest()
	batch.ProductKey, batch.Count = key, requests.NewInteger(120)
	apply := must(c.BatchRegisterDevice(batch)).Data.ApplyId
	status := iot.CreateQueryBatchRegisterDeviceStatusRequest()
	status.ProductKey, status.ApplyId = key, requests.NewInteger64(apply)
	if s := must(c.QueryBatchRegisterDeviceStatus(status)).Data; s.Status != "CREATE_SUCCESS" || len(s.ValidList.Name) != 120 || len(s.InvalidList.Name) != 0 {
		t.Errorf("status %s: %d, %d", s.Status, len(s.ValidList.Name), len(s.InvalidList.Name))
	}
	query := iot.CreateQueryPageByApplyIdRequest()
	query.ApplyId, query.PageSize, query.CurrentPage = requests.NewInteger64(apply), "50", "3"
	p := must(c.QueryPageByApplyId(query))
	if p.Total != 120 || p.PageCount != 3 || p.Page != 3 || p.PageSize != 50 || len(p.ApplyDeviceList.ApplyDeviceInfo) != 20 {
		t.Fatalf("page %s", p.GetHttpContentString())
	}
	last := p.ApplyDeviceList.ApplyDeviceInfo[19]
	detail := iot.CreateQueryDeviceDetailRequest()
	detail.ProductKey, detail.DeviceName = key, last.DeviceName
	if d := must(c.QueryDeviceDetail(detail)).Data; d.DeviceSecret != last.DeviceSecret || d.IotId != last.IotId {
		t.Errorf("%+v is not %+v", d, last)
	}
	batch.Count = "10001"
	if r := must(c.BatchRegisterDevice(batch)); r.Code != codeInvalid || !strings.Contains(r.ErrorMessage, "10000") {
		t.Errorf("too many: %s", r.GetHttpContentString())
	}
}

func TestOfficialBatchOfNamedDevices(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	check := iot.CreateBatchCheckDeviceNamesRequest()
	check.ProductKey = key
	check.DeviceNameList = &[]iot.BatchCheckDeviceNamesDeviceNameList{{DeviceName: "n1", DeviceNickname: "eins"}, {DeviceName: "n2"}}
	apply := must(c.BatchCheckDeviceNames(check)).Data.ApplyId
	status := iot.CreateQueryBatchRegisterDeviceStatusRequest()
	status.ProductKey, status.ApplyId = key, requests.NewInteger64(apply)
	if s := must(c.QueryBatchRegisterDeviceStatus(status)).Data; s.Status != "CHECK_SUCCESS" {
		t.Errorf("status %+v", s)
	}
	register := iot.CreateBatchRegisterDeviceWithApplyIdRequest()
	register.ProductKey, register.ApplyId = key, status.ApplyId
	if r := must(c.BatchRegisterDeviceWithApplyId(register)); !r.Success || r.Data.ApplyId != apply {
		t.Errorf("registered %s", r.GetHttpContentString())
	}
	refused(t, must(c.BatchRegisterDeviceWithApplyId(register)), codeNoApply, "CREATE_SUCCESS")
	query := iot.CreateQueryPageByApplyIdRequest()
	query.ApplyId = status.ApplyId
	if l := must(c.QueryPageByApplyId(query)).ApplyDeviceList.ApplyDeviceInfo; len(l) != 2 || l[0].DeviceName != "n1" || l[1].DeviceName != "n2" || l[0].DeviceSecret == "" {
		t.Errorf("devices %+v", l)
	}

	bad := must(c.BatchCheckDeviceNames(newNames(key, "n3", "n 4", "n3"))).Data
	same(t, "repeated", []string{"n3"}, bad.RepeatedDeviceNameList.RepeatDevieNameList)
	same(t, "invalid", []string{"n 4", "n3"}, bad.InvalidDeviceNameList.InvalidDeviceName)
	status.ApplyId = requests.NewInteger64(bad.ApplyId)
	s := must(c.QueryBatchRegisterDeviceStatus(status)).Data
	if s.Status != "CHECK_FAILED" || len(s.InvalidList.Name) != 2 || len(s.InvalidDetailList.InvalidDetailList) != 2 || s.InvalidDetailList.InvalidDetailList[0].ErrorMsg == "" {
		t.Errorf("status %+v", s)
	}
	register.ApplyId = status.ApplyId
	refused(t, must(c.BatchRegisterDeviceWithApplyId(register)), codeNoApply, "CHECK_FAILED")

	// n1 is taken: neither is registered.
	taken := must(c.BatchCheckDeviceNames(newNames(key, "n5", "n1"))).Data.ApplyId
	register.ApplyId, status.ApplyId = requests.NewInteger64(taken), requests.NewInteger64(taken)
	refused(t, must(c.BatchRegisterDeviceWithApplyId(register)), "iot.device.AlreadyExistedDeviceName", "n1")
	if s := must(c.QueryBatchRegisterDeviceStatus(status)).Data; s.Status != "CREATE_FAILED" {
		t.Errorf("status %+v", s)
	}
	query.ApplyId = "99"
	refused(t, must(c.QueryPageByApplyId(query)), codeNoApply, "99")
}
