package openapi

import (
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
)

// ok checks that a call has succeeded.
func ok[T interface {
	IsSuccess() bool
	GetHttpContentString() string
}](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil || !strings.Contains(v.GetHttpContentString(), `"Success":true`) {
		t.Fatalf("%v: %s", err, v.GetHttpContentString())
	}
	return v
}

func TestOfficialModuleChanges(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	create := iot.CreateCreateOTAModuleRequest()
	create.ProductKey, create.ModuleName, create.AliasName = key, "MCU", "old.one"
	ok(t, must(c.CreateOTAModule(create)), nil)
	update := iot.CreateUpdateOTAModuleRequest()
	update.ProductKey, update.ModuleName, update.AliasName, update.Desc = key, "MCU", "new.one", "微控制器"
	ok(t, must(c.UpdateOTAModule(update)), nil)
	list := iot.CreateListOTAModuleByProductRequest()
	list.ProductKey = key
	l := must(c.ListOTAModuleByProduct(list)).Data
	if len(l) != 2 || l[1].AliasName != "new.one" || l[1].Desc != "微控制器" {
		t.Errorf("modules %+v", l)
	}
	update.AliasName = "abc"
	refused(t, must(c.UpdateOTAModule(update)), codeInvalid, "AliasName", "4")
	update.ModuleName = "none"
	refused(t, must(c.UpdateOTAModule(update)), "iot.ota.NotExistedModuleName", "ModuleName", "none")

	remove := iot.CreateDeleteOTAModuleRequest()
	remove.ProductKey, remove.ModuleName = key, "default"
	refused(t, must(c.DeleteOTAModule(remove)), "iot.ota.NotAllowed", "ModuleName")
	remove.ModuleName = "MCU"
	ok(t, must(c.DeleteOTAModule(remove)), nil)
	if l := must(c.ListOTAModuleByProduct(list)).Data; len(l) != 1 {
		t.Errorf("left are %+v", l)
	}
}

func TestOfficialFirmwareChanges(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	d1 := tw.device(key, "d1", "1.0")
	pack := tw.firmware(key, "one", "2.0", false)
	tw.firmware(key, "two", "3.0", false)
	modify := iot.CreateModifyOTAFirmwareRequest()
	modify.FirmwareId, modify.ProductKey, modify.FirmwareName, modify.FirmwareDesc, modify.FirmwareUdi = pack, key, "三", "what it is", `{"k":1}`
	ok(t, must(c.ModifyOTAFirmware(modify)), nil)
	query := iot.CreateQueryOTAFirmwareRequest()
	query.FirmwareId = pack
	if f := must(c.QueryOTAFirmware(query)).FirmwareInfo; f.FirmwareName != "三" || f.FirmwareDesc != "what it is" || f.Udi != `{"k":1}` || f.DestVersion != "2.0" {
		t.Errorf("modified %+v", f)
	}
	modify.FirmwareName = "two"
	refused(t, must(c.ModifyOTAFirmware(modify)), "iot.ota.AlreadyExistedFirmwareName", "FirmwareName", "two")
	modify.FirmwareName, modify.ProductKey = "three", tw.product("other")
	refused(t, must(c.ModifyOTAFirmware(modify)), codeInvalid, "ProductKey", key)

	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection = key, pack, "ALL"
	job := must(c.CreateOTAStaticUpgradeJob(batch)).Data.JobId
	remove := iot.CreateDeleteOTAFirmwareRequest()
	remove.FirmwareId = pack
	refused(t, must(c.DeleteOTAFirmware(remove)), "iot.ota.NotAllowed", "FirmwareId", job)
	tw.happen(simulator.Informed{Device: d1, Version: "2.0"})
	ok(t, must(c.DeleteOTAFirmware(remove)), nil)
	refused(t, must(c.DeleteOTAFirmware(remove)), "iot.ota.NotExistedFirmware", "FirmwareId")
	refused(t, must(c.QueryOTAFirmware(query)), "iot.ota.NotExistedFirmware", "FirmwareId")
	refused(t, must(c.ListOTATaskByJob(newTasks(job))), "iot.ota.NotExistedJob", "JobId")
}

func TestOfficialDeletions(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	tw.device(key, "d1", "1.0")
	tw.device(key, "d2", "1.0")
	pack := tw.firmware(key, "fw2", "2.0", false)
	batch := iot.CreateCreateOTAStaticUpgradeJobRequest()
	batch.ProductKey, batch.FirmwareId, batch.TargetSelection = key, pack, "ALL"
	job := must(c.CreateOTAStaticUpgradeJob(batch)).Data.JobId

	remove := iot.CreateDeleteDeviceRequest()
	remove.ProductKey, remove.DeviceName = key, "d1"
	ok(t, must(c.DeleteDevice(remove)), nil)
	refused(t, must(c.DeleteDevice(remove)), codeNoDevice, "DeviceName", "d1")
	tasks := newTasks(job)
	tasks.DeviceNames = &[]string{"d1"}
	if l := must(c.ListOTATaskByJob(tasks)).Data.SimpleOTATaskInfo; len(l) != 1 || l[0].TaskStatus != "CANCELED" || !strings.Contains(l[0].TaskDesc, "deleted") || l[0].IotId != "" {
		t.Errorf("the task of a deleted device: %+v", l)
	}
	detail := iot.CreateQueryDeviceDetailRequest()
	detail.ProductKey, detail.DeviceName = key, "d2"
	byID := iot.CreateDeleteDeviceRequest()
	byID.IotId = must(c.QueryDeviceDetail(detail)).Data.IotId
	whole := iot.CreateDeleteProductRequest()
	whole.ProductKey = key
	refused(t, must(c.DeleteProduct(whole)), "iot.prod.NotAllowed", "ProductKey", "1 devices")
	ok(t, must(c.DeleteDevice(byID)), nil)
	refused(t, must(c.DeleteProduct(whole)), "iot.prod.NotAllowed", "ProductKey", pack)
	fw := iot.CreateDeleteOTAFirmwareRequest()
	fw.FirmwareId = pack
	ok(t, must(c.DeleteOTAFirmware(fw)), nil)
	ok(t, must(c.DeleteProduct(whole)), nil)
	query := iot.CreateQueryProductRequest()
	query.ProductKey = key
	refused(t, must(c.QueryProduct(query)), "iot.prod.NotExistedProduct", "ProductKey")
	if l := must(c.QueryProductList(listProducts())).Data; l.Total != 0 {
		t.Errorf("left are %+v", l)
	}
}

func listProducts() *iot.QueryProductListRequest {
	r := iot.CreateQueryProductListRequest()
	r.CurrentPage, r.PageSize = "1", "10"
	return r
}

// TestOfficialMultiFiles makes a package of several files and reads it back.
func TestOfficialMultiFiles(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	shelf := tw.uploads.(*shelf)
	shelf.put("http://h/p/a.bin", []byte("first"))
	shelf.put("http://h/p/b.bin", []byte("second"))
	a, b := shelf.files["http://h/p/a.bin"], shelf.files["http://h/p/b.bin"]
	newRequest := func() *iot.CreateOTAFirmwareRequest {
		r := iot.CreateCreateOTAFirmwareRequest()
		r.ProductKey, r.FirmwareName, r.DestVersion, r.SignMethod, r.NeedToVerify = key, "set", "2.0", "SHA256", "false"
		r.MultiFiles = &[]iot.CreateOTAFirmwareMultiFiles{
			{Url: "http://h/p/a.bin", Name: "boot.bin", Size: "5", SignValue: a.SHA256, FileMd5: a.MD5},
			{Url: "http://h/p/b.bin", Name: "root.bin"},
		}
		return r
	}
	for _, bad := range []struct {
		change func(f []iot.CreateOTAFirmwareMultiFiles)
		code   string
		text   string
	}{
		{func(f []iot.CreateOTAFirmwareMultiFiles) { f[1].Size = "7" }, codeInvalid, "MultiFiles.2.Size"},
		{func(f []iot.CreateOTAFirmwareMultiFiles) { f[1].SignValue = a.SHA256 }, codeInvalid, "MultiFiles.2.SignValue"},
		{func(f []iot.CreateOTAFirmwareMultiFiles) { f[0].FileMd5 = b.MD5 }, codeInvalid, "MultiFiles.1.FileMd5"},
		{func(f []iot.CreateOTAFirmwareMultiFiles) { f[0].Url = "http://h/p/c.bin" }, "iot.ota.FileNotUploaded", "MultiFiles.1.Url"},
	} {
		r := newRequest()
		bad.change(*r.MultiFiles)
		refused(t, must(c.CreateOTAFirmware(r)), bad.code, bad.text)
	}
	made := ok(t, must(c.CreateOTAFirmware(newRequest())), nil)
	query := iot.CreateQueryOTAFirmwareRequest()
	query.FirmwareId = made.Data.FirmwareId
	for _, format := range []string{"JSON", "XML"} {
		query.AcceptFormat = format
		f := must(c.QueryOTAFirmware(query)).FirmwareInfo
		if f.FirmwareSize != 11 || f.FirmwareUrl != "" {
			t.Errorf("%s: %+v", format, f)
		}
		same(t, format, []iot.OtaPackageFileDTO{
			{Name: "boot.bin", Size: 5, Url: "http://h/p/" + a.ID + "?task=cloud-api", SignValue: a.SHA256, FileMd5: a.MD5},
			{Name: "root.bin", Size: 6, Url: "http://h/p/" + b.ID + "?task=cloud-api", SignValue: b.SHA256, FileMd5: b.MD5},
		}, f.MultiFiles)
	}
}

// TestOfficialSuffixes: files of later documents' kinds make packages with the option
// for it only (P3).
func TestOfficialSuffixes(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	upload := iot.CreateGenerateOTAUploadURLRequest()
	upload.FileSuffix = "tar.xz"
	url := ok(t, must(c.GenerateOTAUploadURL(upload)), nil).Data.FirmwareUrl
	tw.uploads.(*shelf).put(url, []byte("image"))
	r := iot.CreateCreateOTAFirmwareRequest()
	r.ProductKey, r.FirmwareName, r.DestVersion, r.FirmwareUrl = key, "fw", "2.0", url
	refused(t, must(c.CreateOTAFirmware(r)), codeInvalid, "FirmwareUrl", ".tar.xz")
	if err := tw.ours("UpdateProductOTAOptions", map[string]string{"ProductKey": key, "LatestLimits": "true"}, nil); err != nil {
		t.Fatal(err)
	}
	ok(t, must(c.CreateOTAFirmware(r)), nil)
}
