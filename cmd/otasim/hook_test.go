package main

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/server"
)

// TestF3WebhookKillNine kills the real server with -9 while jobs begin and end. Every end
// that was acknowledged is told at least once, ids have no gap, and no job is told to have
// ended before it began.
func TestF3WebhookKillNine(t *testing.T) {
	var mu sync.Mutex
	status := map[string][]string{} // of a job, as it is told
	topics := map[int64]string{}
	hook := server.Webhook{Secret: "hooksecret"}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct {
			ID      int64
			Topic   string
			Payload struct{ JobID, Status string }
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		topics[e.ID] = e.Topic
		if all := status[e.Payload.JobID]; len(all) == 0 || all[len(all)-1] != e.Payload.Status {
			status[e.Payload.JobID] = append(all, e.Payload.Status)
		}
	}))
	defer app.Close()
	dir := filepath.Join(t.TempDir(), "data")
	up := func() *served { return serve(t, dir, "--webhook", app.URL, "--webhook-secret", hook.Secret) }
	s := up()
	defer func() { s.kill() }()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	register(t, s, ota.Device{ProductKey: product.ProductKey, Name: "lamp-1"})
	fw := newFirmware(t, s, product.ProductKey)
	var ended []string
	for range 5 {
		var loop sync.WaitGroup
		loop.Go(func() {
			for {
				var j struct{ Data struct{ JobId string } }
				if s.try("CreateOTAStaticUpgradeJob", &j, "ProductKey", product.ProductKey, "FirmwareId", fw, "TargetSelection", "ALL", "OverwriteMode", "2") != nil ||
					s.try("CancelOTATaskByJob", nil, "JobId", j.Data.JobId, "CancelQueuedTask", "true") != nil {
					return
				}
				ended = append(ended, j.Data.JobId)
			}
		})
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
		_ = s.cmd.Process.Kill()
		loop.Wait()
		s.kill()
		s = up()
	}
	if len(ended) == 0 {
		t.Fatal("no job has ended")
	}
	complete := func() string {
		mu.Lock()
		defer mu.Unlock()
		for _, job := range ended {
			if got := status[job]; len(got) == 0 || got[len(got)-1] != "CANCELED" {
				return job
			}
		}
		return ""
	}
	for end := time.Now().Add(15 * time.Second); complete() != "" && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if job := complete(); job != "" {
		t.Errorf("the end of job %s was acknowledged and is not told: %v", job, status[job])
	}
	mu.Lock()
	defer mu.Unlock()
	for id := range int64(len(topics)) {
		if topics[id+1] == "" {
			t.Errorf("of %d events, that with the id %d is missing", len(topics), id+1)
		}
	}
	for job, all := range status {
		if all[0] != "IN_PROGRESS" {
			t.Fatalf("job %s is told as %v", job, all)
		}
	}
	t.Logf("5 kills, %d jobs, %d events", len(ended), len(topics))
}
