package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// BenchmarkEngine is the whole update of one device through the engine and SQLite, with
// 1,000 devices at a time, each of which waits until each of its reports is stored:
// online, version, progress three times, new version. ns/op is one device.
func BenchmarkEngine(b *testing.B) {
	s, err := store.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "ota.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	m := newMetrics()
	opt := simulator.Options{Random: rand.Reader, MaxPushRate: simulator.Unlimited}
	notices := make([]chan struct{}, b.N)
	e, err := newEngine(b.Context(), s, opt, func(pushes []simulator.Push, _ []simulator.Task) {
		for i := range pushes {
			var n int
			if _, err := fmt.Sscanf(pushes[i].Device.Name, "d%d", &n); err == nil {
				close(notices[n])
			}
		}
	}, slog.New(slog.DiscardHandler), m)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	do := func(cmd simulator.Command) any {
		v, err := e.Do(ctx, cmd)
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	p := do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
	for i := 0; i < b.N; i += simulator.MaxRegistration {
		names := make([]string, min(simulator.MaxRegistration, b.N-i))
		for k := range names {
			names[k] = fmt.Sprintf("d%d", i+k)
			notices[i+k] = make(chan struct{})
		}
		do(simulator.RegisterDevices{Product: p.Key, Names: names})
	}
	pkg := do(simulator.CreatePackage{
		Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
		Files: []simulator.File{{Name: "a.bin", Key: "k", Size: 1, MD5: strings.Repeat("ab", 16)}},
	}).(simulator.Package)
	j := do(simulator.CreateStaticJob{Package: pkg.ID, Target: simulator.TargetAll, MaximumPerMinute: simulator.Unlimited}).(simulator.Job)
	b.ResetTimer()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 1000 {
		wg.Go(func() {
			for i := range next {
				d := ota.Device{ProductKey: p.Key, Name: fmt.Sprintf("d%d", i)}
				_ = e.happen(simulator.Online{Device: d})
				<-notices[i]
				_ = e.happen(simulator.Informed{Device: d, Version: "1.0"})
				for _, step := range []ota.Step{0, 50, 100} {
					_ = e.happen(simulator.Progressed{Device: d, Step: step})
				}
				_ = e.happen(simulator.Informed{Device: d, Version: "2.0"})
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	wg.Wait()
	b.StopTimer()
	if n := do(simulator.FindJob{Job: j.ID}).(simulator.Job).Counts.Succeeded; n != b.N {
		b.Fatalf("%d of %d succeeded", n, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cycles/s")
	b.ReportMetric(6*float64(b.N)/b.Elapsed().Seconds(), "updates/s")
}
