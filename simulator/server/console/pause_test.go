package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// TestPauseInTheConsole: a batch is paused and resumed with a word in between, says why
// it rests, in both languages, and who did it is written down; a batch that has paused
// itself says how many have failed.
func TestPauseInTheConsole(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("operator", "acme")
	to := b.must(b.post("packages/"+x.usable.ID+"/batch", "Selection", "STATIC", "Target", "ALL", "Overwrite", "1", "Retry", "never", "StopPercent", "50", "StopLeast", "2"))
	id := to[strings.LastIndexByte(to, '/')+1:]
	if j := w.cmd(simulator.FindJob{Job: id}).(simulator.Job); j.Policy.Stop != (simulator.FailureStop{Percent: 50, Least: 2}) {
		t.Fatalf("the threshold of the form: %+v", j.Policy.Stop)
	}
	page := b.get("batches/" + id)
	if !strings.Contains(page.text(), "Above 50 % failed, of at least 2 ended") || !strings.Contains(page.body, "/batches/"+id+`/pause"`) {
		t.Errorf("the batch: %s", page.text())
	}
	if a := b.get("batches/" + id + "/pause"); !strings.Contains(a.text(), "our addition") || !strings.Contains(a.text(), "3 tasks wait for their notice") {
		t.Errorf("the word in between: %s", a.text())
	}
	b.must(b.post("batches/" + id + "/pause"))
	page = b.get("batches/" + id)
	for _, want := range []string{"Paused · by a user", "Resume", "(batch paused)"} {
		if !strings.Contains(page.text(), want) {
			t.Errorf("paused, the page has no %q: %s", want, page.text())
		}
	}
	if a := b.get("batches/" + id + "?lang=zh-CN"); !strings.Contains(a.text(), "已暂停 · 由用户暂停") {
		t.Errorf("in Chinese: %s", a.text())
	}
	b.get("batches?lang=en")
	if a := b.get("batches"); !strings.Contains(a.text(), "Paused") {
		t.Error("the list of batches does not say that it is paused")
	}
	if a := b.post("batches/" + id + "/pause"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.text(), "paused already") {
		t.Errorf("paused twice: %d %s", a.status, a.text())
	}
	b.must(b.post("batches/" + id + "/resume"))
	for i, d := range x.devices[:2] {
		dev := ota.Device{ProductKey: x.product.Key, Name: d.Name}
		w.fails(dev)
		if on := w.cmd(simulator.FindJob{Job: id}).(simulator.Job).Pause.On(); on != (i == 1) {
			t.Errorf("after %d failures paused is %v", i+1, on)
		}
	}
	if a := b.get("batches/" + id); !strings.Contains(a.text(), "by itself: 2 of 2 ended tasks have failed") {
		t.Errorf("paused by itself: %s", a.text())
	}
	audit := w.as("admin", "acme").get("audit")
	for _, want := range []string{"operator-acme user", "Pause a batch PauseOTAJob batch " + id, "Resume a batch", "the cloud by itself Pause a batch", "2 of 2 failed, more than 50 %"} {
		if !audit.says(want) {
			t.Errorf("the audit log has no %q: %s", want, audit.text())
		}
	}
}

// TestStopForm: the threshold's bounds are said at its fields, in the form of a batch and
// on the page of one that runs; and nobody else's batch is reached.
func TestStopForm(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 2)
	j := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	b := w.as("operator", "acme")
	for _, tc := range []struct{ percent, least, want string }{
		{"100", "", "100 percent of failures, allowed are 1 to 99"}, {"-1", "", "allowed are 1 to 99"}, {"x", "", "number"},
		{"5", "0", "0 ended tasks"}, {"5", "2000000", "ended tasks before failures count"},
	} {
		for _, path := range []string{"batches/" + j.ID + "/stop", "packages/" + x.usable.ID + "/batch"} {
			a := b.post(path, "Selection", "STATIC", "Target", "ALL", "StopPercent", tc.percent, "StopLeast", tc.least)
			if a.status != http.StatusUnprocessableEntity || !strings.Contains(strings.ToLower(a.text()), tc.want) {
				t.Errorf("%s with %+v: %d %s", path, tc, a.status, a.text())
			}
		}
	}
	b.must(b.post("batches/"+j.ID+"/stop", "StopPercent", "5"))
	if got := w.cmd(simulator.FindJob{Job: j.ID}).(simulator.Job).Policy.Stop; got != (simulator.FailureStop{Percent: 5, Least: 10}) {
		t.Errorf("saved: %+v", got)
	}
	b.must(b.post("batches/"+j.ID+"/stop", "StopPercent", ""))
	if got := w.cmd(simulator.FindJob{Job: j.ID}).(simulator.Job).Policy.Stop; got != (simulator.FailureStop{}) {
		t.Errorf("switched off: %+v", got)
	}
	stranger, viewer := w.as("admin", "other"), w.as("viewer", "acme")
	for _, path := range []string{"pause", "resume", "stop"} {
		if a := stranger.post("batches/"+j.ID+"/"+path, "StopPercent", "5"); a.status != http.StatusNotFound {
			t.Errorf("a stranger's %s: %d", path, a.status)
		}
		if a := viewer.post("batches/"+j.ID+"/"+path, "StopPercent", "5"); a.status != http.StatusForbidden {
			t.Errorf("a viewer's %s: %d", path, a.status)
		}
	}
	if a := stranger.get("batches/" + j.ID + "/pause"); a.status != http.StatusNotFound {
		t.Errorf("a stranger sees the page: %d", a.status)
	}
	w.cmd(simulator.CancelTasksByJob{Job: j.ID, Queued: true})
	if a := b.get("batches/" + j.ID + "/pause"); a.status != http.StatusConflict {
		t.Errorf("the page of a batch that is over: %d", a.status)
	}
}
