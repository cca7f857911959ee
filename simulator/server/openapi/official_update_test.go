package openapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// TestOfficialUpdateJob changes a job's rate, constant and variable, and its timeout.
func TestOfficialUpdateJob(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	job := must(c.CreateOTAStaticUpgradeJob(fullBatch(key, tw.firmware(key, "fw2", "2.0", false)))).Data.JobId
	newUpdate := func() *iot.UpdateOTAJobRequest {
		r := iot.CreateUpdateOTAJobRequest()
		r.JobId = job
		return r
	}
	update := newUpdate()
	update.MaximumPerMinute, update.TimeoutInMinutes = "100", "30"
	update.TargetSelection, update.UpgradeType, update.SrcVersionList, update.Tags = "ALL", "STATIC", &[]string{"1.0"}, &[]iot.UpdateOTAJobTags{{Key: "ring", Value: "一 & 2"}}
	ok(t, must(c.UpdateOTAJob(update)), nil)
	if j := tw.jobOf(job); j.MaximumPerMinute != 100 || j.TimeoutInMinutes != 30 || j.RetryCount != 2 {
		t.Errorf("job %+v", j)
	}
	variable := newUpdate()
	variable.BaseRatePerMinute, variable.IncrementFactor, variable.NumberOfSucceedDevices, variable.MaximumPerMinute = "20", "1.5", "10", "500"
	ok(t, must(c.UpdateOTAJob(variable)), nil)
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId = job
	var got struct {
		Data struct {
			BaseRatePerMinute, MaximumPerMinute, NumberOfSucceedDevices, NumberOfNotifiedDevices int
			IncrementFactor                                                                      string
		}
	}
	if err := json.Unmarshal([]byte(must(c.QueryOTAJob(ask)).GetHttpContentString()), &got); err != nil {
		t.Fatal(err)
	}
	if d := got.Data; d.BaseRatePerMinute != 20 || d.MaximumPerMinute != 500 || d.NumberOfSucceedDevices != 10 || d.NumberOfNotifiedDevices != 0 || d.IncrementFactor != "1.5" {
		t.Errorf("a variable rate: %+v", d)
	}
	constant := newUpdate()
	constant.MaximumPerMinute = "50"
	ok(t, must(c.UpdateOTAJob(constant)), nil)
	if text := must(c.QueryOTAJob(ask)).GetHttpContentString(); contains(text, "BaseRatePerMinute") || !contains(text, `"MaximumPerMinute":50`) {
		t.Errorf("constant again: %s", text)
	}

	type up = iot.UpdateOTAJobRequest
	for _, bad := range []struct {
		change func(r *up)
		code   string
		texts  []string
	}{
		{func(r *up) { r.JobId = "none" }, "iot.ota.NotExistedJob", []string{"JobId"}},
		{func(r *up) { r.MaximumPerMinute = "9" }, codeInvalid, []string{"MaximumPerMinute", "10 to 1000"}},
		{func(r *up) { r.TimeoutInMinutes = "1441" }, codeInvalid, []string{"TimeoutInMinutes", "1 to 1440"}},
		{func(r *up) { r.BaseRatePerMinute, r.IncrementFactor, r.NumberOfNotifiedDevices = "20", "9", "10" }, codeInvalid, []string{"IncrementFactor"}},
		{func(r *up) { r.BaseRatePerMinute, r.IncrementFactor, r.NumberOfNotifiedDevices = "0", "2", "10" }, codeInvalid, []string{"BaseRatePerMinute"}},
		{func(r *up) { r.BaseRatePerMinute, r.IncrementFactor = "20", "2" }, codeInvalid, []string{"NumberOfNotifiedDevices"}},
		{func(r *up) { r.TargetSelection = "GRAY" }, codeInvalid, []string{"TargetSelection", "ALL"}},
		{func(r *up) { r.UpgradeType = "DYNAMIC" }, codeInvalid, []string{"UpgradeType", "STATIC"}},
		{func(r *up) { r.SrcVersionList = &[]string{"0.9"} }, codeInvalid, []string{"SrcVersionList", "1.0"}},
		{func(r *up) { r.Tags = &[]iot.UpdateOTAJobTags{{Key: "a", Value: "b"}} }, codeInvalid, []string{"Tags", "ring"}},
	} {
		r := newUpdate()
		bad.change(r)
		refused(t, must(c.UpdateOTAJob(r)), bad.code, bad.texts...)
	}
	half := newUpdate()
	half.IncrementFactor = "2"
	if _, err := c.UpdateOTAJob(half); err == nil || !contains(err.Error(), "MissingBaseRatePerMinute") {
		t.Errorf("a factor alone: %v", err)
	}
}

// TestOfficialJobsOfDevice lists a device's jobs in pages, and cancels its tasks.
func TestOfficialJobsOfDevice(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	tw.device(key, "d2", "1.0")
	var packs, jobs []string
	for _, name := range []string{"fw2", "fw3"} {
		pack := tw.firmware(key, name, name, false)
		r := iot.CreateCreateOTAStaticUpgradeJobRequest()
		r.ProductKey, r.FirmwareId, r.TargetSelection, r.OverwriteMode = key, pack, "ALL", "2"
		packs, jobs = append(packs, pack), append(jobs, ok(t, must(c.CreateOTAStaticUpgradeJob(r)), nil).Data.JobId)
	}
	list := iot.CreateListOTAJobByDeviceRequest()
	list.ProductKey, list.DeviceName, list.PageSize, list.CurrentPage = key, "d1", "1", "2"
	for _, format := range []string{"JSON", "XML"} {
		list.AcceptFormat = format
		l := must(c.ListOTAJobByDevice(list))
		if l.Total != 2 || l.PageCount != 2 || l.PageSize != 1 || l.CurrentPage != 2 || len(l.Data.SimpleOTAJobInfo) != 1 {
			t.Fatal(l.GetHttpContentString())
		}
		j := l.Data.SimpleOTAJobInfo[0]
		want := iot.SimpleOTAJobInfo{
			JobId: jobs[0], ProductKey: key, FirmwareId: packs[0], JobStatus: "CANCELED", JobType: "UPGRADE_FIRMWARE", SelectionType: "STATIC", TargetSelection: "ALL",
			UtcCreate: j.UtcCreate, UtcModified: j.UtcModified, UtcStartTime: j.UtcCreate, UtcEndTime: j.UtcEndTime, Tags: j.Tags,
		}
		if same(t, format, want, j); j.UtcCreate == "" || j.UtcEndTime == "" || len(j.Tags.OtaTagDTO) != 0 {
			t.Errorf("%s: %+v", format, j)
		}
	}
	list = iot.CreateListOTAJobByDeviceRequest()
	list.ProductKey, list.DeviceName, list.FirmwareId = key, "d1", packs[1]
	if l := must(c.ListOTAJobByDevice(list)); l.Total != 1 || l.Data.SimpleOTAJobInfo[0].JobId != jobs[1] {
		t.Error(l.GetHttpContentString())
	}
	list.PageSize = "101"
	refused(t, must(c.ListOTAJobByDevice(list)), codePage, "PageSize", "100")

	newCancel := func(names ...string) *iot.CancelOTATaskByDeviceRequest {
		r := iot.CreateCancelOTATaskByDeviceRequest()
		r.ProductKey, r.FirmwareId, r.DeviceName = key, packs[1], &names
		return r
	}
	other := newCancel("d1")
	other.JobId = jobs[0]
	refused(t, must(c.CancelOTATaskByDevice(other)), codeInvalid, "JobId", packs[1])
	refused(t, must(c.CancelOTATaskByDevice(newCancel("d1", "nobody"))), codeNoDevice, "DeviceName", "nobody")
	refused(t, must(c.CancelOTATaskByDevice(newCancel("d1", "d1"))), codeInvalid, "DeviceName", "twice")
	one := newCancel("d1")
	one.JobId = jobs[1]
	ok(t, must(c.CancelOTATaskByDevice(one)), nil)
	of := func(name string) *iot.ListOTATaskByJobRequest {
		r := newTasks(jobs[1])
		r.DeviceNames = &[]string{name}
		return r
	}
	onlyTask(t, c, of("d1"), "CANCELED", "0.00", simulator.ReasonCanceled)
	if l := must(c.ListOTATaskByJob(of("d2"))).Data.SimpleOTATaskInfo; len(l) != 1 || l[0].TaskStatus == "CANCELED" {
		t.Errorf("d2: %+v", l)
	}
	ok(t, must(c.CancelOTATaskByDevice(newCancel("d1", "d2"))), nil)
	if j := tw.jobOf(jobs[1]); j.JobStatus != "CANCELED" {
		t.Errorf("job %+v", j)
	}
}

// TestOfficialVerifyDelivery: a verification has tags and ways of delivery too.
func TestOfficialVerifyDelivery(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	r := iot.CreateCreateOTAVerifyJobRequest()
	r.ProductKey, r.FirmwareId, r.TargetDeviceName = key, tw.firmware(key, "fw2", "2.0", true), &[]string{"d1"}
	r.NeedConfirm, r.NeedPush, r.DownloadProtocol, r.Tag = "true", "false", "MQTT", &[]iot.CreateOTAVerifyJobTag{{Key: "k", Value: "v"}}
	job := ok(t, must(c.CreateOTAVerifyJob(r)), nil).Data.JobId
	if j := tw.jobOf(job); j.JobType != "VERIFY_FIRMWARE" || !j.NeedConfirm || j.NeedPush || j.DownloadProtocol != "MQTT" || len(j.Tags.OtaTagDTO) != 1 {
		t.Errorf("job %+v", j)
	}
}

// ours calls an action that the official client does not have.
func (tw *town) ours(action string, params map[string]string, to any) error {
	tw.t.Helper()
	client, err := NewClient(tw.web.URL, testKey(), time.Minute)
	if err != nil {
		tw.t.Fatal(err)
	}
	raw, err := client.Call(tw.t.Context(), action, params)
	if err == nil && to != nil {
		err = json.Unmarshal(raw, to)
	}
	return err
}

// TestProductOptions: the rules of a product that the source leaves open, or that
// changed later, are set one by one or all at once (P22, P24, P45).
func TestProductOptions(t *testing.T) {
	tw := newTown(t)
	key := tw.product("lamp")
	set := func(params map[string]string) options {
		t.Helper()
		params["ProductKey"] = key
		var got struct{ Data options }
		if err := tw.ours("UpdateProductOTAOptions", params, &got); err != nil {
			t.Fatal(err)
		}
		var read struct{ Data options }
		if err := tw.ours("QueryProductOTAOptions", map[string]string{"ProductKey": key}, &read); err != nil || read != got {
			t.Errorf("read %+v, %v; set %+v", read, err, got)
		}
		return got.Data
	}
	same(t, "one", options{ProductKey: key, OneDynamic: true}, set(map[string]string{"OneDynamic": "true"}))
	same(t, "another", options{ProductKey: key, OneDynamic: true, NeedProgress: true}, set(map[string]string{"NeedProgress": "true"}))
	set(map[string]string{"Registration": "true", "NewRegistration": "false"})
	same(t, "latest", options{Registration: true, ProductKey: key, NeedProgress: true, TaskPerModule: true, TolerateSource: true, LatestLimits: true}, set(map[string]string{"Latest": "true", "TimeoutOnce": "false", "NeedProgress": "true"}))
	same(t, "the source's", options{Registration: true, ProductKey: key}, set(map[string]string{"Latest": "false"}))
	for name, want := range map[string]string{"Other": "MissingLatest", "OneDynamic": codeInvalid} {
		err := tw.ours("UpdateProductOTAOptions", map[string]string{"ProductKey": key, name: "maybe"}, nil)
		if err == nil || !contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tw.ours("QueryProductOTAOptions", map[string]string{"ProductKey": "none"}, nil); err == nil || !contains(err.Error(), "NotExistedProduct") {
		t.Errorf("no product: %v", err)
	}
}

// TestP6Versions counts the versions that devices run.
func TestP6Versions(t *testing.T) {
	tw := newTown(t)
	key := tw.product("lamp")
	tw.device(key, "d1", "1.0")
	tw.device(key, "d2", "1.0")
	d3 := tw.device(key, "d3", "2.0")
	tw.device(key, "d4", "")
	create := iot.CreateCreateOTAModuleRequest()
	create.ProductKey, create.ModuleName = key, "MCU"
	ok(t, must(tw.client.CreateOTAModule(create)), nil)
	tw.happen(simulator.Informed{Device: d3, Module: "MCU", Version: "7"})
	remove := iot.CreateDeleteDeviceRequest()
	remove.ProductKey, remove.DeviceName = key, "d2"
	var got struct{ Data versionCounts }
	count := func(module string) []versionCount {
		t.Helper()
		if err := tw.ours("QueryProductOTAVersions", map[string]string{"ProductKey": key, "ModuleName": module}, &got); err != nil {
			t.Fatal(err)
		}
		return got.Data.VersionInfo
	}
	same(t, "all", []versionCount{{"MCU", "7", 1}, {"default", "1.0", 2}, {"default", "2.0", 1}}, count(""))
	ok(t, must(tw.client.DeleteDevice(remove)), nil)
	same(t, "after a deletion", []versionCount{{"default", "1.0", 1}, {"default", "2.0", 1}}, count("default"))
	if err := tw.ours("QueryProductOTAVersions", map[string]string{"ProductKey": key, "ModuleName": "none"}, nil); err == nil || !contains(err.Error(), "ModuleName") {
		t.Errorf("no module: %v", err)
	}
}
