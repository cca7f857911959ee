package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// slowest bounds everything that is waited for on a loaded machine.
const slowest = 60 * time.Second

// town is a whole cloud, the one of `otasim serve`, on real sockets and a real
// database, with one product. The packages come to the devices over a road that
// is watched.
type town struct {
	t       *testing.T
	dir     string
	mqtt    string // where devices sign in; the port stays the same over stop and open
	tls     *tls.Config
	road    *road
	api     *openapi.Client
	product string
	stop    func()
}

var townKey = openapi.Key{ID: "town", Secret: "town-secret", Account: "town"}

// newTown opens a cloud. With certificate its devices sign in over TLS.
func newTown(t *testing.T, certificate *tls.Config) *town {
	t.Helper()
	c := &town{t: t, dir: t.TempDir(), mqtt: "127.0.0.1:0", tls: certificate, road: newRoad(t)}
	c.open()
	t.Cleanup(func() { c.stop() })
	var made struct{ ProductKey string }
	c.call(&made, "CreateProduct", "ProductName", "gateway", "NodeType", "1")
	c.product = made.ProductKey
	return c
}

// open starts the cloud, the second time with what it had stored.
func (c *town) open() {
	c.t.Helper()
	devices, web := listenOn(c.t, c.mqtt), listenOn(c.t, "127.0.0.1:0")
	c.mqtt = devices.Addr().String()
	if c.tls != nil {
		devices = tls.NewListener(devices, c.tls)
	}
	s, err := server.New(c.t.Context(), server.Config{Dir: c.dir, PublicURL: c.road.url(), AccessKey: townKey})
	if err != nil {
		c.t.Fatal(err)
	}
	c.road.leadTo(web.Addr().String())
	if c.api, err = openapi.NewClient("http://"+web.Addr().String(), townKey, slowest); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, []net.Listener{devices}, []net.Listener{web}) }()
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("the cloud ended with %v", err)
		}
		if err := s.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

func listenOn(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// call makes one call of the cloud API and reads the members of its answer that
// answer has.
func (c *town) call(answer any, action string, params ...string) {
	c.t.Helper()
	m := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		m[params[i]] = params[i+1]
	}
	raw, err := c.api.Call(context.Background(), action, m)
	if err == nil {
		err = json.Unmarshal(raw, answer)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", action, err)
	}
}

// batch uploads a package and makes a batch of it for one device. It gives the
// job.
func (c *town) batch(g *gateway, version string, pkg []byte, more ...string) string {
	c.t.Helper()
	var form struct{ Data openapi.UploadForm }
	c.call(&form, "GenerateOTAUploadURL", "FileSuffix", "bin")
	if err := openapi.Upload(context.Background(), form.Data, bytes.NewReader(pkg), int64(len(pkg))); err != nil {
		c.t.Fatal(err)
	}
	var made struct{ Data struct{ FirmwareId string } }
	c.call(&made, "CreateOTAFirmware", append([]string{"ProductKey", c.product, "FirmwareName", g.name + "-" + strings.ReplaceAll(version, ".", "_"),
		"DestVersion", version, "FirmwareUrl", form.Data.FirmwareUrl, "SignMethod", "SHA256", "NeedToVerify", "false"}, more...)...)
	var job struct{ Data struct{ JobId string } }
	c.call(&job, "CreateOTAStaticUpgradeJob", "ProductKey", c.product, "FirmwareId", made.Data.FirmwareId,
		"TargetSelection", "SPECIFIC", "TargetDeviceName.1", g.name)
	return job.Data.JobId
}

// townTask is a device's part in a job, as users see it.
type townTask struct{ DeviceName, TaskStatus, TaskDesc, Progress string }

func (c *town) task(job string) townTask {
	c.t.Helper()
	var list struct {
		Data struct{ SimpleOTATaskInfo []townTask }
	}
	c.call(&list, "ListOTATaskByJob", "JobId", job, "PageSize", "10", "CurrentPage", "1")
	if len(list.Data.SimpleOTATaskInfo) != 1 {
		c.t.Fatalf("job %s has the tasks %+v, wanted is one", job, list.Data.SimpleOTATaskInfo)
	}
	return list.Data.SimpleOTATaskInfo[0]
}

// wantEnd waits until the cloud calls the job's task over, and wants its state.
func (c *town) wantEnd(job, state string) townTask {
	c.t.Helper()
	var last townTask
	within(c.t, slowest, "the end of "+job, func() bool {
		last = c.task(job)
		return last.TaskStatus == "SUCCEEDED" || last.TaskStatus == "FAILED" || last.TaskStatus == "CANCELED"
	})
	if last.TaskStatus != state {
		c.t.Errorf("the cloud shows %+v, wanted is %s", last, state)
	}
	return last
}

// version is what the device last reported; "" before it did.
func (c *town) version(name string) string {
	c.t.Helper()
	var list struct {
		Data struct {
			SimpleOTAModuleInfo []struct{ ModuleName, ModuleVersion string }
		}
	}
	c.call(&list, "ListOTAModuleVersionsByDevice", "ProductKey", c.product, "DeviceName", name, "CurrentPage", "1", "PageSize", "10")
	if len(list.Data.SimpleOTAModuleInfo) == 0 {
		return ""
	}
	return list.Data.SimpleOTAModuleInfo[0].ModuleVersion
}

// within waits for something that happens elsewhere.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never within %v: %s", limit, what)
		}
		if t.Failed() {
			t.FailNow() // the reason is said already
		}
	}
}

func mustWrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
