package openapi

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
)

func TestOfficialModules(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	create := iot.CreateCreateOTAModuleRequest()
	create.ProductKey, create.ModuleName, create.AliasName, create.Desc = key, "MCU", "the.mcu", "微控制器"
	if r := must(c.CreateOTAModule(create)); !r.Success {
		t.Fatal(r.GetHttpContentString())
	}
	refused(t, must(c.CreateOTAModule(create)), "iot.ota.AlreadyExistedModuleName", "ModuleName", "MCU")
	create.ModuleName = "m/2"
	refused(t, must(c.CreateOTAModule(create)), codeInvalid, "ModuleName", "'/'")
	create.ModuleName = strings.Repeat("m", 65)
	refused(t, must(c.CreateOTAModule(create)), codeInvalid, "ModuleName", "64")
	create.ModuleName, create.AliasName = "M2", "abc"
	refused(t, must(c.CreateOTAModule(create)), codeInvalid, "AliasName", "4")
	create.AliasName, create.Desc = "alias", strings.Repeat("字", 101)
	refused(t, must(c.CreateOTAModule(create)), codeInvalid, "Desc", "100")

	list := iot.CreateListOTAModuleByProductRequest()
	list.ProductKey = key
	l := must(c.ListOTAModuleByProduct(list)).Data
	if len(l) != 2 || l[0].ModuleName != "default" {
		t.Fatalf("modules %+v", l)
	}
	if l[1].GmtCreate == "" || l[1].GmtModified == "" {
		t.Errorf("times %+v", l[1])
	}
	l[1].GmtCreate, l[1].GmtModified = "", ""
	same(t, "module", iot.OtaModuleDTO{ProductKey: key, ModuleName: "MCU", AliasName: "the.mcu", Desc: "微控制器"}, l[1])
	list.AcceptFormat = "XML"
	if l := must(c.ListOTAModuleByProduct(list)).Data; len(l) != 2 || l[1].AliasName != "the.mcu" {
		t.Errorf("as XML: %+v", l)
	}
}

func TestOfficialFirmware(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	content := []byte("the patch")
	tw.uploads.(*shelf).put("http://h/p/f.tar.gz", content)
	sum, old := sha256.Sum256(content), md5.Sum(content)
	create := iot.CreateCreateOTAFirmwareRequest()
	create.ProductKey, create.FirmwareName, create.FirmwareDesc, create.Udi = key, "固件_1(beta)", "what is new", `{"a":"<&>"}`
	create.Type, create.SrcVersion, create.DestVersion = "1", "1.0", "1.1"
	create.FirmwareUrl, create.SignMethod, create.FirmwareSign, create.FirmwareSize = "http://h/p/f.tar.gz", "SHA256", strings.ToUpper(hex.EncodeToString(sum[:])), "9"
	made := must(c.CreateOTAFirmware(create))
	if !made.Success || made.Data.FirmwareId == "" || made.Data.UtcCreate == "" {
		t.Fatal(made.GetHttpContentString())
	}
	query := iot.CreateQueryOTAFirmwareRequest()
	query.FirmwareId = made.Data.FirmwareId
	for _, format := range []string{"JSON", "XML"} {
		query.AcceptFormat = format
		got := must(c.QueryOTAFirmware(query)).FirmwareInfo
		if got.UtcCreate != made.Data.UtcCreate || got.UtcModified == "" {
			t.Errorf("%s: times %+v", format, got)
		}
		got.UtcCreate, got.UtcModified = "", ""
		same(t, format, iot.FirmwareInfo{
			FirmwareId: made.Data.FirmwareId, FirmwareName: "固件_1(beta)", FirmwareDesc: "what is new", ProductKey: key, ProductName: "lamp",
			Type: 1, SrcVersion: "1.0", DestVersion: "1.1", ModuleName: "default", SignMethod: "SHA256", FirmwareSign: hex.EncodeToString(sum[:]),
			FirmwareSize: 9, FirmwareUrl: "http://h/p/id" + hex.EncodeToString(sum[:4]) + "?task=cloud-api", Udi: `{"a":"<&>"}`, Status: 0,
		}, got)
	}
	tw.firmware(key, "full", "2.0", false)
	list := iot.CreateListOTAFirmwareRequest()
	list.ProductKey, list.PageSize = key, "1"
	l := must(c.ListOTAFirmware(list))
	if l.Total != 2 || l.PageCount != 2 || l.CurrentPage != 1 || l.PageSize != 1 || len(l.FirmwareInfo.SimpleFirmwareInfo) != 1 {
		t.Fatal(l.GetHttpContentString())
	}
	if f := l.FirmwareInfo.SimpleFirmwareInfo[0]; f.FirmwareName != "full" || f.Status != -1 || f.Type != 0 || f.SignMethod != "MD5" || len(f.FirmwareSign) != 32 {
		t.Errorf("listed %+v", f)
	}
	list.DestVersion = "1.1"
	if l := must(c.ListOTAFirmware(list)); l.Total != 1 || l.FirmwareInfo.SimpleFirmwareInfo[0].FirmwareId != made.Data.FirmwareId {
		t.Error(l.GetHttpContentString())
	}

	for _, bad := range []struct {
		change func(r *iot.CreateOTAFirmwareRequest)
		code   string
		texts  []string
	}{
		{func(*iot.CreateOTAFirmwareRequest) {}, "iot.ota.AlreadyExistedFirmwareName", []string{"FirmwareName"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareName = "_x" }, codeInvalid, []string{"FirmwareName"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareName = strings.Repeat("x", 41) }, codeInvalid, []string{"FirmwareName", "40"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareSign = hex.EncodeToString(old[:]) }, codeInvalid, []string{"FirmwareSign", "SHA256"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareSize = "8" }, codeInvalid, []string{"FirmwareSize", "9 bytes"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareUrl = "http://h/p/other.bin" }, "iot.ota.FileNotUploaded", []string{"FirmwareUrl"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareUrl = "http://h/stale.bin" }, "iot.ota.FileNotUploaded", []string{"FirmwareUrl", "1h"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.Type = "2" }, codeInvalid, []string{"Type", "0 to 1"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.SignMethod = "SHA1" }, codeInvalid, []string{"SignMethod", "MD5"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.DestVersion = "1.0" }, codeInvalid, []string{"SrcVersion"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.DestVersion = strings.Repeat("1", 65) }, codeInvalid, []string{"DestVersion", "64"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.ModuleName = "none" }, "iot.ota.NotExistedModuleName", []string{"ModuleName", "none"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.ProductKey = "none" }, "iot.prod.NotExistedProduct", []string{"ProductKey"}},
		{func(r *iot.CreateOTAFirmwareRequest) { r.FirmwareDesc = strings.Repeat("x", 101) }, codeInvalid, []string{"FirmwareDesc", "100"}},
		{func(r *iot.CreateOTAFirmwareRequest) {
			r.MultiFiles = &[]iot.CreateOTAFirmwareMultiFiles{{Name: "a", Size: "1"}}
		}, codeInvalid, []string{"FirmwareUrl", "MultiFiles"}},
	} {
		req := *create
		req.RpcRequest = iot.CreateCreateOTAFirmwareRequest().RpcRequest
		bad.change(&req)
		refused(t, must(c.CreateOTAFirmware(&req)), bad.code, bad.texts...)
	}
	query.FirmwareId, query.AcceptFormat = "none", "JSON"
	refused(t, must(c.QueryOTAFirmware(query)), "iot.ota.NotExistedFirmware", "FirmwareId")
}

func TestOfficialUploadForm(t *testing.T) {
	tw := newTown(t)
	for suffix, want := range map[string]string{"": "k.bin", "zip": "k.zip", ".tar.gz": "k.tar.gz"} {
		req := iot.CreateGenerateOTAUploadURLRequest()
		req.FileSuffix = suffix
		r := must(tw.client.GenerateOTAUploadURL(req))
		d := r.Data
		if !r.Success || d.Key != want || d.Host != "http://h/p/" || d.Policy != "p" || d.OssAccessKeyId != "a" || d.Signature != "s" || d.FirmwareUrl != "http://h/p/"+want || d.UtcCreate == "" {
			t.Errorf("%q: %s", suffix, r.GetHttpContentString())
		}
	}
	req := iot.CreateGenerateOTAUploadURLRequest()
	req.FileSuffix = "exe"
	refused(t, must(tw.client.GenerateOTAUploadURL(req)), codeInvalid, "FileSuffix", ".tar.gz")
}
