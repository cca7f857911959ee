package openapi

import (
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
)

// TestOfficialXML: every list is read from XML as it is from JSON.
func TestOfficialXML(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	tw.device(key, "d2", "")
	pack := tw.firmware(key, "fw2", "2.0", false)
	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.FirmwareId, batch.AcceptFormat = pack, "XML"
	job := must(c.CreateOTAStaticUpgradeJob(batch)).Data.JobId
	tasks := iot.CreateListOTATaskByJobRequest()
	tasks.JobId, tasks.AcceptFormat = job, "XML"
	if r := must(c.ListOTATaskByJob(tasks)); !r.Success || r.Total != 2 || len(r.Data.SimpleOTATaskInfo) != 2 || r.Data.SimpleOTATaskInfo[0].JobId != job {
		t.Error(r.GetHttpContentString())
	}
	jobs := iot.CreateListOTAJobByFirmwareRequest()
	jobs.FirmwareId, jobs.AcceptFormat = pack, "XML"
	if r := must(c.ListOTAJobByFirmware(jobs)); r.Total != 1 || r.Data.SimpleOTAJobInfo[0].JobId != job {
		t.Error(r.GetHttpContentString())
	}
	devices := iot.CreateQueryDeviceRequest()
	devices.ProductKey, devices.AcceptFormat = key, "XML"
	if r := must(c.QueryDevice(devices)); len(r.Data.DeviceInfo) != 2 || r.Data.DeviceInfo[0].DeviceName != "d1" {
		t.Error(r.GetHttpContentString())
	}
	products := iot.CreateQueryProductListRequest()
	products.AcceptFormat = "XML"
	if r := must(c.QueryProductList(products)); r.Data.Total != 1 || r.Data.List.ProductInfo[0].ProductKey != key {
		t.Error(r.GetHttpContentString())
	}
	packs := iot.CreateListOTAFirmwareRequest()
	packs.AcceptFormat = "XML"
	if r := must(c.ListOTAFirmware(packs)); r.Total != 1 || r.FirmwareInfo.SimpleFirmwareInfo[0].FirmwareId != pack {
		t.Error(r.GetHttpContentString())
	}
	check := newNames(key, "n1", "n2")
	check.AcceptFormat = "XML"
	if r := must(c.BatchCheckDeviceNames(check)); !r.Success || r.Data.ApplyId == 0 {
		t.Error(r.GetHttpContentString())
	}
	ask := iot.CreateQueryOTAJobRequest()
	ask.JobId, ask.AcceptFormat = "none", "XML"
	refused(t, must(c.QueryOTAJob(ask)), "iot.ota.NotExistedJob", "JobId")
}
