package simulator

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// bigWorld has n devices which are online and report version 1.0.
func bigWorld(tb testing.TB, n int, online bool) *world {
	w := &world{t: tb, cloud: newCloud(Unlimited), now: start}
	w.product = w.do(CreateProduct{Account: "me", Name: "lamp"}).(Product).Key
	for i := 0; i < n; i += MaxRegistration {
		names := make([]string, min(MaxRegistration, n-i))
		for k := range names {
			names[k] = fmt.Sprintf("device-%07d", i+k)
		}
		w.do(RegisterDevices{Product: w.product, Names: names})
	}
	for _, d := range w.cloud.products[w.product].list {
		if online {
			w.cloud.Happen(Online{d.Device.Device}, w.now)
		}
		w.cloud.Happen(Informed{d.Device.Device, "", "1.0"}, w.now)
		w.cloud.Commit()
	}
	return w
}

// BenchmarkCycle is the whole update of one device as the model sees it: a place in the
// batch's rate, the notice, four progress reports, the new version; each of them
// committed on its own. ns/op is one device.
func BenchmarkCycle(b *testing.B) {
	w := bigWorld(b, b.N, true)
	p := w.pkg("p")
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := w.cloud.Apply(CreateStaticJob{Package: p.ID, Target: TargetAll, MaximumPerMinute: Unlimited, TimeoutMinutes: 60}, w.now); err != nil {
		b.Fatal(err)
	}
	w.cloud.Commit()
	for w.cloud.jobs[formatID('j', 2)].Counts.Queued > 0 {
		w.now = w.now.Add(10 * time.Millisecond)
		w.cloud.Tick(w.now)
		w.cloud.Commit()
		w.cloud.TakePushes()
	}
	for _, d := range w.cloud.products[w.product].list {
		for _, step := range []ota.Step{0, 30, 60, 100} {
			w.cloud.Happen(Progressed{d.Device.Device, "", step, ""}, w.now)
			w.cloud.Commit()
		}
		w.cloud.Happen(Informed{d.Device.Device, "", "2.0"}, w.now)
		w.cloud.Commit()
	}
	b.StopTimer()
	if n := w.cloud.jobs[formatID('j', 2)].Counts.Succeeded; n != b.N {
		b.Fatalf("%d of %d succeeded", n, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cycles/s")
}

// BenchmarkMillion makes a job of 100,000 tasks in a cloud of a million devices, and
// reports the memory of it all.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := bigWorld(b, 1_000_000, false)
		for i, d := range w.cloud.products[w.product].list {
			if i >= 100_000 {
				w.cloud.Happen(Informed{d.Device.Device, "", "2.0"}, w.now)
				w.cloud.Commit()
			}
		}
		p := w.pkg("p")
		b.StartTimer()
		j, err := w.cloud.Apply(CreateStaticJob{Package: p.ID, Target: TargetAll}, w.now)
		if err != nil {
			b.Fatal(err)
		}
		if n := j.(Job).Counts.Queued; n != 100_000 {
			b.Fatalf("%d tasks", n)
		}
		w.cloud.Changes()
		w.cloud.Commit()
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		runtime.KeepAlive(w)
		b.StartTimer()
	}
}

// BenchmarkMillionDynamic is a dynamic batch in a cloud of a million devices of which
// 100,000 match when it is made and another 100,000 come to match, one report each, and
// a grey choice among the rest.
func BenchmarkMillionDynamic(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := bigWorld(b, 1_000_000, false)
		list := w.cloud.products[w.product].list
		for _, d := range list[100_000:] {
			w.cloud.Happen(Informed{d.Device.Device, "", "0.9"}, w.now)
			w.cloud.Commit()
		}
		p := w.pkg("p")
		b.StartTimer()
		begin := time.Now()
		j := w.dynamic(p, nil)
		made := time.Now()
		for _, d := range list[100_000:200_000] {
			w.cloud.Happen(Informed{d.Device.Device, "", "1.0"}, w.now)
			w.cloud.Commit()
		}
		w.settled()
		matched := time.Now()
		g := w.do(CreateStaticJob{Package: p.ID, Target: TargetGray, Gray: "10", Sources: []string{"0.9"}}).(Job)
		b.ReportMetric(made.Sub(begin).Seconds()*1000, "create-ms")
		b.ReportMetric(matched.Sub(made).Seconds()*1000, "match-ms")
		b.ReportMetric(time.Since(matched).Seconds()*1000, "grey-ms")
		if n, m := w.job(j.ID).Counts.Queued, g.Counts.Queued; n != 200_000 || m != 80_000 {
			b.Fatalf("%d and %d tasks", n, m)
		}
	}
}
