package console_test

import (
	"bytes"
	"context"
	"html"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
)

// TestP54P55CancelDialogs: what is cancelled by default, and on request.
func TestP54P55CancelDialogs(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 10)
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	counts := func(path string) simulator.Counts {
		t.Helper()
		v, err := w.server.Do(context.Background(), simulator.FindJob{Job: path[strings.LastIndex(path, "/")+1:]})
		if err != nil {
			t.Fatal(err)
		}
		return v.(simulator.Job).Counts
	}
	now := b.must(b.post(form, "Selection", "STATIC", "Target", "ALL"))
	if page := b.get(now + "/cancel"); !strings.Contains(page.text(), "nothing would be cancelled") {
		t.Error(page.text())
	}
	b.must(b.post(now+"/cancel", "What", "default"))
	if c := counts(now); c.Queued != 10 {
		t.Errorf("P54 by default only scheduled tasks are cancelled: %+v", c)
	}
	b.must(b.post(now+"/cancel", "What", "all"))
	if c := counts(now); c.Canceled != 10 {
		t.Errorf("P54 on request all: %+v", c)
	}
	planned := b.must(b.post(form, "Selection", "STATIC", "Target", "ALL", "When", "later", "Start", at(time.Hour)))
	if page := b.get(planned); !strings.Contains(page.text(), "pending (scheduled: ") {
		t.Errorf("P42: %s", page.text())
	}
	b.must(b.post(planned+"/cancel", "What", "default"))
	if c := counts(planned); c.Canceled != 10 {
		t.Errorf("P54 scheduled tasks are cancelled by default: %+v", c)
	}
	w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000001"}})
	dyn := b.must(b.post(form, "Selection", "DYNAMIC", "Target", "ALL", "OtherSources", "1.0"))
	b.must(b.post(dyn+"/cancel", "What", "default"))
	if page := b.get(dyn); strings.Contains(page.text(), "strategy on") {
		t.Errorf("P55 by default the strategy: %s", page.text())
	}
	if a := b.post(dyn+"/cancel", "What", "some"); a.status != http.StatusBadRequest {
		t.Errorf("another word: %d", a.status)
	}
	if page := b.get("batches?status=CANCELED"); !strings.Contains(page.body, now) {
		t.Error("the cancelled batch is not listed as such")
	}
}

// TestFailuresOpenTheirDevices: reasons by code lead to the devices behind them, and a
// retry starts them anew.
func TestFailuresOpenTheirDevices(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 4)
	busy := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000001", "lamp-000002"}}).(simulator.Job)
	b := w.as("operator", "acme")
	to := b.must(b.post("packages/"+x.usable.ID+"/batch", "Selection", "STATIC", "Target", "ALL"))
	page := b.get(to)
	_, href, ok := strings.Cut(page.body, `<td class="num"><a href="`)
	href, _, _ = strings.Cut(href, `"`)
	if !ok || !strings.Contains(page.text(), "Busy with another upgrade") {
		t.Fatal(page.text())
	}
	behind := b.get(strings.TrimSuffix(html.UnescapeString(href), "#devices"))
	if !strings.Contains(behind.text(), "1 to 2 of 2") || strings.Contains(behind.body, "lamp-000003") {
		t.Errorf("%s: %s", href, behind.text())
	}
	csv := b.get(to + "/tasks.csv?status=FAILED")
	if n := bytes.Count([]byte(csv.body), []byte("\n")); n != 3 {
		t.Errorf("%d lines of %s", n, csv.body)
	}
	if a := b.post(to + "/retry"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("while they are busy: %d", a.status)
	}
	b.must(b.post("batches/"+busy.ID+"/cancel", "What", "all"))
	b.must(b.post(to + "/retry"))
	if page := b.get(to); !strings.Contains(page.text(), "1 to 4 of 4") || strings.Contains(page.text(), "What failed") {
		t.Error(page.text())
	}
	b.must(b.post(to+"/rate", "MaximumPerMinute", strconv.Itoa(simulator.MinPushRate)))
	for _, tc := range []rule{
		{"P34 too many", "MaximumPerMinute", []string{"MaximumPerMinute", "1001"}, "allowed are 10 to 1000"},
		{"P34 no number", "MaximumPerMinute", []string{"MaximumPerMinute", "fast"}, "This is no whole number."},
		{"P37 too long", "TimeoutMinutes", []string{"MaximumPerMinute", "10", "TimeoutMinutes", "1441"}, "allowed are 1 to 1440"},
		{"P37", "", []string{"MaximumPerMinute", "20", "TimeoutMinutes", "30"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, strings.TrimPrefix(to, "/console/")+"/rate", tc) })
	}
	if j := w.cmd(simulator.FindJob{Job: to[strings.LastIndex(to, "/")+1:]}).(simulator.Job); j.Policy.MaximumPerMinute != 20 || j.Policy.TimeoutMinutes != 30 {
		t.Errorf("%+v", j.Policy)
	}
	var curve struct {
		Total           int
		Seconds, Failed []int
	}
	decode(t, b.get(to+"/progress.json").body, &curve)
	if curve.Total != 4 || len(curve.Seconds) < 2 || curve.Failed[0] != 0 { // a line, also in the first second
		t.Errorf("%+v", curve)
	}
}
