package console_test

import (
	"bufio"
	"context"
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
	resp, err := b.Do(b.request("GET", "batches/"+job.ID+"/events", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, kind)
	}
	w.cmd(simulator.CancelTasksByJob{Job: job.ID, Queued: true})
	for lines := bufio.NewScanner(resp.Body); ; {
		if !lines.Scan() {
			t.Fatalf("no news: %v", lines.Err())
		}
		if strings.HasPrefix(lines.Text(), "event: news") {
			break
		}
	}
}
