package openapi

import (
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

func newDynamic(product, pack string) *iot.CreateOTADynamicUpgradeJobRequest {
	r := iot.CreateCreateOTADynamicUpgradeJobRequest()
	r.ProductKey, r.FirmwareId, r.SrcVersion = product, pack, &[]string{"1.0"}
	return r
}

func (tw *town) jobOf(id string) iot.DataInQueryOTAJob {
	tw.t.Helper()
	r := iot.CreateQueryOTAJobRequest()
	r.JobId = id
	return ok(tw.t, must(tw.client.QueryOTAJob(r)), nil).Data
}

// TestOfficialDynamic: everything that a dynamic batch may have set is read again, in
// JSON and XML; it matches a device that is activated later (P26), stands in the way of
// another one for the same source version (P22), and ends with its strategy (P55).
func TestOfficialDynamic(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	group := tw.group("kitchen", "")
	tw.into(group, key, "d1")
	pack := tw.firmware(key, "fw2", "2.0", false)
	full := newDynamic(key, pack)
	full.DynamicMode, full.MultiModuleMode, full.RetryCount, full.RetryInterval, full.TimeoutInMinutes = "1", "true", "5", "60", "1440"
	full.NeedConfirm, full.NeedPush, full.DownloadProtocol, full.GroupType, full.GroupId = "true", "false", "MQTT", groupStatic, group
	full.OverwriteMode, full.MaximumPerMinute = "2", "10"
	full.Tag = &[]iot.CreateOTADynamicUpgradeJobTag{{Key: "ring", Value: "1"}}
	made := ok(t, must(c.CreateOTADynamicUpgradeJob(full)), nil).Data
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId = made.JobId
	for _, format := range []string{"JSON", "XML"} {
		ask.AcceptFormat = format
		j := must(c.QueryOTAJob(ask)).Data
		same(t, format, iot.DataInQueryOTAJob{
			JobId: made.JobId, ProductKey: key, FirmwareId: pack, DestVersion: "2.0", JobStatus: "IN_PROGRESS", JobType: "UPGRADE_FIRMWARE",
			SelectionType: "DYNAMIC", TargetSelection: "GROUP", RetryInterval: 60, RetryCount: 5, TimeoutInMinutes: 1440, MaximumPerMinute: 10,
			OverwriteMode: 2, DynamicMode: 1, NeedConfirm: true, MultiModuleMode: true, DownloadProtocol: "MQTT", GroupId: group, GroupName: "kitchen",
			SrcVersions: iot.SrcVersions{SrcVersion: []string{"1.0"}}, Tags: iot.TagsInQueryOTAJob{OtaTagDTO: []iot.OtaTagDTO{{Key: "ring", Value: "1"}}},
			UtcCreate: made.UtcCreate, UtcModified: j.UtcModified, UtcStartTime: made.UtcCreate,
		}, j)
	}
	refused(t, must(c.CreateOTADynamicUpgradeJob(newDynamic(key, pack))), "iot.ota.NotAllowed", "SrcVersion", made.JobId)
	strategy := iot.CreateCancelOTAStrategyByJobRequest()
	strategy.JobId = made.JobId
	ok(t, must(c.CancelOTAStrategyByJob(strategy)), nil)
	onlyTask(t, c, newTasks(made.JobId), "CONFIRM", "0.00", "") // what was matched stays

	open := ok(t, must(c.CreateOTADynamicUpgradeJob(newDynamic(key, tw.firmware(key, "fw3", "3.0", false)))), nil).Data.JobId
	tw.device(key, "d2", "1.0")
	tw.clock.add(time.Minute) // reports are judged when no newer one has come
	tw.happen()
	tasks := newTasks(open)
	tasks.DeviceNames = &[]string{"d2"}
	onlyTask(t, c, tasks, "NOTIFIED", "0.00", "")
	if j := tw.jobOf(open); j.TargetSelection != "ALL" || !j.NeedPush || j.NeedConfirm || j.DownloadProtocol != "HTTPS" {
		t.Errorf("a plain one: %+v", j)
	}
}

func TestOfficialDynamicRefusals(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	pack := tw.firmware(key, "fw2", "2.0", false)
	type batch = iot.CreateOTADynamicUpgradeJobRequest
	for _, bad := range []struct {
		change func(r *batch)
		code   string
		texts  []string
	}{
		{func(r *batch) { r.FirmwareId = "none" }, "iot.ota.NotExistedFirmware", []string{"FirmwareId"}},
		{func(r *batch) { r.ProductKey = tw.product("other") }, codeInvalid, []string{"ProductKey"}},
		{func(r *batch) { r.SrcVersion = &[]string{"2.0"} }, codeInvalid, []string{"SrcVersion", "target"}},
		{func(r *batch) { r.DynamicMode = "3" }, codeInvalid, []string{"DynamicMode", "1 to 2"}},
		{func(r *batch) { r.GroupId = "none" }, codeNoGroup, []string{"GroupId", "none"}},
		{func(r *batch) { r.GroupType = groupStatic }, codeInvalid, []string{"GroupId"}},
		{func(r *batch) { r.MaximumPerMinute = "9" }, codeInvalid, []string{"MaximumPerMinute", "10 to 1000"}},
		{func(r *batch) { r.RetryInterval, r.RetryCount = "10", "3" }, codeInvalid, []string{"RetryCount", "5"}},
		{func(r *batch) { r.TimeoutInMinutes = "1441" }, codeInvalid, []string{"TimeoutInMinutes", "1 to 1440"}},
		{func(r *batch) { r.Tag = &[]iot.CreateOTADynamicUpgradeJobTag{{Key: "url", Value: "1"}} }, codeInvalid, []string{"Tag", "url"}},
	} {
		r := newDynamic(key, pack)
		bad.change(r)
		refused(t, must(c.CreateOTADynamicUpgradeJob(r)), bad.code, bad.texts...)
	}
	none := newDynamic(key, pack)
	none.SrcVersion = nil
	if _, err := c.CreateOTADynamicUpgradeJob(none); err == nil || !contains(err.Error(), "MissingSrcVersion") {
		t.Errorf("without a source version (P25): %v", err)
	}
	strategy := iot.CreateCancelOTAStrategyByJobRequest()
	strategy.JobId = "none"
	refused(t, must(c.CancelOTAStrategyByJob(strategy)), "iot.ota.NotExistedJob", "JobId")
}

// TestOfficialGrayAndGroup: a part of the devices (P30), and those of a group.
func TestOfficialGrayAndGroup(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	for _, name := range []string{"d1", "d2", "d3"} {
		tw.device(key, name, "1.0")
	}
	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection, batch.GrayPercent = key, tw.firmware(key, "fw2", "2.0", false), "GRAY", "66.667"
	gray := ok(t, must(c.CreateOTAStaticUpgradeJob(batch)), nil).Data.JobId
	if r := must(c.ListOTATaskByJob(newTasks(gray))); r.Total != 2 {
		t.Errorf("66.667 %% of three are %d", r.Total)
	}
	if j := tw.jobOf(gray); j.GrayPercent != "66.667" || j.TargetSelection != "GRAY" {
		t.Errorf("job %+v", j)
	}
	group := tw.group("kitchen", "")
	tw.into(group, key, "d3")
	batch = iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection, batch.GroupType, batch.GroupId = key, tw.firmware(key, "fw3", "3.0", false), "GROUP", groupStatic, group
	batch.OverwriteMode = "2"
	job := ok(t, must(c.CreateOTAStaticUpgradeJob(batch)), nil).Data.JobId
	if l := must(c.ListOTATaskByJob(newTasks(job))).Data.SimpleOTATaskInfo; len(l) != 1 || l[0].DeviceName != "d3" {
		t.Errorf("tasks %+v", l)
	}
	if j := tw.jobOf(job); j.GroupId != group || j.GroupName != "kitchen" {
		t.Errorf("job %+v", j)
	}
}

// TestOfficialConfirm: a task waits for a user's word, and with NeedPush=false for the
// device's question too.
func TestOfficialConfirm(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	d1 := tw.device(key, "d1", "1.0")
	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection = key, tw.firmware(key, "fw2", "2.0", false), "ALL"
	batch.NeedConfirm, batch.NeedPush = "true", "false"
	job := ok(t, must(c.CreateOTAStaticUpgradeJob(batch)), nil).Data.JobId
	task := onlyTask(t, c, newTasks(job), "CONFIRM", "0.00", "")
	unfinished := newUnfinished(key, "d1")
	unfinished.TaskStatusList = &[]string{"CONFIRM"}
	if l := must(c.ListOTAUnfinishedTaskByDevice(unfinished)).Data.SimpleOTATaskInfo; len(l) != 1 || l[0].TaskId != task.TaskId {
		t.Errorf("unfinished %+v", l)
	}
	confirm := iot.CreateConfirmOTATaskRequest()
	confirm.TaskId = &[]string{task.TaskId}
	ok(t, must(c.ConfirmOTATask(confirm)), nil)
	onlyTask(t, c, newTasks(job), "QUEUED", "0.00", "ask")
	refused(t, must(c.ConfirmOTATask(confirm)), "iot.ota.NotAllowed", "TaskId", task.TaskId)
	tw.happen(simulator.Asked{Device: d1, Reply: simulator.Reply{Topic: ota.TopicGetReply, ID: "1"}})
	onlyTask(t, c, newTasks(job), "NOTIFIED", "0.00", "")
	none := iot.CreateConfirmOTATaskRequest()
	none.TaskId = &[]string{"none"}
	refused(t, must(c.ConfirmOTATask(none)), codeNoTask, "TaskId", "none")
	twice := iot.CreateConfirmOTATaskRequest()
	twice.TaskId = &[]string{task.TaskId, task.TaskId}
	refused(t, must(c.ConfirmOTATask(twice)), codeInvalid, "TaskId", "twice")
	if _, err := c.ConfirmOTATask(iot.CreateConfirmOTATaskRequest()); err == nil || !contains(err.Error(), "MissingTaskId") {
		t.Errorf("without a task: %v", err)
	}
}

// TestOfficialReupgrade starts a failed task anew, which the working state has
// forgotten; and refuses one that is under way, or has succeeded.
func TestOfficialReupgrade(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	d1 := tw.device(key, "d1", "1.0")
	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection = key, tw.firmware(key, "fw2", "2.0", false), "ALL"
	job := ok(t, must(c.CreateOTAStaticUpgradeJob(batch)), nil).Data.JobId
	task := onlyTask(t, c, newTasks(job), "NOTIFIED", "0.00", "")
	again := iot.CreateReupgradeOTATaskRequest()
	again.JobId, again.TaskId = job, &[]string{task.TaskId}
	refused(t, must(c.ReupgradeOTATask(again)), "iot.ota.NotAllowed", "TaskId", "NOTIFIED")
	tw.happen(simulator.Progressed{Device: d1, Step: -2})
	onlyTask(t, c, newTasks(job), "FAILED", "0.00", "download")
	tw.clock.add(time.Minute)
	ok(t, must(c.ReupgradeOTATask(again)), nil)
	onlyTask(t, c, newTasks(job), "NOTIFIED", "0.00", "")
	if j := tw.jobOf(job); j.JobStatus != "IN_PROGRESS" || j.UtcEndTime != "" {
		t.Errorf("job %+v", j)
	}
	tw.happen(simulator.Informed{Device: d1, Version: "2.0"})
	onlyTask(t, c, newTasks(job), "SUCCEEDED", "100.00", "")
	refused(t, must(c.ReupgradeOTATask(again)), "iot.ota.NotAllowed", "TaskId", "SUCCEEDED")
	again = iot.CreateReupgradeOTATaskRequest()
	again.JobId, again.TaskId = job, &[]string{"none"}
	refused(t, must(c.ReupgradeOTATask(again)), codeNoTask, "TaskId", "none")
	again = iot.CreateReupgradeOTATaskRequest()
	again.JobId, again.TaskId = "none", &[]string{task.TaskId}
	refused(t, must(c.ReupgradeOTATask(again)), "iot.ota.NotExistedJob", "JobId", "none")
}
