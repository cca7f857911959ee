package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// TestPauseSurvivesKillNine: who was answered that a batch is paused finds it so after
// kill -9, and no device is told of it; resumed, the notice comes.
func TestPauseSurvivesKillNine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir)
	defer func() { s.kill() }()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	l := &lamp{dev: ota.Device{ProductKey: product.ProductKey, Name: "lamp-1"}, notice: make(chan ota.Notice, 10)}
	l.secret = register(t, s, l.dev)
	fw := newFirmware(t, s, product.ProductKey)
	var job struct{ Data struct{ JobId string } }
	s.call("CreateOTAStaticUpgradeJob", &job, "ProductKey", product.ProductKey, "FirmwareId", fw, "TargetSelection", "ALL")
	s.call("UpdateOTAJobStop", nil, "JobId", job.Data.JobId, "FailurePercent", "20", "LeastEnded", "3")
	s.call("PauseOTAJob", nil, "JobId", job.Data.JobId)
	s.kill()
	s = serve(t, dir)
	var state struct {
		Data struct {
			Paused                     bool
			Reason                     string
			FailurePercent, LeastEnded int
		}
	}
	s.call("QueryOTAJobPause", &state, "JobId", job.Data.JobId)
	if d := state.Data; !d.Paused || d.Reason != "user" || d.FailurePercent != 20 || d.LeastEnded != 3 {
		t.Errorf("after the kill: %+v", d)
	}
	c := l.connect(s.mqtt)
	if c == nil {
		t.Fatal("the lamp cannot connect")
	}
	defer c.Disconnect(0)
	select {
	case n := <-l.notice:
		t.Errorf("a notice while the batch is paused: %+v", n)
	case <-time.After(300 * time.Millisecond):
	}
	s.call("ResumeOTAJob", nil, "JobId", job.Data.JobId)
	select {
	case <-l.notice:
	case <-time.After(10 * time.Second):
		t.Error("resumed, and no notice in 10 s")
	}
}
