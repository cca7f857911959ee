package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// The benchmarks run against an otasim process of its own, whose path is in
// OTASIM_PROGRAM; `make bench-fleet` builds it and writes docs/benchmarks-fleet.md.
const programEnv = "OTASIM_PROGRAM"

// served is such a process.
type served struct {
	*openapi.Client
	b        *testing.B
	program  string
	dir      string
	cmd      *exec.Cmd
	mqtt     string // addresses
	mqtts    string
	http     string
	ca       []byte
	product  string
	packages int
	more     []string // arguments of serve
	memory   bool     // its store is in memory, and it has no lists: see TestHelperMemoryCloud
}

func newServed(b *testing.B, dir string) *served {
	b.Helper()
	return newServedOf(b, dir, false)
}

func newServedOf(b *testing.B, dir string, memory bool, more ...string) *served {
	b.Helper()
	s := &served{b: b, memory: memory, more: more, program: os.Getenv(programEnv), dir: dir, mqtt: "127.0.0.1:0", mqtts: "127.0.0.1:0", http: "127.0.0.1:0"}
	if s.program == "" {
		b.Skipf("%s is not set: it is the path of otasim (make bench-fleet)", programEnv)
	}
	var cert, key string
	s.ca, cert, key = certificate(b)
	s.start(cert, key)
	b.Cleanup(s.kill)
	var err error
	if s.Client, err = openapi.NewClient("http://"+s.http, testKey, 5*time.Minute); err != nil {
		b.Fatal(err)
	}
	s.product = s.value("CreateProduct", "ProductKey", "ProductName", "lamp", "NodeType", "0")
	return s
}

// start starts the process, again at the addresses it had.
func (s *served) start(cert, key string) {
	s.b.Helper()
	s.cmd = exec.Command(s.program, append([]string{"serve", "--data", s.dir, "--mqtt", s.mqtt, "--mqtts", s.mqtts, "--tls-cert", cert, "--tls-key", key,
		"--http", s.http, "--access-key", testKey.ID + ":" + testKey.Secret, "--max-push-rate", "unlimited"}, s.more...)...)
	if s.memory {
		s.cmd = exec.Command(os.Args[0], "-test.run", "^TestHelperMemoryCloud$")
		s.cmd.Env = append(os.Environ(), memoryCloudEnv+"="+s.dir)
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.b.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.b.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, addr, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "mqtt":
			s.mqtt = addr
		case "mqtts":
			s.mqtts = addr
		case "http":
			s.http = addr
		case "ready":
			return
		}
	}
	s.b.Fatal("otasim did not come up")
}

func (s *served) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *served) call(answer any, action string, params ...string) {
	s.b.Helper()
	all := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	raw, err := s.Call(s.b.Context(), action, all)
	if err == nil && answer != nil {
		err = json.Unmarshal(raw, answer)
	}
	if err != nil {
		s.b.Fatal(err)
	}
}

// value gives the first string with a name in an answer.
func (s *served) value(action, name string, params ...string) string {
	s.b.Helper()
	var raw json.RawMessage
	s.call(&raw, action, params...)
	_, rest, _ := strings.Cut(string(raw), `"`+name+`":"`)
	v, _, _ := strings.Cut(rest, `"`)
	if v == "" {
		s.b.Fatalf("%s gave no %s: %s", action, name, raw)
	}
	return v
}

func (s *served) register(product string, n int) []Member {
	s.b.Helper()
	list := filepath.Join(s.b.TempDir(), "devices.csv")
	out, err := os.Create(list)
	if err != nil {
		s.b.Fatal(err)
	}
	defer out.Close()
	create := exec.Command(s.program, "devices", "create", "--endpoint", "http://"+s.http, "--access-key", testKey.ID+":"+testKey.Secret,
		"--product", product, "--count", strconv.Itoa(n), "--prefix", "d")
	create.Stdout, create.Stderr = out, os.Stderr
	if err := create.Run(); err != nil {
		s.b.Fatal(err)
	}
	members, err := ReadMembers(list)
	if err != nil {
		s.b.Fatal(err)
	}
	return members
}

// batch makes a package of so many bytes and a batch of it, and gives the batch's id.
func (s *served) batch(product, version string, size int, more ...string) string {
	s.b.Helper()
	var up struct{ Data openapi.UploadForm }
	s.call(&up, "GenerateOTAUploadURL", "FileSuffix", "bin")
	if err := openapi.Upload(s.b.Context(), up.Data, strings.NewReader(strings.Repeat("x", size)), int64(size)); err != nil {
		s.b.Fatal(err)
	}
	s.packages++
	fw := s.value("CreateOTAFirmware", "FirmwareId", "ProductKey", product, "FirmwareName", fmt.Sprint("fw", s.packages), "DestVersion", version,
		"FirmwareUrl", up.Data.FirmwareUrl, "NeedToVerify", "false", "SignMethod", "SHA256")
	return s.value("CreateOTAStaticUpgradeJob", "JobId", append([]string{"ProductKey", product, "FirmwareId", fw, "TargetSelection", "ALL"}, more...)...)
}

func (s *served) count(job, status string) int {
	s.b.Helper()
	var list struct{ Total int }
	s.call(&list, "ListOTATaskByJob", "JobId", job, "TaskStatus", status, "CurrentPage", "1", "PageSize", "1")
	return list.Total
}

// cpu is what the process has used, by its own clock.
func (s *served) cpu() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^s.cmd.Process.Pid<<3|2), &t); err != nil {
		s.b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

func ownCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of a process, in bytes.
func resident(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if f := strings.Fields(rest); len(f) > 0 {
		kib, _ := strconv.ParseInt(f[0], 10, 64)
		return kib << 10
	}
	return 0
}

// memory is what this process holds: of the runtime's own account, and of the kernel's.
func memory() (inUse, rss int64) {
	for range 4 { // a stack is halved by each collection
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse), resident(os.Getpid())
}

func (s *served) target(secure bool) Target {
	s.b.Helper()
	raw := "mqtt://" + s.mqtt
	if secure {
		raw = "mqtts://" + s.mqtts
	}
	t, err := ParseTarget(raw, trusting(s.ca))
	if err != nil {
		s.b.Fatal(err)
	}
	return t
}

// BenchmarkConnect connects 4,000 devices, of either kind, and tells what one costs this
// process: CPU for the sign-in, and memory from then on.
func BenchmarkConnect(b *testing.B) {
	const n = 4000
	for _, secure := range []bool{false, true} {
		for _, way := range []struct {
			name    string
			connect func(*served, []Member, bool) (stop func())
		}{{"small", connectSmall}, {"paho", connectPaho}} {
			name := way.name
			if secure {
				name += "-tls"
			}
			b.Run(name, func(b *testing.B) {
				s := newServed(b, b.TempDir())
				members := s.register(s.product, n)
				for range b.N {
					held, rss := memory()
					before, running := ownCPU(), runtime.NumGoroutine()
					stop := way.connect(s, members, secure)
					cpu := ownCPU() - before
					held2, rss2 := memory()
					b.ReportMetric(cpu.Seconds()*1e6/n, "cpu-us/device")
					b.ReportMetric(float64(rss2-rss)/1024/n, "rss-KiB/device")
					b.ReportMetric(float64(held2-held)/1024/n, "inuse-KiB/device")
					b.ReportMetric(float64(runtime.NumGoroutine()-running)/n, "goroutines/device")
					stop()
				}
			})
		}
	}
}

func connectSmall(s *served, members []Member, secure bool) func() {
	rec := report.New(time.Now())
	f, err := New(Config{Target: s.target(secure), Members: members, Scenario: Good(), Ramp: Constant{MaxRate}, Duration: time.Hour, Recorder: rec})
	if err != nil {
		s.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.b.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	for rec.Count(report.Versions) < int64(len(members)) {
		time.Sleep(5 * time.Millisecond)
	}
	return func() { cancel(); <-done }
}

// connectPaho is the same with paho: a client for each device, tuned as its manual and
// our own link have it, from the same addresses; each reports its version too.
func connectPaho(s *served, members []Member, secure bool) func() {
	t := s.target(secure)
	sources := sourcesFor(t, len(members), 0)
	clients := make([]mqtt.Client, len(members))
	slots := make(chan struct{}, dialling)
	var wg sync.WaitGroup
	for i := range members {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			m := &members[i]
			login, err := ota.Credentials{Device: m.Device, Secret: m.Secret, TLS: secure}.Login()
			if err != nil {
				s.b.Error(err)
				return
			}
			dial := dialer(sources[i%len(sources)], wireTimeout).DialContext
			o := mqtt.NewClientOptions().AddBroker("tcp://" + t.addr).SetProtocolVersion(4).SetClientID(login.ClientID).
				SetUsername(login.Username).SetPassword(login.Password).SetAutoReconnect(false).SetOrderMatters(false).
				SetWriteTimeout(wireTimeout).SetKeepAlive(keepAliveSec * time.Second).
				SetDefaultPublishHandler(func(mqtt.Client, mqtt.Message) {}).
				SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
					c, _, err := t.open(context.Background(), dial)
					if err == nil {
						err = c.SetDeadline(time.Time{})
					}
					return c, err
				})
			c := mqtt.NewClient(o)
			if tok := c.Connect(); !tok.WaitTimeout(wireTimeout) || tok.Error() != nil {
				s.b.Error("paho did not connect", tok.Error())
				return
			}
			tok := c.Publish(ota.TopicInform.Of(m.Device), 1, false, ota.Inform{ID: "1", Version: "1.0.0"}.Encode())
			if !tok.WaitTimeout(wireTimeout) || tok.Error() != nil {
				s.b.Error("paho did not publish", tok.Error())
			}
			clients[i] = c
		})
	}
	wg.Wait()
	return func() {
		for _, c := range clients {
			if c != nil {
				c.Disconnect(0)
			}
		}
	}
}

// BenchmarkCycle is whole updates of 6,000 devices with a package of 64 KiB: notice,
// download, digest, five reports, restart, version. CPU is that of both processes.
func BenchmarkCycle(b *testing.B) {
	const n = 6000
	for _, where := range []string{"sqlite", "memory"} {
		b.Run(where, func(b *testing.B) {
			s := newServedOf(b, b.TempDir(), where == "memory")
			members := s.register(s.product, n)
			for k := range b.N {
				s.cycle(members, fmt.Sprintf("%d.0.0", k+1), n)
			}
		})
	}
}

func (s *served) cycle(members []Member, from string, n int) {
	scenario := Good()
	scenario.Version, scenario.Behaviours[0].Percent = from, 25
	rec := report.New(time.Now())
	f, err := New(Config{Target: s.target(false), Members: members, Scenario: scenario, Ramp: Constant{MaxRate}, Quiet: 100 * time.Millisecond, Recorder: rec})
	if err != nil {
		s.b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.b.Context(), 10*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	for rec.Count(report.Versions) < int64(n) {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // until what it costs to connect is over
	own, its, began := ownCPU(), s.cpu(), time.Now()
	job := s.batch(s.product, "9."+from, 64<<10, "MaximumPerMinute", "6000000")
	for f.unsettled.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	wall := time.Since(began)
	own, its = ownCPU()-own, s.cpu()-its
	if err := <-done; err != nil {
		s.b.Fatal(err)
	}
	if s.memory { // whose devices the cloud has acknowledged the new version to
		if done := rec.Result(time.Now()).Behaviours[0].Seen[report.Succeeded]; done != int64(n) {
			s.b.Fatalf("%d of %d succeeded, the fleet says", done, n)
		}
	} else if done := s.count(job, "SUCCEEDED"); done != n {
		s.b.Fatalf("%d of %d succeeded, the cloud says", done, n)
	}
	per := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(n) }
	s.b.ReportMetric(float64(n)/wall.Seconds(), "cycles/s")
	s.b.ReportMetric(per(own+its), "cpu-ms/cycle")
	s.b.ReportMetric(per(own), "fleet-cpu-ms/cycle")
	s.b.ReportMetric(per(its), "cloud-cpu-ms/cycle")
}

// BenchmarkPush looks at when the notices of three batches come, which are made with 10,
// 100 and 1,000 a minute, all at once, for 100 seconds.
func BenchmarkPush(b *testing.B) {
	s := newServed(b, b.TempDir())
	for range b.N {
		var wg sync.WaitGroup
		for _, rate := range []int{10, 100, 1000} {
			product := s.value("CreateProduct", "ProductKey", "ProductName", fmt.Sprint("lamp", rate, "-", time.Now().UnixNano()), "NodeType", "0")
			members := s.register(product, rate*100/60+rate/10+2)
			wg.Go(func() { s.pushed(product, members, rate) })
		}
		wg.Wait()
	}
}

func (s *served) pushed(product string, members []Member, rate int) {
	var mu sync.Mutex
	var at []time.Time
	scenario := Good()
	scenario.Behaviours[0].Silent = true
	f, err := New(Config{Target: s.target(false), Members: members, Scenario: scenario, Ramp: Constant{MaxRate}, Duration: 104 * time.Second, Recorder: report.New(time.Now()),
		Watch: func(_ ota.Device, up bool, kind ota.TopicKind, _ []byte) {
			if !up && kind == ota.TopicUpgrade {
				mu.Lock()
				at = append(at, time.Now())
				mu.Unlock()
			}
		}})
	if err != nil {
		s.b.Error(err)
		return
	}
	done := make(chan error, 1)
	go func() { done <- f.Run(s.b.Context()) }()
	time.Sleep(3 * time.Second)
	s.batch(product, "2.0.0", 1000, "MaximumPerMinute", strconv.Itoa(rate))
	if err := <-done; err != nil {
		s.b.Error(err)
	}
	slices.SortFunc(at, time.Time.Compare)
	if len(at) < 2 {
		s.b.Errorf("%d notices at %d a minute", len(at), rate)
		return
	}
	took := at[len(at)-1].Sub(at[0])
	every := took / time.Duration(len(at)-1)
	var late []time.Duration
	most := 0
	for i, t := range at {
		late = append(late, t.Sub(at[0].Add(time.Duration(i)*every)))
		n := 0
		for _, u := range at[i:] {
			if u.Sub(t) >= time.Minute {
				break
			}
			n++
		}
		most = max(most, n)
	}
	first := slices.Min(late) // the earliest for its place says where the places are
	for i := range late {
		late[i] -= first
	}
	slices.Sort(late)
	unit := fmt.Sprintf("@%d", rate)
	s.b.ReportMetric(time.Minute.Seconds()/every.Seconds()/float64(rate)*100, "rate-%"+unit)
	s.b.ReportMetric(float64(most), "most-in-60s"+unit)
	s.b.ReportMetric(late[len(late)*99/100].Seconds()*1e3, "lateness-p99-ms"+unit)
}

// BenchmarkRestart kills the cloud under 10,000 devices and starts it again. Their window
// of 10 seconds means 1,000 connections a second.
func BenchmarkRestart(b *testing.B) {
	const n, window = 10_000, 10 * time.Second
	dir := b.TempDir()
	s := newServed(b, dir)
	members := s.register(s.product, n)
	_, cert, key := certificate(b)
	for range b.N {
		rec := report.New(time.Now())
		scenario := Good()
		scenario.Backoff, scenario.BackoffMost = Duration(window), Duration(2*time.Minute)
		f, err := New(Config{Target: s.target(false), Members: members, Scenario: scenario, Ramp: Constant{2000}, Duration: time.Hour, Recorder: rec})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		for rec.Count(report.Connected) < n {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		s.kill()
		began := time.Now()
		s.start(cert, key)
		most, last, at := int64(0), rec.Count(report.Connects), time.Now()
		for rec.Count(report.Reconnects) < n && time.Since(began) < 5*time.Minute {
			time.Sleep(10 * time.Millisecond)
			if time.Since(at) >= time.Second {
				now := rec.Count(report.Connects)
				most, last, at = max(most, now-last), now, time.Now()
			}
		}
		b.ReportMetric(float64(rec.Count(report.Reconnects)), "back")
		b.ReportMetric(time.Since(began).Seconds(), "s-until-all-are-back")
		b.ReportMetric(float64(most), "connects-in-the-busiest-second")
		cancel()
		<-done
	}
}
