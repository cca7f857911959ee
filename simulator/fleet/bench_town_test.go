package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// BenchmarkKillNine kills the cloud when a part of 5,000 devices is updated, and starts
// it again: in the end all of them are, by the cloud's own word.
func BenchmarkKillNine(b *testing.B) {
	const n = 5000
	s := newServed(b, b.TempDir())
	members := s.register(s.product, n)
	_, cert, key := certificate(b)
	for range b.N {
		rec := report.New(time.Now())
		scenario := Good()
		scenario.Backoff, scenario.BackoffMost = Duration(3*time.Second), Duration(10*time.Second)
		f, err := New(Config{Target: s.target(false), Members: members, Scenario: scenario, Ramp: Constant{MaxRate}, Quiet: time.Second, Recorder: rec})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		for rec.Count(report.Versions) < n {
			time.Sleep(5 * time.Millisecond)
		}
		job := s.batch(s.product, "2.0.0", 64<<10, "MaximumPerMinute", "6000000")
		for f.unsettled.Load() > n*6/10 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		before := n - f.unsettled.Load()
		s.kill()
		s.start(cert, key)
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		cancel()
		if ok := s.count(job, "SUCCEEDED"); ok != n {
			b.Fatalf("%d of %d succeeded, the cloud says", ok, n)
		}
		b.ReportMetric(float64(before), "updated-before-the-kill")
		b.ReportMetric(n, "updated")
	}
}

// BenchmarkEighteenThousand is 18,000 devices that are online at once with one cloud, in
// two shards; all are updated. They want up to 1,200 downloads at once, and the cloud
// serves 1,000 and answers the others 503.
func BenchmarkEighteenThousand(b *testing.B) {
	const n, shards = 18_000, 2
	s := newServedOf(b, b.TempDir(), false, "--max-downloads", "1000")
	dir := b.TempDir()
	list := filepath.Join(dir, "devices.csv")
	var text strings.Builder
	for _, m := range s.register(s.product, n) {
		fmt.Fprintf(&text, "%s,%s,%s\n", m.ProductKey, m.Name, m.Secret)
	}
	if err := os.WriteFile(list, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		began := time.Now()
		var cmds []*exec.Cmd
		for i := range shards {
			c := exec.Command(s.program, "fleet", "--mqtt", "mqtt://"+s.mqtt, "--devices", list, "--shard", fmt.Sprintf("%d/%d", i+1, shards),
				"--ramp", "2000/s", "--downloads", "600", "--quiet", "10s", "--json", filepath.Join(dir, fmt.Sprint(i, ".json")))
			c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := c.Start(); err != nil {
				b.Fatal(err)
			}
			cmds = append(cmds, c)
		}
		for s.online() < n && time.Since(began) < 3*time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		online := s.online()
		job := s.batch(s.product, "2.0.0", 64<<10, "MaximumPerMinute", "6000000")
		rolled := time.Now()
		var most int64
		for s.count(job, "SUCCEEDED") < n && time.Since(rolled) < 5*time.Minute {
			sum := resident(s.cmd.Process.Pid)
			for _, c := range cmds {
				sum += resident(c.Process.Pid)
			}
			most = max(most, sum)
			time.Sleep(200 * time.Millisecond)
		}
		took := time.Since(rolled)
		b.ReportMetric(float64(online), "online-at-once")
		b.ReportMetric(float64(s.count(job, "SUCCEEDED")), "updated")
		b.ReportMetric(took.Seconds(), "s-to-update-all")
		b.ReportMetric(float64(most)/(1<<20), "MiB-of-both-ends")
		var busy int64
		for i, c := range cmds {
			_ = c.Wait() // 3: the machine was too slow for it, which the page says
			var r struct{ Counters struct{ Busy int64 } }
			text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i, ".json")))
			if err == nil {
				err = json.Unmarshal(text, &r)
			}
			if err != nil {
				b.Fatal(err)
			}
			busy += r.Counters.Busy
		}
		b.ReportMetric(float64(busy), "told-to-wait")
	}
}

const connectionsName = "otasim_connections "

// online is how many devices the cloud's metrics say are connected.
func (s *served) online() int {
	resp, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		s.b.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.b.Fatalf("/metrics: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		var n float64
		if strings.HasPrefix(line, connectionsName) {
			if _, err := fmt.Sscan(strings.TrimPrefix(line, connectionsName), &n); err == nil {
				return int(n)
			}
		}
	}
	s.b.Fatalf("/metrics has no %s", connectionsName)
	return 0
}

// BenchmarkHundredThousand is 100,000 devices with the cloud's model, store and broker in
// this one process, over connections in memory; the package comes over them too. The batch has 90,000 a
// minute, so that not all of them are at it at the same moment.
func BenchmarkHundredThousand(b *testing.B) {
	const n = 100_000
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	w, err := newInside(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer w.close()
	members, err := w.register(b.Context(), n)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		rec := report.New(time.Now())
		target, err := ParseTarget("mqtt://127.0.0.1:1", nil)
		if err != nil {
			b.Fatal(err)
		}
		f, err := New(Config{Target: target, Members: members, Scenario: Good(), Ramp: Constant{MaxRate}, Quiet: 3 * time.Second, Recorder: rec,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := memoryPair()
				go w.Broker().ServeConn(far)
				return near, nil
			}})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(b.Context(), 9*time.Minute)
		defer cancel()
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		for rec.Count(report.Versions) < n && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		connected := time.Since(began)
		job, err := w.roll(ctx, members[0].ProductKey)
		if err != nil {
			b.Fatal(err)
		}
		rolled, most := time.Now(), int64(0)
		for f.unsettled.Load() > 0 && ctx.Err() == nil {
			most = max(most, resident(os.Getpid()))
			time.Sleep(50 * time.Millisecond)
		}
		took := time.Since(rolled)
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		v, err := w.Do(b.Context(), simulator.FindJob{Job: job})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(v.(simulator.Job).Counts.Succeeded), "updated")
		b.ReportMetric(connected.Seconds(), "s-to-connect-all")
		b.ReportMetric(took.Seconds(), "s-to-update-all")
		b.ReportMetric(float64(most)/(1<<20), "MiB-of-both-ends")
	}
}

// inside is a cloud in this process.
type inside struct {
	*server.Server
	api   *openapi.Client
	close func()
}

func newInside(ctx context.Context, dir string) (*inside, error) {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	public := "http://" + web.Addr().String()
	s, err := server.New(ctx, server.Config{Dir: dir, PublicURL: public, AccessKey: testKey, MaxPushRate: simulator.Unlimited})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running, nil, []net.Listener{web}) }()
	api, err := openapi.NewClient(public, testKey, 5*time.Minute)
	return &inside{s, api, func() { cancel(); <-ended; _ = s.Close() }}, err
}

func (w *inside) register(ctx context.Context, n int) ([]Member, error) {
	v, err := w.Do(ctx, simulator.CreateProduct{Account: testKey.Account, Name: "lamp"})
	if err != nil {
		return nil, err
	}
	product := v.(simulator.Product).Key
	out := make([]Member, 0, n)
	for from := 0; from < n; from += simulator.MaxRegistration {
		names := make([]string, min(simulator.MaxRegistration, n-from))
		for i := range names {
			names[i] = fmt.Sprintf("d%06d", from+i)
		}
		v, err := w.Do(ctx, simulator.RegisterDevices{Product: product, Names: names})
		if err != nil {
			return nil, err
		}
		for _, d := range v.([]simulator.Device) {
			out = append(out, Member{Device: d.Device, Secret: d.Secret})
		}
	}
	return out, nil
}

// roll makes a package of 8 KiB and a batch of it, over MQTT, for all devices.
func (w *inside) roll(ctx context.Context, product string) (job string, err error) {
	up, err := ask[struct{ Data openapi.UploadForm }](ctx, w.api, "GenerateOTAUploadURL", "FileSuffix", "bin")
	if err != nil {
		return "", err
	}
	const size = 8 << 10
	if err := openapi.Upload(ctx, up.Data, strings.NewReader(strings.Repeat("x", size)), size); err != nil {
		return "", err
	}
	fw, err := ask[struct{ Data struct{ FirmwareId string } }](ctx, w.api, "CreateOTAFirmware", "ProductKey", product, "FirmwareName", "fw",
		"DestVersion", "2.0.0", "FirmwareUrl", up.Data.FirmwareUrl, "NeedToVerify", "false")
	if err != nil {
		return "", err
	}
	made, err := ask[struct{ Data struct{ JobId string } }](ctx, w.api, "CreateOTAStaticUpgradeJob", "ProductKey", product,
		"FirmwareId", fw.Data.FirmwareId, "TargetSelection", "ALL", "MaximumPerMinute", "90000", "DownloadProtocol", "MQTT")
	return made.Data.JobId, err
}

// ask calls an action and reads its answer.
func ask[T any](ctx context.Context, c *openapi.Client, action string, params ...string) (answer T, err error) {
	all := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	raw, err := c.Call(ctx, action, all)
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(raw, &answer)
}
