package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/agent/gateway"
	"github.com/leapslot/ota/agent/link"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/verify"
)

const slowest = time.Minute

// town is the whole cloud of `otasim serve`, on real sockets.
type town struct {
	t       *testing.T
	mqtt    string
	api     *openapi.Client
	hubs    string // the gateways' product
	product string // the sub-devices'
}

func newTown(t *testing.T) *town {
	t.Helper()
	c := &town{t: t}
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	c.mqtt = "mqtt://" + listeners[0].Addr().String()
	web := "http://" + listeners[1].Addr().String()
	key := openapi.Key{ID: "id", Secret: "secret", Account: "me"}
	s, err := server.New(t.Context(), server.Config{Dir: t.TempDir(), PublicURL: web, AccessKey: key})
	if err != nil {
		t.Fatal(err)
	}
	if c.api, err = openapi.NewClient(web, key, slowest); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listeners[:1], listeners[1:]) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	c.hubs, c.product = c.newProduct("hubs", "1"), c.newProduct("lamps", "0")
	return c
}

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

func (c *town) newProduct(name, node string) string {
	var made struct{ ProductKey string }
	c.call(&made, "CreateProduct", "ProductName", name, "NodeType", node)
	return made.ProductKey
}

func (c *town) newDevice(product, name string) (ota.Device, string) {
	var made struct{ Data struct{ DeviceSecret string } }
	c.call(&made, "RegisterDevice", "ProductKey", product, "DeviceName", name)
	return ota.Device{ProductKey: product, Name: name}, made.Data.DeviceSecret
}

// job announces a package to every sub-device.
func (c *town) job(version string, pkg []byte, more ...string) string {
	c.t.Helper()
	var form struct{ Data openapi.UploadForm }
	c.call(&form, "GenerateOTAUploadURL", "FileSuffix", "bin")
	if err := openapi.Upload(context.Background(), form.Data, bytes.NewReader(pkg), int64(len(pkg))); err != nil {
		c.t.Fatal(err)
	}
	var made struct{ Data struct{ FirmwareId string } }
	c.call(&made, "CreateOTAFirmware", "ProductKey", c.product, "FirmwareName", "fw"+version[:1], "DestVersion", version,
		"FirmwareUrl", form.Data.FirmwareUrl, "SignMethod", "SHA256", "NeedToVerify", "false")
	var job struct{ Data struct{ JobId string } }
	c.call(&job, "CreateOTAStaticUpgradeJob", append(more, "ProductKey", c.product, "FirmwareId", made.Data.FirmwareId, "TargetSelection", "ALL")...)
	return job.Data.JobId
}

// tasks are the states of a job's tasks and what was told of them, by device.
func (c *town) tasks(job string) map[string][2]string {
	var list struct {
		Data struct {
			SimpleOTATaskInfo []struct{ DeviceName, TaskStatus, TaskDesc string }
		}
	}
	c.call(&list, "ListOTATaskByJob", "JobId", job, "PageSize", "10", "CurrentPage", "1")
	out := map[string][2]string{}
	for _, k := range list.Data.SimpleOTATaskInfo {
		out[k.DeviceName] = [2]string{k.TaskStatus, k.TaskDesc}
	}
	return out
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(slowest); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never within %v: %s", slowest, what)
		}
	}
}

// The whole way: the real cloud, its broker and its packages; the topology is made,
// one sub-device is updated, another one's installer fails, and the gateway's own
// session goes on beside it. Then the first is thrown off by another gateway, and
// comes back.
func TestSubDevicesInTheRealCloud(t *testing.T) {
	c := newTown(t)
	hub, hubSecret := c.newDevice(c.hubs, "hub")
	lamp, lampSecret := c.newDevice(c.product, "lamp")
	bell, bellSecret := c.newDevice(c.product, "bell")
	pkg := bytes.Repeat([]byte("firmware "), 100_000)

	var version atomic.Value
	version.Store("1.0.0")
	l, err := link.New(link.Config{URL: c.mqtt, Credentials: ota.Credentials{Device: hub, Secret: hubSecret}})
	if err != nil {
		t.Fatal(err)
	}
	behind, err := l.Gateway([]ota.Device{lamp, bell})
	if err != nil {
		t.Fatal(err)
	}
	downloads, err := fetch.New(fetch.Options{Proxy: "direct"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{
		Gateway: hub, Cloud: behind, Downloads: downloads, Dir: t.TempDir() + "/subs", Trust: &verify.Trust{Require: verify.RequireDigest},
		Devices: []gateway.Device{
			{Device: lamp, Secret: lampSecret,
				Version: func(context.Context) (string, error) { return version.Load().(string), nil },
				Install: func(_ context.Context, u gateway.Update) error {
					b, err := os.ReadFile(u.Path)
					if err != nil || !bytes.Equal(b, pkg) {
						t.Errorf("installed %d bytes, %v", len(b), err)
					}
					version.Store(u.Version)
					return nil
				}},
			{Device: bell, Secret: bellSecret, Current: "1.0.0",
				Install: gateway.Command{Argv: []string{"/bin/sh", "-c", "echo the bell is cracked >&2; exit 1"}}.Install},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	linked, played := make(chan struct{}), make(chan error, 1)
	go func() { defer close(linked); l.Run(ctx) }()
	go func() { played <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-linked
		if err := <-played; err != nil {
			t.Error(err)
		}
	})
	within(t, "both are logged in", func() bool { s := g.Status(); return s[0].Online && s[1].Online })
	job := c.job("2.0.0", pkg)
	within(t, "both updates are over", func() bool {
		k := c.tasks(job)
		return k["lamp"][0] == "SUCCEEDED" && k["bell"][0] == "FAILED"
	})
	if why := c.tasks(job)["bell"][1]; !bytes.Contains([]byte(why), []byte("cracked")) {
		t.Errorf("the cloud was told %q of the bell", why)
	}
	if err := l.Send(t.Context(), ota.TopicInform, ota.Inform{ID: "1", Version: "9"}.Encode()); err != nil {
		t.Errorf("the gateway's own agent: %v", err)
	}
	var list struct {
		Data struct {
			SimpleOTAModuleInfo []struct{ ModuleVersion string }
		}
	}
	c.call(&list, "ListOTAModuleVersionsByDevice", "ProductKey", c.product, "DeviceName", "lamp", "CurrentPage", "1", "PageSize", "10")
	if got := list.Data.SimpleOTAModuleInfo; len(got) != 1 || got[0].ModuleVersion != "2.0.0" {
		t.Errorf("the cloud has the versions %+v of the lamp", got)
	}
	job = c.job("3.0.0", pkg, "DownloadProtocol", "MQTT")
	within(t, "the update over MQTT is over", func() bool { return c.tasks(job)["lamp"][0] == "SUCCEEDED" })
	c.steal(lamp, lampSecret)
	within(t, "the lamp is thrown out", func() bool { return !g.Status()[0].Online })
	within(t, "and logged in again", func() bool { return g.Status()[0].Online })
}

// steal signs a sub-device in by itself, once.
func (c *town) steal(d ota.Device, secret string) {
	c.t.Helper()
	l, err := link.New(link.Config{URL: c.mqtt, Credentials: ota.Credentials{Device: d, Secret: secret}})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	within(c.t, "the thief is in", l.Connected)
	cancel()
	<-ended
}
