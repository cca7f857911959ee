package openapi

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
)

// TestOfficialDeviceList uploads lists of devices through the form of
// GenerateDeviceNameListURL to the real package server, and makes batches of them
// (P29).
func TestOfficialDeviceList(t *testing.T) {
	tw := newTown(t)
	c, key := tw.client, tw.product("lamp")
	for _, name := range []string{"d1", "d2", "d3"} {
		tw.device(key, name, "1.0")
	}
	pack := tw.firmware(key, "fw2", "2.0", false)
	files, err := packages.Open(packages.Config{Dir: t.TempDir(), BaseURL: "http://h", Clock: tw.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(files)
	t.Cleanup(web.Close)
	if err := files.SetBaseURL(web.URL); err != nil {
		t.Fatal(err)
	}
	tw.uploads = files
	upload := func(content string) string {
		t.Helper()
		r := ok(t, must(c.GenerateDeviceNameListURL(iot.CreateGenerateDeviceNameListURLRequest())), nil).Data
		if r.UtcCreate == "" || !strings.HasSuffix(r.FileUrl, ".csv") {
			t.Errorf("form %+v", r)
		}
		form := DeviceListForm{r.Host, r.Key, r.Policy, r.AccessKeyId, r.Signature, r.FileUrl, r.UtcCreate}
		if err := Upload(t.Context(), form.Upload(), strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
		return r.FileUrl
	}
	batch := func(url string) *iot.CreateOTAStaticUpgradeJobResponse {
		r := iot.CreateCreateOTAStaticUpgradeJobRequest()
		r.ProductKey, r.FirmwareId, r.TargetSelection, r.DnListFileUrl = key, pack, "SPECIFIC", url
		return must(c.CreateOTAStaticUpgradeJob(r))
	}
	job := ok(t, batch(upload(DeviceListTemplate+"d3\r\nd1\r\n")), nil).Data.JobId
	if l := must(c.ListOTATaskByJob(newTasks(job))); l.Total != 2 {
		t.Errorf("tasks %s", l.GetHttpContentString())
	}
	const badList = "iot.ota.InvalidDeviceList"
	refused(t, batch(upload("d1\nd9\nd2\nd8\n")), badList, "DnListFileUrl", "row 2", "d9", "row 4", "d8")
	refused(t, batch(upload("d1\nd 2\nd1\n")), badList, "DnListFileUrl", `row 2: "d 2"`, `row 3: "d1"`)
	refused(t, batch(upload(DeviceListTemplate)), badList, "no device")
	refused(t, batch(web.URL+"/p/none.csv"), "iot.ota.FileNotUploaded", "DnListFileUrl")
	var many bytes.Buffer
	for i := range 10_001 {
		fmt.Fprintf(&many, "n%d\n", i)
	}
	long := many.String()
	refused(t, batch(upload(long)), badList, "10000", "row 10001")
	if err := tw.ours("UpdateProductOTAOptions", map[string]string{"ProductKey": key, "LatestLimits": "true"}, nil); err != nil {
		t.Fatal(err)
	}
	refused(t, batch(upload(long)), badList, "row 1: ", "and 9991 more") // read now, but these devices are not there
	if _, err := tw.Do(t.Context(), simulator.RegisterDevices{Product: key, Names: strings.Fields(long)}); err != nil {
		t.Fatal(err)
	}
	job = ok(t, batch(upload(long)), nil).Data.JobId
	if l := must(c.ListOTATaskByJob(newTasks(job))); l.Total != 10_001 {
		t.Errorf("%d tasks of 10,001 devices", l.Total)
	}
}

// TestListTemplate gives the file to fill in.
func TestListTemplate(t *testing.T) {
	tw := newTown(t)
	var got struct {
		Data struct{ FileName, Content string }
	}
	if err := tw.ours("QueryDeviceNameListTemplate", nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.Data.FileName != "devices.csv" || got.Data.Content != DeviceListTemplate {
		t.Errorf("template %+v", got.Data)
	}
}
