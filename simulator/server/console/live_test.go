package console_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
)

// TestLiveEvents: an open page hears of news, and a server that stops does not wait for it.
func TestLiveEvents(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("viewer", "acme")
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	news(ctx, t, b, "batches/"+job.ID+"/events", func() { w.cmd(simulator.CancelTasksByJob{Job: job.ID, Queued: true}) })
	// What has come between the page and its connection is not missed.
	news(ctx, t, b, fmt.Sprintf("batches/%s/events?since=%d", job.ID, job.Revision), func() {})
}

func news(ctx context.Context, t *testing.T, b *browser, path string, happens func()) {
	t.Helper()
	resp, err := b.Do(b.request("GET", path, nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, kind)
	}
	happens()
	for lines := bufio.NewScanner(resp.Body); ; {
		if !lines.Scan() {
			t.Fatalf("no news: %v", lines.Err())
		}
		if strings.HasPrefix(lines.Text(), "event: news") {
			break
		}
	}
}

// TestLiveLists: lists and the pages of devices and packages hear of whatever was stored,
// and say so in the page, where a browser without scripts passes over it.
func TestLiveLists(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 2)
	b := w.as("viewer", "acme")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	news(ctx, t, b, "events", func() { w.connect(x.devices[0].Device) })
	if page := b.get("devices?product=" + x.product.Key); !page.says("lamp-000000 online") {
		t.Errorf("it is not seen: %s", page.text())
	}
	for _, path := range []string{"", "ota", "packages/" + x.usable.ID, "batches", "devices?product=" + x.product.Key, "devices/" + x.product.Key + "/lamp-000000"} {
		page := b.get(path)
		if !strings.Contains(page.body, `data-events="/console/events?since=`) {
			t.Errorf("%q does not follow", path)
		}
		if path != "batches" && !strings.Contains(page.body, "data-live") {
			t.Errorf("%q has nothing that is kept live", path)
		}
	}
	if a := w.browser().get("events"); a.status != http.StatusSeeOther {
		t.Errorf("F5: somebody who is not signed in follows: %d", a.status)
	}
}
