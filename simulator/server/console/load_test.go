package console_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
)

// TestLargeBatchPages: the pages of a batch of 100,000 devices are as quick as others.
// The limit is three times what is promised: other tests run beside this one.
func TestLargeBatchPages(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 100,000 devices take several seconds to make")
	}
	const devices, failing, limit = 100_000, 20_000, 300 * time.Millisecond
	w := serve(t)
	x := w.things("acme", devices)
	// 20,000 have a task already: those of the batch fail from the start (P46).
	names := make([]string, 0, failing)
	for _, d := range x.devices[:failing] {
		names = append(names, d.Name)
	}
	for part := range slices.Chunk(names, simulator.MaxTargets) {
		w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: part})
	}
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	b := w.as("operator", "acme")
	batch := "batches/" + job.ID
	for _, path := range []string{
		batch, batch + "?page=1000", batch + "?page=2000", batch + "?status=QUEUED&page=900", batch + "?status=FAILED", batch + "?status=FAILED&page=400",
		batch + "?status=FAILED&step=0&reason=the+device+has+not+finished+another+upgrade&page=200", batch + "?device=lamp-050000",
		batch + "/progress.json", "batches", "packages/" + x.usable.ID, "devices?product=" + x.product.Key + "&page=2000", "devices?product=" + x.product.Key + "&prefix=lamp-09",
		"versions?product=" + x.product.Key, "",
	} {
		best := time.Hour
		for range 5 {
			start := time.Now()
			if a := b.get(path); a.status != 200 {
				t.Fatalf("%s: %d %s", path, a.status, a.text())
			}
			best = min(best, time.Since(start))
		}
		t.Logf("%6.1f ms  %s", float64(best)/1e6, strings.ReplaceAll(path, job.ID, "ID"))
		if best > limit {
			t.Errorf("%s takes %v", path, best)
		}
	}
	start := time.Now()
	a := b.post("packages/"+x.usable.ID+"/batch", "Selection", "STATIC", "Target", "GRAY", "Gray", "5", "MaximumPerMinute", "10", "Preview", "1")
	t.Logf("%6.1f ms  a preview", float64(time.Since(start))/1e6)
	if want := ">5,000</span>"; !strings.Contains(a.body, want) {
		t.Errorf("no %s in %s", want, a.text())
	}
	csv := b.get(batch + "/tasks.csv?status=FAILED")
	if n := strings.Count(csv.body, "\n"); n != failing+1 {
		t.Errorf("the export has %d lines", n)
	}
}
