package server

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/server/openapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api calls the cloud API as a user does.
type api struct {
	*openapi.Client
	t *testing.T
}

// call gives the string at a path such as Data.FirmwareId of the answer.
func (a api) call(path, action string, params map[string]string) string {
	a.t.Helper()
	raw, err := a.Call(a.t.Context(), action, params)
	if err != nil {
		a.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		a.t.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok {
			v = list[0]
		}
		m, ok := v.(map[string]any)
		if !ok {
			a.t.Fatalf("%s has no %s: %s", action, path, raw)
		}
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		a.t.Fatalf("%s: %s is %v: %s", action, path, v, raw)
	}
	return s
}

// upload puts a file where the cloud wants it and gives its FirmwareUrl.
func (a api) upload(file []byte) string {
	a.t.Helper()
	raw, err := a.Call(a.t.Context(), "GenerateOTAUploadURL", map[string]string{"FileSuffix": "bin"})
	if err != nil {
		a.t.Fatal(err)
	}
	var answer struct{ Data openapi.UploadForm }
	if err := json.Unmarshal(raw, &answer); err != nil {
		a.t.Fatal(err)
	}
	if err := openapi.Upload(a.t.Context(), answer.Data, bytes.NewReader(file), int64(len(file))); err != nil {
		a.t.Fatal(err)
	}
	return answer.Data.FirmwareUrl
}

// TestCorridor is the whole way on real sockets: a user makes product, device and
// package, verifies it on one device and rolls it out to another; the devices get their
// notices, download what they announce, and report.
func TestCorridor(t *testing.T) {
	mqttListener, web := listen(t), listen(t)
	s, err := New(t.Context(), Config{Dir: t.TempDir(), PublicURL: "http://" + web.Addr().String(), AccessKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &cloud{Server: s, t: t, cancel: cancel, ended: make(chan error, 1)}
	go func() { c.ended <- s.Run(ctx, []net.Listener{mqttListener}, []net.Listener{web}) }()
	defer c.stop()
	client, err := openapi.NewClient("http://"+web.Addr().String(), testKey, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	a := api{client, t}

	c.product = a.call("ProductKey", "CreateProduct", map[string]string{"ProductName": "lamp"})
	var devices []*device
	for _, name := range []string{"d1", "d2"} {
		a.call("Data.DeviceSecret", "RegisterDevice", map[string]string{"ProductKey": c.product, "DeviceName": name})
		d := c.dial(name, func() (net.Conn, error) { return net.Dial("tcp", mqttListener.Addr().String()) })
		defer d.off()
		d.inform("1.0")
		devices = append(devices, d)
	}
	image := bytes.Repeat([]byte("firmware "), 50_000)
	fw := a.call("Data.FirmwareId", "CreateOTAFirmware", map[string]string{
		"ProductKey": c.product, "FirmwareName": "fw", "DestVersion": "2.0", "SignMethod": "SHA256", "FirmwareUrl": a.upload(image),
	})
	batch := map[string]string{"ProductKey": c.product, "FirmwareId": fw, "TargetSelection": "ALL", "Tag.1.Key": "color", "Tag.1.Value": "a&b"}
	if _, err := a.Call(t.Context(), "CreateOTAStaticUpgradeJob", batch); err == nil {
		t.Error("a batch before the verification was made")
	}
	verify := a.call("Data.JobId", "CreateOTAVerifyJob", map[string]string{
		"ProductKey": c.product, "FirmwareId": fw, "TargetDeviceName.1": "d1", "TimeoutInMinutes": "10",
	})
	devices[0].upgrade(image)
	if s := a.call("Data.JobStatus", "QueryOTAJob", map[string]string{"JobId": verify}); s != "COMPLETED" {
		t.Errorf("verification is %s", s)
	}
	job := a.call("Data.JobId", "CreateOTAStaticUpgradeJob", batch)
	if n := devices[1].upgrade(image); n.Tags["color"] != "a&b" {
		t.Errorf("tags %v", n.Tags)
	}
	if s := a.call("Data.JobStatus", "QueryOTAJob", map[string]string{"JobId": job}); s != "COMPLETED" {
		t.Errorf("batch is %s", s)
	}
	if s := a.call("Data.SimpleOTATaskInfo.TaskStatus", "ListOTATaskByJob", map[string]string{"JobId": job, "CurrentPage": "1", "PageSize": "10"}); s != "SUCCEEDED" {
		t.Errorf("task is %s", s)
	}
	if text := get(t, "http://"+web.Addr().String()+"/metrics", 200); !strings.Contains(string(text), "otasim_connections 2") {
		t.Error("metrics do not show two connections")
	}
	get(t, "http://"+web.Addr().String()+"/healthz", 200)
}

// upgrade does what a device does with a notice.
func (d *device) upgrade(image []byte) ota.Notice {
	d.t.Helper()
	n := d.notice()
	d.progress(0)
	f := n.Files[0]
	got := get(d.t, f.URL, 200)
	sum := md5.Sum(got)
	if !bytes.Equal(got, image) || f.Size != int64(len(image)) || f.MD5 != hex.EncodeToString(sum[:]) {
		d.t.Errorf("downloaded %d bytes, announced %d", len(got), f.Size)
	}
	end := f.URL[len(f.URL)-1]
	get(d.t, f.URL[:len(f.URL)-1]+string('a'+(end-'a'+1)%26), http.StatusForbidden) // F9
	d.progress(100)
	d.inform(n.Version)
	return n
}

func get(t *testing.T, url string, want int) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Errorf("GET %s: %s %v, want %s: %.200s", url, resp.Status, err, strconv.Itoa(want), b)
	}
	http.DefaultClient.CloseIdleConnections()
	return b
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
