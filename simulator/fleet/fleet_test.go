package fleet

import (
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// TestBehaviours runs each behaviour against a real cloud, and compares what the fleet
// saw with what the cloud says, device by device.
func TestBehaviours(t *testing.T) {
	const n = 12
	second := Duration(time.Second)
	for name, tc := range map[string]struct {
		b     Behaviour
		job   []string
		want  report.Outcome
		check func(*testing.T, *report.Result)
	}{
		"good": {want: report.Succeeded, check: func(t *testing.T, r *report.Result) {
			wantCount(t, r, report.Bytes, n*64<<10)
			wantCount(t, r, report.BytesWasted, 0)
			wantCount(t, r, report.Versions, 2*n)
			wantCount(t, r, report.Disconnects, 0)
		}},
		"slow link": {b: Behaviour{Latency: Duration(5 * time.Millisecond), Bandwidth: 128 << 10}, want: report.Succeeded,
			check: func(t *testing.T, r *report.Result) {
				if p := time.Duration(r.Measures[report.Download].At(50)) * time.Microsecond; p < 400*time.Millisecond {
					t.Errorf("64 KiB at 128 KiB/s took %v", p)
				}
			}},
		"offline in waves": {b: Behaviour{Wave: second, OfflineFor: second / 5, Bandwidth: 32 << 10}, want: report.Succeeded,
			check: func(t *testing.T, r *report.Result) { wantAtLeast(t, r, report.Resumes, 1) }},
		"flapping": {b: Behaviour{OfflineAfter: second / 2, OfflineFor: second / 10, Bandwidth: 64 << 10}, want: report.Succeeded,
			check: func(t *testing.T, r *report.Result) {
				wantAtLeast(t, r, report.Resumes, 1)
				wantAtLeast(t, r, report.DuplicateNotices, 1)
			}},
		"fails with -1":   {b: Behaviour{Fail: -1}, want: report.UpgradeFailed},
		"fails with -2":   {b: Behaviour{Fail: -2}, want: report.DownloadFailed},
		"fails with -3":   {b: Behaviour{Fail: -3}, want: report.VerifyFailed},
		"fails with -4":   {b: Behaviour{Fail: -4}, want: report.WriteFailed},
		"fails once":      {b: Behaviour{Fail: -2, FailTimes: 1}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.Succeeded, check: func(t *testing.T, r *report.Result) { wantCount(t, r, report.Retries, n) }},
		"-1 once":         {b: Behaviour{Fail: -1, FailTimes: 1}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.Succeeded},
		"always, retried": {b: Behaviour{Fail: -3}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.VerifyFailed, check: func(t *testing.T, r *report.Result) { wantCount(t, r, report.Retries, 2*n) }},
		"wrong version":   {b: Behaviour{Reports: "1.5.0"}, want: report.OtherFailed},
		"never answers":   {b: Behaviour{Silent: true}, want: report.NeverAnswered},
		"hangs":           {b: Behaviour{HangAt: 40, Bandwidth: 512 << 10}, want: report.Unfinished},
		"wrong range":     {b: Behaviour{WrongRange: true}, want: report.VerifyFailed},
		"floods":          {b: Behaviour{Flood: 400}, want: report.Succeeded, check: func(t *testing.T, r *report.Result) { wantAtLeast(t, r, report.Progress, 400*n) }},
		"ignores":         {b: Behaviour{Ignore: 2}, want: report.Succeeded, check: func(t *testing.T, r *report.Result) { wantCount(t, r, report.Reconnects, 3*n) }},
		"modules":         {b: Behaviour{Modules: []string{"MCU", "radio"}}, want: report.Succeeded, check: func(t *testing.T, r *report.Result) { wantCount(t, r, report.Versions, 6*n) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			members := w.register(w.product, n)
			job := w.batch(w.product, w.firmware(w.product, "2.0.0", 64<<10), tc.job...)
			f := w.fleet(members, func(c *Config) {
				// The cloud holds a version against a task when it has stood for a second, and a
				// machine that is busy takes its time to try again.
				if tc.b.Reports != "" || tc.job != nil {
					c.Quiet = 2 * time.Second
				}
			}, tc.b)
			r := w.run(f)
			if seen := w.agree(f, job, w.product); seen[tc.want] != n {
				t.Errorf("the fleet saw %v, wanted are %d times %v", seen, n, tc.want)
			}
			if !r.Behaviours[0].AsExpected() {
				t.Errorf("the report has %v where %v are expected", r.Behaviours[0].Seen, r.Behaviours[0].Expected)
			}
			if tc.check != nil {
				tc.check(t, r)
			}
		})
	}
}

func wantCount(t *testing.T, r *report.Result, c report.Counter, want int64) {
	t.Helper()
	if got := r.Counters[c]; got != want {
		t.Errorf("%v: %d, want %d", c, got, want)
	}
}

func wantAtLeast(t *testing.T, r *report.Result, c report.Counter, want int64) {
	t.Helper()
	if got := r.Counters[c]; got < want {
		t.Errorf("%v: %d, want at least %d", c, got, want)
	}
}

// TestBlocks is packages that are downloaded over MQTT.
func TestBlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	members := w.register(w.product, 20)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 50_000), "DownloadProtocol", "MQTT")
	f := w.fleet(members, nil, Behaviour{})
	r := w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 20 {
		t.Errorf("%d of 20 succeeded", n)
	}
	wantCount(t, r, report.Blocks, 20*5)
}

// TestPull is devices that ask, of a batch that is not pushed.
func TestPull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	members := w.register(w.product, 20)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000), "NeedPush", "false")
	f := w.fleet(members, nil, Behaviour{Pull: Duration(200 * time.Millisecond)})
	r := w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 20 {
		t.Errorf("%d of 20 succeeded", n)
	}
	wantAtLeast(t, r, report.NoticesPulled, 20)
}

// TestModule is an upgrade of a module that is not the whole device.
func TestModule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	members := w.register(w.product, 20)
	w.ask(nil, "CreateOTAModule", "ProductKey", w.product, "ModuleName", "MCU", "AliasName", "the-mcu")
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000, "ModuleName", "MCU"))
	f := w.fleet(members, nil, Behaviour{Modules: []string{"MCU"}})
	r := w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 20 {
		t.Errorf("%d of 20 succeeded", n)
	}
	wantCount(t, r, report.Reconnects, 0)
}

// TestGateways is sub-devices behind gateways.
func TestGateways(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gateways := w.register(w.newProduct(1), 3)
	subs := w.register(w.product, 21)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	f := w.fleet(gateways, func(c *Config) { c.Subs = subs }, Behaviour{Subs: 7})
	r := w.run(f)
	if !r.Behaviours[0].AsExpected() {
		t.Errorf("the report has %v where %v are expected", r.Behaviours[0].Seen, r.Behaviours[0].Expected)
	}
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 21 {
		t.Errorf("%d of 21 succeeded", n)
	}
}

// TestSubsThatFail: a part of the devices behind gateways fails with -1, and is tried
// again. Both shards together have the part that was asked for, and the cloud says the same
// of each device.
func TestSubsThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gateways := w.register(w.newProduct(1), 4)
	subs := w.register(w.product, 20)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000), "RetryInterval", "0", "RetryCount", "1")
	seen := map[report.Outcome]int{}
	for i := range 2 {
		f := w.fleet(gateways, func(c *Config) {
			c.Subs, c.Shard, c.Quiet = subs, Shard{i, 2}, 2*time.Second
		}, Behaviour{Subs: 5, SubsFail: 0.3})
		r := w.run(f)
		if !r.Behaviours[0].AsExpected() {
			t.Errorf("the report has %v where %v are expected", r.Behaviours[0].Seen, r.Behaviours[0].Expected)
		}
		failed := 0
		for o, n := range w.agree(f, job, w.product) {
			seen[o] += n
			if o == report.UpgradeFailed {
				failed = n
			}
		}
		wantCount(t, r, report.Retries, int64(failed))
	}
	if seen[report.Succeeded] != 14 || seen[report.UpgradeFailed] != 6 {
		t.Errorf("the fleet saw %v, wanted are 14 that succeeded and 6 that failed with -1", seen)
	}
}

// TestGaveUp: of what the cloud has given up the report has timeouts. Those of devices that
// hang are as expected, those of good ones are not, and what failed by itself stays so.
func TestGaveUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	members := w.register(w.product, 12)
	w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	f := w.fleet(members, nil, Behaviour{Name: "good"}, Behaviour{Name: "hangs", HangAt: 40}, Behaviour{Name: "fails", Fail: -2})
	w.run(f)
	late := map[ota.Device]bool{}
	for _, m := range members {
		late[m.Device] = true
	}
	if n := f.GaveUp(late); n != 8 {
		t.Errorf("%d were given up", n)
	}
	for _, b := range f.rec.Result(time.Now()).Behaviours {
		want := report.TimedOut
		if b.Behaviour == "fails" {
			want = report.DownloadFailed
		}
		if b.Seen[want] != 4 || b.AsExpected() != (b.Behaviour != "good") {
			t.Errorf("%s: the report has %v where %v are expected", b.Behaviour, b.Seen, b.Expected)
		}
	}
	for _, e := range f.Endings() {
		if (e.Outcome == report.TimedOut) != (e.Behaviour != "fails") {
			t.Errorf("%s (%s) ended with %v", e.Device, e.Behaviour, e.Outcome)
		}
	}
}
