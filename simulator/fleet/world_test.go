package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // the tests wait most of the time; -parallel still counts
	goleak.VerifyTestMain(m)
}

// world is a whole cloud, its broker and its store, on real sockets.
type world struct {
	*openapi.Client
	t       *testing.T
	server  *server.Server
	mqtt    string
	product string
	number  int
}

var testKey = openapi.Key{ID: "id", Secret: "secret", Account: "me"}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, server.Config{}, nil)
}

// newWorldOf is a world whose server has something set, and whose doors (0 for devices, 1
// for the web) are what wrap makes of them.
func newWorldOf(t *testing.T, c server.Config, wrap func(int, net.Listener) net.Listener) *world {
	t.Helper()
	w := &world{t: t}
	devices, web := listen(t), listen(t)
	w.mqtt = "mqtt://" + devices.Addr().String()
	public := "http://" + web.Addr().String()
	if wrap != nil {
		devices, web = wrap(0, devices), wrap(1, web)
	}
	c.Dir, c.PublicURL, c.AccessKey, c.MaxPushRate = t.TempDir(), public, testKey, simulator.Unlimited
	var err error
	w.server, err = server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx, []net.Listener{devices}, []net.Listener{web}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.server.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.Client, err = openapi.NewClient(public, testKey, time.Minute); err != nil {
		t.Fatal(err)
	}
	w.product = w.newProduct(0)
	return w
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (w *world) do(cmd simulator.Command) any {
	w.t.Helper()
	v, err := w.server.Do(w.t.Context(), cmd)
	if err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	return v
}

func (w *world) newProduct(nodeType int) string {
	w.t.Helper()
	w.number++
	return w.do(simulator.CreateProduct{Account: "me", Name: fmt.Sprint("lamp", w.number), NodeType: nodeType}).(simulator.Product).Key
}

// register registers devices of a product.
func (w *world) register(product string, n int) []Member {
	w.t.Helper()
	var out []Member
	for from := 0; from < n; from += simulator.MaxRegistration {
		names := make([]string, min(simulator.MaxRegistration, n-from))
		for i := range names {
			names[i] = fmt.Sprintf("d%05d", from+i)
		}
		for _, d := range w.do(simulator.RegisterDevices{Product: product, Names: names}).([]simulator.Device) {
			out = append(out, Member{Device: d.Device, Secret: d.Secret})
		}
	}
	return out
}

// ask calls an action as a user does.
func (w *world) ask(answer any, action string, params ...string) {
	w.t.Helper()
	all := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	raw, err := w.Call(w.t.Context(), action, all)
	if err == nil && answer != nil {
		err = json.Unmarshal(raw, answer)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// firmware uploads so many bytes and makes a package of them.
func (w *world) firmware(product, version string, size int, more ...string) string {
	w.t.Helper()
	var up struct{ Data openapi.UploadForm }
	w.ask(&up, "GenerateOTAUploadURL", "FileSuffix", "bin")
	content := bytes.Repeat([]byte(version+" "), size/len(version)+1)[:size]
	if err := openapi.Upload(w.t.Context(), up.Data, bytes.NewReader(content), int64(size)); err != nil {
		w.t.Fatal(err)
	}
	var made struct{ Data struct{ FirmwareId string } }
	w.number++
	w.ask(&made, "CreateOTAFirmware", append([]string{"ProductKey", product, "FirmwareName", fmt.Sprint("fw", w.number),
		"DestVersion", version, "FirmwareUrl", up.Data.FirmwareUrl, "NeedToVerify", "false"}, more...)...)
	return made.Data.FirmwareId
}

// batch makes a batch of a package for all devices of its product.
func (w *world) batch(product, firmware string, more ...string) string {
	w.t.Helper()
	var made struct{ Data struct{ JobId string } }
	w.ask(&made, "CreateOTAStaticUpgradeJob", append([]string{"ProductKey", product, "FirmwareId", firmware, "TargetSelection", "ALL",
		"MaximumPerMinute", "600000"}, more...)...)
	return made.Data.JobId
}

// tasks gives the state of each device's task, as the cloud tells it.
func (w *world) tasks(job string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for page := 1; ; page++ {
		var list struct {
			Total int
			Data  struct {
				SimpleOTATaskInfo []struct{ DeviceName, TaskStatus string }
			}
		}
		w.ask(&list, "ListOTATaskByJob", "JobId", job, "CurrentPage", strconv.Itoa(page), "PageSize", "100")
		for _, task := range list.Data.SimpleOTATaskInfo {
			out[task.DeviceName] = task.TaskStatus
		}
		if len(list.Data.SimpleOTATaskInfo) == 0 || len(out) >= list.Total {
			return out
		}
	}
}

// told is the state that the cloud should show for what the fleet saw.
func told(o report.Outcome) string {
	switch o {
	case report.Succeeded:
		return "SUCCEEDED"
	case report.NotReached:
		return "QUEUED"
	case report.NeverAnswered:
		return "NOTIFIED"
	case report.Unfinished:
		return "IN_PROGRESS"
	}
	return "FAILED"
}

// agree compares what the fleet counts with what the cloud says, device by device.
func (w *world) agree(f *Fleet, job string, product string) map[report.Outcome]int {
	w.t.Helper()
	tasks := w.tasks(job)
	seen := map[report.Outcome]int{}
	for _, e := range f.Endings() {
		if e.ProductKey != product {
			continue
		}
		seen[e.Outcome]++
		if got := tasks[e.Name]; got != told(e.Outcome) {
			w.t.Errorf("%s (%s): the fleet saw %v, the cloud says %s", e.Device, e.Behaviour, e.Outcome, got)
		}
	}
	return seen
}

// fleet makes one that is started at once and backs off for a moment only.
func (w *world) fleet(members []Member, edit func(*Config), bs ...Behaviour) *Fleet {
	w.t.Helper()
	target, err := ParseTarget(w.mqtt, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range bs {
		if bs[i].Name == "" {
			bs[i].Name = fmt.Sprint("b", i)
		}
		if bs[i].Share == 0 {
			bs[i].Share = 1
		}
	}
	s := Scenario{Name: "test", Seed: 1, Behaviours: bs, Backoff: Duration(50 * time.Millisecond), BackoffMost: Duration(time.Second)}
	s.complete()
	c := Config{Target: target, Members: members, Scenario: s, Ramp: Constant{2000}, Quiet: 500 * time.Millisecond, Recorder: report.New(time.Now())}
	if edit != nil {
		edit(&c)
	}
	f, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w *world) run(f *Fleet) *report.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	if err := f.Run(ctx); err != nil {
		w.t.Fatal(err)
	}
	if ctx.Err() != nil {
		w.t.Errorf("the fleet has not settled in a minute: %d devices are left", f.unsettled.Load())
	}
	return f.rec.Result(time.Now())
}
