package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
)

func retrying(t *testing.T, n int) *fetch.Client {
	c, err := fetch.New(fetch.Options{Retries: n})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// started runs an agent until it is stopped or the test ends.
func (w *world) started() (a *Agent, stop func()) {
	w.t.Helper()
	m := w.machine()
	if _, err := m.PowerOn(); err != nil {
		w.t.Fatal(err)
	}
	a, err := New(w.config(m, fmt.Sprint("boot ", w.boots)))
	if err != nil {
		w.t.Fatal(err)
	}
	a.checkpointBytes, a.laterPause = 256<<10, time.Millisecond
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return a, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// A module's version is reported once a boot, however often the connection is
// made, and again in the next boot.
func TestVersionOncePerBoot(t *testing.T) {
	w := goodWorld(t)
	w.cloud.quiet = true
	w.change = func(c *Config) {
		c.Modules = append(c.Modules, Module{Name: "MCU", Version: "7", ReportOnly: true})
	}
	a, stop := w.started()
	for range 3 {
		w.cloud.events <- ota.Event{}
	}
	eventually(t, "both versions", func() bool { return strings.Count(w.cloud.all(), " ") == 1 && a.Status().Owed == 0 })
	if s := w.cloud.all(); s != "1.0.0 7" {
		t.Errorf("heard %s", s)
	}
	stop()
	w.boots++
	_, stop = w.started()
	w.cloud.events <- ota.Event{}
	eventually(t, "both versions again", func() bool { return w.cloud.all() == "1.0.0 7 1.0.0 7" })
	stop()
	w.boots++
	a, _ = w.started()
	if err := a.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.cloud.events <- ota.Event{}
	eventually(t, "one report for two reasons", func() bool { return w.cloud.all() == "1.0.0 7 1.0.0 7 1.0.0 7" && a.Status().Owed == 0 })
	if err := a.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the report asked for", func() bool { return w.cloud.all() == "1.0.0 7 1.0.0 7 1.0.0 7 1.0.0 7" })
}

// N24: cancelled during the download, before there is one, and too late.
func TestN24Cancel(t *testing.T) {
	w := goodWorld(t)
	a, _ := w.started()
	if err := a.Cancel(); !errors.Is(err, ErrIdle) {
		t.Errorf("idle: %v", err)
	}
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	w.badServer(func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
		rw.Write(w.pkg[:1000])
		rw.(http.Flusher).Flush()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return true
	})
	w.cloud.connect()
	eventually(t, "the download", func() bool { return a.Status().Stage == Fetch })
	if n := a.Status().Notice; n == nil || n.Version != newVersion {
		t.Errorf("status %+v", a.Status())
	}
	if _, err := a.Check(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("asked while busy: %v", err)
	}
	if err := a.Cancel(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return a.Status().Last != nil })
	if last := a.Status().Last; last.Step != -2 || last.Reason != ErrCancelled.Error() {
		t.Errorf("last %+v", last)
	}
	w = goodWorld(t)
	w.change = func(c *Config) { c.Power = hangingPower{} }
	a, _ = w.started()
	w.cloud.connect()
	eventually(t, "the restart", func() bool { return a.Status().Stage == Reboot })
	if err := a.Cancel(); !errors.Is(err, ErrTooLate) {
		t.Errorf("at the restart: %v", err)
	}
}

// hangingPower never restarts.
type hangingPower struct{}

func (hangingPower) Reboot(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Check asks, says what is announced, and lets it be installed.
func TestCheck(t *testing.T) {
	w := goodWorld(t)
	w.cloud.quiet = true
	a, _ := w.started()
	w.cloud.events <- ota.Event{}
	found, err := a.Check(t.Context())
	if err != nil || found == nil || found.Version != newVersion {
		t.Fatalf("%+v, %v", found, err)
	}
	eventually(t, "the restart", func() bool { _, err := loadRecord(w.store()); return err == nil && a.Status().Stage == Reboot })
	w.cloud.ended = true
	w = goodWorld(t)
	w.cloud.quiet, w.cloud.ended = true, true
	a, _ = w.started()
	if found, err := a.Check(t.Context()); err != nil || found != nil {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestConfigRefused(t *testing.T) {
	w := goodWorld(t)
	m := w.machine()
	for name, change := range map[string]func(*Config){
		"required":      func(c *Config) { c.Store = nil },
		"BootID":        func(c *Config) { c.BootID = "" },
		"both slots":    func(c *Config) { c.Slots[1] = c.Slots[0] },
		"twice":         func(c *Config) { c.Modules = append(c.Modules, c.Modules[0]) },
		"exactly one":   func(c *Config) { c.Modules[0].ReportOnly = true },
		`version "1 0"`: func(c *Config) { c.Modules[0].Version = "1 0" },
		`module "a/b"`:  func(c *Config) { c.Modules[0].Name = "a/b" },
		`runs slot "a"`: func(c *Config) { c.Slots[0] = c.Slots[1]; c.Slots[1] = namedSlot{c.Slots[1]} },
	} {
		c := w.config(m, "1")
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// N24: a wish between two stages is not lost, and one at the switch is in time.
func TestN24CancelBetweenStages(t *testing.T) {
	for _, stage := range []Stage{Fetch, Write, Switch} {
		w := cutAt(t, stage, patchWorld)
		w.cut.k = 0
		m := w.machine()
		if _, err := m.PowerOn(); err != nil {
			t.Fatal(err)
		}
		id, err := m.BootID()
		if err != nil {
			t.Fatal(err)
		}
		a, err := New(w.config(m, id))
		if err != nil {
			t.Fatal(err)
		}
		err = a.Cancel() // nothing is walked yet
		if stage == Switch {
			if !errors.Is(err, ErrTooLate) {
				t.Errorf("%s: %v", stage, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", stage, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		eventually(t, "the end", func() bool { s := a.Status(); return s.Stage == Idle && s.Last != nil })
		cancel()
		<-done
		if last := a.Status().Last; last.Reason != ErrCancelled.Error() {
			t.Errorf("%s: %+v", stage, last)
		}
	}
}
