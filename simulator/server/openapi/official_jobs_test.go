package openapi

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
)

// onlyTask gives the one task that a question answers with, in the state expected.
func onlyTask(t *testing.T, c *iot.Client, ask *iot.ListOTATaskByJobRequest, status, progress, desc string) iot.SimpleOTATaskInfo {
	t.Helper()
	r := must(c.ListOTATaskByJob(ask))
	l := r.Data.SimpleOTATaskInfo
	if r.Total != 1 || len(l) != 1 || l[0].TaskStatus != status || l[0].Progress != progress || !strings.Contains(l[0].TaskDesc, desc) {
		t.Fatalf("wanted one task %s %s %q: %s", status, progress, desc, r.GetHttpContentString())
	}
	return l[0]
}

func newTasks(job string) *iot.ListOTATaskByJobRequest {
	r := iot.CreateListOTATaskByJobRequest()
	r.JobId = job
	return r
}

func newUnfinished(product, name string) *iot.ListOTAUnfinishedTaskByDeviceRequest {
	r := iot.CreateListOTAUnfinishedTaskByDeviceRequest()
	r.ProductKey, r.DeviceName = product, name
	return r
}

// TestOfficialVerification walks a package through its verification and reads every
// state on the way (P17, P43 to P45).
func TestOfficialVerification(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	d1 := tw.device(key, "d1", "1.0")
	pack := tw.firmware(key, "fw2", "2.0", true)
	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection = key, pack, "ALL"
	refused(t, must(c.CreateOTAStaticUpgradeJob(batch)), "iot.ota.NotAllowed", "FirmwareId", "verified")

	verify := iot.CreateCreateOTAVerifyJobRequest()
	verify.ProductKey, verify.FirmwareId, verify.TargetDeviceName, verify.TimeoutInMinutes = key, pack, &[]string{"d1"}, "60"
	job := must(c.CreateOTAVerifyJob(verify)).Data
	tasks := newTasks(job.JobId)
	onlyTask(t, c, tasks, "NOTIFIED", "0.00", "")
	tw.happen(simulator.Progressed{Device: d1, Step: 35})
	onlyTask(t, c, tasks, "IN_PROGRESS", "35.00", "")
	unfinished := newUnfinished(key, "d1")
	unfinished.ModuleName = "default"
	if l := must(c.ListOTAUnfinishedTaskByDevice(unfinished)).Data.SimpleOTATaskInfo; len(l) != 1 || l[0].TaskStatus != "IN_PROGRESS" {
		t.Errorf("unfinished %+v", l)
	}
	unfinished.TaskStatusList = &[]string{"QUEUED", "NOTIFIED"}
	if l := must(c.ListOTAUnfinishedTaskByDevice(unfinished)).Data.SimpleOTATaskInfo; len(l) != 0 {
		t.Errorf("queued or notified %+v", l)
	}
	tw.happen(simulator.Progressed{Device: d1, Step: 100}, simulator.Informed{Device: d1, Version: "2.0"})
	got := onlyTask(t, c, tasks, "SUCCEEDED", "100.00", "")
	if got.UtcCreate == "" || got.UtcModified == "" || got.TaskId == "" || got.IotId == "" {
		t.Errorf("task %+v", got)
	}
	got.UtcCreate, got.UtcModified, got.TaskId, got.IotId = "", "", "", ""
	same(t, "task", iot.SimpleOTATaskInfo{
		JobId: job.JobId, ProductKey: key, ProductName: "lamp", FirmwareId: pack, DeviceName: "d1", ModuleName: "default",
		SrcVersion: "1.0", DestVersion: "2.0", TaskStatus: "SUCCEEDED", Progress: "100.00", Timeout: "60",
	}, got)
	if l := must(c.ListOTAUnfinishedTaskByDevice(newUnfinished(key, "d1"))).Data.SimpleOTATaskInfo; len(l) != 0 {
		t.Errorf("unfinished %+v", l)
	}
	query := iot.CreateQueryOTAFirmwareRequest()
	query.FirmwareId = pack
	if f := must(c.QueryOTAFirmware(query)).FirmwareInfo; f.Status != 1 || f.VerifyProgress != 100 {
		t.Errorf("after the verification: %+v", f)
	}
	jobs := iot.CreateListOTAJobByFirmwareRequest()
	jobs.FirmwareId, jobs.PageSize = pack, "200"
	l := must(c.ListOTAJobByFirmware(jobs))
	if l.Total != 1 || len(l.Data.SimpleOTAJobInfo) != 1 || l.CurrentPage != 1 || l.PageSize != 200 || l.PageCount != 1 {
		t.Fatal(l.GetHttpContentString())
	}
	if j := l.Data.SimpleOTAJobInfo[0]; j.JobId != job.JobId || j.JobType != "VERIFY_FIRMWARE" || j.JobStatus != "COMPLETED" || j.UtcEndTime == "" || j.TargetSelection != "SPECIFIC" {
		t.Errorf("job %+v", j)
	}
}

// fullBatch is a batch with everything set that a batch may have set.
func fullBatch(product, pack string) *iot.CreateOTAStaticUpgradeJobRequest {
	r := iot.CreateCreateOTAStaticUpgradeJobRequest()
	r.ProductKey, r.FirmwareId, r.TargetSelection = product, pack, "ALL"
	r.SrcVersion, r.OverwriteMode, r.MaximumPerMinute = &[]string{"1.0"}, "2", "500"
	r.RetryInterval, r.RetryCount, r.TimeoutInMinutes = "10", "2", "120"
	r.NeedPush, r.NeedConfirm, r.MultiModuleMode, r.DownloadProtocol = "true", "false", "false", "HTTPS"
	r.Tag = &[]iot.CreateOTAStaticUpgradeJobTag{{Key: "ring", Value: "一 & 2"}}
	return r
}

// TestOfficialBatch: what was set is read again, in JSON and XML.
func TestOfficialBatch(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d2", "1.0")
	pack := tw.firmware(key, "fw2", "2.0", false)
	made := must(c.CreateOTAStaticUpgradeJob(fullBatch(key, pack)))
	if !made.Success || made.Data.JobId == "" || made.Data.UtcCreate == "" {
		t.Fatal(made.GetHttpContentString())
	}
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId = made.Data.JobId
	for _, format := range []string{"JSON", "XML"} {
		ask.AcceptFormat = format
		j := must(c.QueryOTAJob(ask)).Data
		if j.UtcCreate != made.Data.UtcCreate || j.UtcModified == "" || j.UtcStartTime == "" {
			t.Errorf("%s: times %+v", format, j)
		}
		j.UtcCreate, j.UtcModified, j.UtcStartTime = "", "", ""
		same(t, format, iot.DataInQueryOTAJob{
			JobId: made.Data.JobId, ProductKey: key, FirmwareId: pack, DestVersion: "2.0", JobStatus: "IN_PROGRESS", JobType: "UPGRADE_FIRMWARE",
			SelectionType: "STATIC", TargetSelection: "ALL", RetryInterval: 10, RetryCount: 2, TimeoutInMinutes: 120, MaximumPerMinute: 500,
			OverwriteMode: 2, NeedPush: true, DownloadProtocol: "HTTPS", SrcVersions: iot.SrcVersions{SrcVersion: []string{"1.0"}},
			Tags: iot.TagsInQueryOTAJob{OtaTagDTO: []iot.OtaTagDTO{{Key: "ring", Value: "一 & 2"}}},
		}, j)
	}
}

// TestOfficialBatchTasks reads the tasks of a batch by device and by state, and
// cancels them (P42, P49, P50, P53, P54).
func TestOfficialBatchTasks(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	d2, d3 := tw.device(key, "d2", "1.0"), tw.device(key, "d3", "1.0")
	tw.happen(simulator.Offline{Device: d3})
	pack := tw.firmware(key, "fw2", "2.0", false)
	job := must(c.CreateOTAStaticUpgradeJob(fullBatch(key, pack))).Data.JobId
	if r := must(c.ListOTATaskByJob(newTasks(job))); r.Total != 2 || r.PageCount != 1 || r.PageSize != 10 || r.CurrentPage != 1 {
		t.Error(r.GetHttpContentString())
	}
	of := func(name string) *iot.ListOTATaskByJobRequest {
		r := newTasks(job)
		r.DeviceNames = &[]string{name}
		return r
	}
	in := func(status string) *iot.ListOTATaskByJobRequest {
		r := newTasks(job)
		r.TaskStatus = status
		return r
	}
	onlyTask(t, c, of("d3"), "QUEUED", "0.00", "offline")
	tw.happen(simulator.Progressed{Device: d2, Step: 50}, simulator.Progressed{Device: d2, Step: -2, Desc: "no route"})
	onlyTask(t, c, of("d2"), "IN_PROGRESS", "0.00", "no route") // to be tried again: the state shown stays (P50)
	onlyTask(t, c, in("IN_PROGRESS"), "IN_PROGRESS", "0.00", "")

	refused(t, must(c.CancelOTATaskByJob(newCancel(job))), codeInvalid, "CancelInProgressTask")
	cancel := newCancel(job)
	cancel.CancelQueuedTask = "true"
	if r := must(c.CancelOTATaskByJob(cancel)); !r.Success {
		t.Error(r.GetHttpContentString())
	}
	onlyTask(t, c, in("CANCELED"), "CANCELED", "0.00", "cancel")
	cancel = newCancel(job)
	cancel.CancelInProgressTask = "true"
	must(c.CancelOTATaskByJob(cancel))
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId = job
	if j := must(c.QueryOTAJob(ask)).Data; j.JobStatus != "CANCELED" || j.UtcEndTime == "" {
		t.Errorf("job %+v", j)
	}
}

func newCancel(job string) *iot.CancelOTATaskByJobRequest {
	r := iot.CreateCancelOTATaskByJobRequest()
	r.JobId = job
	return r
}

func TestOfficialBatchRefusals(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	other := tw.product("other")
	pack := tw.firmware(key, "fw2", "2.0", false)
	soon := strconv.FormatInt(tw.clock.Now().Add(time.Minute).UnixMilli(), 10)
	type batch = iot.CreateOTAStaticUpgradeJobRequest
	for i, bad := range []struct {
		change func(r *batch)
		code   string
		texts  []string
	}{
		{func(r *batch) { r.FirmwareId = "none" }, "iot.ota.NotExistedFirmware", []string{"FirmwareId"}},
		{func(r *batch) { r.ProductKey = other }, codeInvalid, []string{"ProductKey"}},
		{func(r *batch) { r.GroupType = groupDynamic }, codeLater, []string{"GroupType", groupStatic}},
		{func(r *batch) { r.TargetSelection = "GROUP"; r.GroupId = "none" }, "iot.group.NotExistedGroup", []string{"GroupId", "none"}},
		{func(r *batch) { r.TargetSelection = "GRAY"; r.GrayPercent = "101" }, codeInvalid, []string{"GrayPercent", "100"}},
		{func(r *batch) { r.DnListFileUrl = "http://h/p/none.csv" }, codeInvalid, []string{"DnListFileUrl", "SPECIFIC"}},
		{func(r *batch) { r.TargetSelection = "SOME" }, codeInvalid, []string{"TargetSelection", "SPECIFIC"}},
		{func(r *batch) { r.TargetDeviceName = &[]string{"d1"} }, codeInvalid, []string{"TargetDeviceName"}},
		{func(r *batch) { r.TargetSelection = "SPECIFIC"; r.TargetDeviceName = &[]string{"d9"} }, codeNoDevice, []string{"TargetDeviceName", "d9"}},
		{func(r *batch) { r.SrcVersion = &[]string{"0.9"} }, "iot.ota.NotAllowed", []string{"no device matches"}},
		{func(r *batch) { r.MaximumPerMinute = "9" }, codeInvalid, []string{"MaximumPerMinute", "10 to 1000"}},
		{func(r *batch) { r.MaximumPerMinute = "1001" }, codeInvalid, []string{"MaximumPerMinute", "10 to 1000"}},
		{func(r *batch) { r.TimeoutInMinutes = "0" }, codeInvalid, []string{"TimeoutInMinutes", "1 to 1440"}},
		{func(r *batch) { r.TimeoutInMinutes = "1441" }, codeInvalid, []string{"TimeoutInMinutes", "1 to 1440"}},
		{func(r *batch) { r.RetryInterval = "10" }, codeInvalid, []string{"RetryInterval", "RetryCount"}},
		{func(r *batch) { r.RetryInterval, r.RetryCount = "11", "1" }, codeInvalid, []string{"RetryInterval", "1440"}},
		{func(r *batch) { r.RetryInterval, r.RetryCount = "10", "3" }, codeInvalid, []string{"RetryCount", "5"}},
		{func(r *batch) { r.OverwriteMode = "3" }, codeInvalid, []string{"OverwriteMode", "1 to 2"}},
		{func(r *batch) { r.ScheduleTime = requests.Integer(soon) }, codeInvalid, []string{"ScheduleTime", "5 minutes"}},
		{func(r *batch) { r.ScheduleTime = "123" }, codeInvalid, []string{"ScheduleTime"}},
		{func(r *batch) { r.NeedPush = "no" }, codeInvalid, []string{"NeedPush", "false"}},
		{func(r *batch) { r.NeedConfirm = "1" }, codeInvalid, []string{"NeedConfirm", "true"}},
		{func(r *batch) { r.DownloadProtocol = "FTP" }, codeInvalid, []string{"DownloadProtocol", "MQTT"}},
		{func(r *batch) { r.GroupId = "g" }, codeInvalid, []string{"GroupId", "GROUP"}},
		{func(r *batch) { r.Tag = &[]iot.CreateOTAStaticUpgradeJobTag{{Key: "version", Value: "1"}} }, codeInvalid, []string{"Tag", "version"}},
	} {
		t.Run(fmt.Sprint(i, bad.texts), func(t *testing.T) {
			req := iot.CreateCreateOTAStaticUpgradeJobRequest()
			req.ProductKey, req.FirmwareId, req.TargetSelection = key, pack, "ALL"
			bad.change(req)
			refused(t, must(c.CreateOTAStaticUpgradeJob(req)), bad.code, bad.texts...)
		})
	}
	verify := iot.CreateCreateOTAVerifyJobRequest()
	verify.FirmwareId, verify.TargetDeviceName = pack, &[]string{"d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11"}
	refused(t, must(c.CreateOTAVerifyJob(verify)), codeInvalid, "TargetDeviceName", "10")
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId = "none"
	refused(t, must(c.QueryOTAJob(ask)), "iot.ota.NotExistedJob", "JobId")
	tasks := iot.CreateListOTATaskByJobRequest()
	tasks.JobId, tasks.PageSize = "none", "101"
	refused(t, must(c.ListOTATaskByJob(tasks)), codePage, "PageSize", "100")
	tasks.PageSize, tasks.TaskStatus = "100", "DONE"
	refused(t, must(c.ListOTATaskByJob(tasks)), codeInvalid, "TaskStatus", "SUCCEEDED")
	cancel := iot.CreateCancelOTATaskByJobRequest()
	cancel.JobId, cancel.CancelQueuedTask = "none", "true"
	refused(t, must(c.CancelOTATaskByJob(cancel)), "iot.ota.NotExistedJob", "JobId")
}

// TestOfficialSchedule: a scheduled batch waits, says so, and is cancelled by its
// scheduled tasks (P32, P42, P54).
func TestOfficialSchedule(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	pack := tw.firmware(key, "fw2", "2.0", false)
	start := tw.clock.Now().Add(time.Hour)
	req := iot.CreateCreateOTAStaticUpgradeJobRequest()
	req.ProductKey, req.FirmwareId, req.TargetSelection = key, pack, "ALL"
	req.ScheduleTime = requests.NewInteger64(start.UnixMilli())
	req.ScheduleFinishTime = requests.NewInteger64(start.Add(2 * time.Hour).UnixMilli())
	job := must(c.CreateOTAStaticUpgradeJob(req)).Data.JobId
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId = job
	at := start.UTC().Format(utcFormat)
	if j := must(c.QueryOTAJob(ask)).Data; j.JobStatus != "PLANNED" || j.UtcScheduleTime != at || j.UtcScheduleFinishTime == "" || j.UtcStartTime != at {
		t.Errorf("job %+v", j)
	}
	tasks := iot.CreateListOTATaskByJobRequest()
	tasks.JobId = job
	if l := must(c.ListOTATaskByJob(tasks)).Data.SimpleOTATaskInfo; len(l) != 1 || l[0].TaskStatus != "QUEUED" || !strings.Contains(l[0].TaskDesc, at) {
		t.Errorf("tasks %+v", l)
	}
	cancel := iot.CreateCancelOTATaskByJobRequest()
	cancel.JobId, cancel.CancelScheduledTask = job, "true"
	if r := must(c.CancelOTATaskByJob(cancel)); !r.Success {
		t.Error(r.GetHttpContentString())
	}
	if j := must(c.QueryOTAJob(ask)).Data; j.JobStatus != "CANCELED" {
		t.Errorf("job %+v", j)
	}
}
