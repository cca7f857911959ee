package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator"
)

func line(account, key, action, object string) simulator.As {
	return simulator.As{Entry: &simulator.AuditEntry{Account: account, Key: key, Action: action, Object: object}}
}

// TestAuditLog: lines are listed newest first, by account, key, action and time, in
// pages; of each account only the newest are kept, whatever others write.
func TestAuditLog(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	w.store.maxAudit = 20
	w.do(line("quiet", "k", "Act", "quiet"))
	for i := range 60 {
		w.do(line([]string{"a", "b"}[i%2], fmt.Sprint("k", i%3), "Act", fmt.Sprint(i)))
	}
	all, n, err := w.store.Audit(t.Context(), AuditFilter{}, Page{Size: 100})
	if err != nil || n != 41 || len(all) != 41 || all[0].Object != "59" || all[39].Object != "20" || all[40].Object != "quiet" {
		t.Fatalf("%d lines, %+v, %v", n, all, err)
	}
	page, n, err := w.store.Audit(t.Context(), AuditFilter{Account: "a", Key: "k0"}, Page{Number: 2, Size: 4})
	if err != nil || n != 6 || len(page) != 2 || page[0].Object != "30" {
		t.Errorf("%d lines, %+v, %v", n, page, err)
	}
	for f, want := range map[AuditFilter]int{
		{Action: "Act"}: 41, {Action: "Other"}: 0, {Account: "c"}: 0,
		{From: all[0].At}: 41, {From: all[0].At + 1}: 0, {Until: all[0].At}: 0, {Until: all[0].At + 1}: 41,
	} {
		if _, n, err := w.store.Audit(t.Context(), f, Page{}); n != want || err != nil {
			t.Errorf("%+v selects %d lines, want %d; %v", f, n, want, err)
		}
	}
}

// TestOutbox: events come in order until they are said to be delivered, also after the
// database was opened again, and no number is used twice; the oldest give way.
func TestOutbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	w.store.maxEvents = 50
	put := func(from, n int) {
		t.Helper()
		ch := &simulator.Changes{}
		for i := range n {
			ch.Events = append(ch.Events, simulator.AppEvent{Topic: "/t", At: 5, Payload: simulator.JobPosted{JobID: fmt.Sprint(from + i)}})
		}
		if err := w.store.Commit(t.Context(), ch); err != nil {
			t.Fatal(err)
		}
	}
	first := func(want string) Waiting {
		t.Helper()
		list, err := w.store.Events(t.Context(), 10)
		if err != nil || len(list) == 0 {
			t.Fatalf("%d events, %v", len(list), err)
		}
		for i := range list {
			if list[i].ID != list[0].ID+int64(i) || list[i].Topic != "/t" || list[i].At != 5 {
				t.Errorf("events out of order: %+v", list)
			}
		}
		var j struct{ JobID string }
		if err := json.Unmarshal(list[0].Body, &j); err != nil || j.JobID != want {
			t.Errorf("the first is %s, want %s, %v", list[0].Body, want, err)
		}
		return list[0]
	}
	put(0, 3)
	one := first("0")
	if err := w.store.Delivered(t.Context(), one.ID+1); err != nil {
		t.Fatal(err)
	}
	two := first("2")
	if err := w.store.Delivered(t.Context(), two.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := w.store.Queued(t.Context()); n != 0 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
	_ = w.store.Close()
	w = newTown(t, path)
	w.store.maxEvents = 50
	put(10, 1)
	if next := first("10"); next.ID != two.ID+1 {
		t.Errorf("the next event has the number %d after %d", next.ID, two.ID)
	}
	put(11, 60)
	first("21")
	if n, err := w.store.Queued(t.Context()); n != 50 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
}

// TestF8LogsWhole: a batch that cannot be stored leaves no line and no event.
func TestF8LogsWhole(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	_, job := w.fill(2)
	stale := job
	stale.Revision = 99
	err := w.store.Commit(t.Context(), &simulator.Changes{
		Jobs:   []simulator.Job{stale},
		Audit:  []simulator.AuditEntry{{Action: "x"}},
		Events: []simulator.AppEvent{{Topic: "/t"}},
	})
	if err == nil || !strings.Contains(err.Error(), "revision") {
		t.Fatalf("a stale job is stored: %v", err)
	}
	if _, n, err := w.store.Audit(t.Context(), AuditFilter{}, Page{}); n != 0 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
	if n, err := w.store.Queued(t.Context()); n != 0 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}
