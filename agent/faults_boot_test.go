package agent

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leapslot/ota/platform"
)

// B5: another slot came up than expected, though the new one could have started.
// B11: the boot loader has lost that there was a trial. The record decides, and it
// is reported as a rollback.
func TestB5B11TrialLost(t *testing.T) {
	for _, at := range []Stage{Reboot, Prove} {
		w := goodWorld(t)
		if !w.boot() {
			t.Fatal("it did not restart")
		}
		if at == Prove { // the trial has begun, and is cut
			w.change = func(c *Config) { c.Health = func(context.Context) error { panic(errPowerCut) } }
			w.boot()
			w.change = nil
		}
		rec, err := loadRecord(w.store())
		if err != nil || rec.Update == nil || rec.Update.Stage != at {
			t.Fatalf("the record is at %+v, %v", rec.Update, err)
		}
		if err := w.machine().Try("a"); err != nil {
			t.Fatal(err)
		}
		w.ends("[1.0.0 -1 1.0.0]", false, "came back to slot a")
	}
}

// W7: the new system restarts by itself while it is on trial, each time: the boot
// loader gives it up, and what came up is seen by the boot's id, not asked from it.
func TestW7SpontaneousRestarts(t *testing.T) {
	w := goodWorld(t)
	starts := 0
	w.change = func(c *Config) {
		b := c.Boot
		c.Health = func(context.Context) error {
			if name, err := b.Running(); err != nil || name != "b" {
				t.Errorf("asked in slot %s, %v", name, err)
			}
			starts++
			panic(errPowerCut)
		}
	}
	w.ends("[1.0.0 -1 1.0.0]", false, "came back to slot a")
	if starts != 3 {
		t.Errorf("it had %d starts, its boot loader gives 3", starts)
	}
}

// W8: power cycles in rapid succession count only while an update is on trial: a
// system that was kept is not left however often it is cut.
func TestW8StormsOfPowerCycling(t *testing.T) {
	w := goodWorld(t)
	w.ends("[1.0.0 100 2.0.0]", true, "")
	for range 20 {
		if !w.lives() {
			t.Fatal("the kept system was left")
		}
	}
}

// B7: the new system has no network. It is left when its time is up.
func TestB7NoNetwork(t *testing.T) {
	w := goodWorld(t)
	if !w.boot() {
		t.Fatal("it did not restart")
	}
	w.change = func(c *Config) { c.HealthTimeout = 50 * time.Millisecond }
	a, stop := w.started() // and nobody connects
	eventually(t, "the way back", func() bool { s := a.Status(); return s.Stage == Return || s.Reason != "" })
	stop()
	w.change = nil
	w.ends("[1.0.0 -1 1.0.0]", false, "did not reach the cloud")
}

// B8: the new system lacks what the agent needs: it cannot even be made there. The
// boot loader goes back, and the old system reports it.
func TestB8NewSystemWithoutConfiguration(t *testing.T) {
	w := goodWorld(t)
	if !w.boot() {
		t.Fatal("it did not restart")
	}
	starts := 0
	for {
		m := w.machine()
		if slot, err := m.PowerOn(); err != nil {
			t.Fatal(err)
		} else if slot == "a" {
			break
		}
		starts++
		c := w.config(m, "1")
		c.Store = nil
		if _, err := New(c); err == nil {
			t.Fatal("it was made")
		}
	}
	if starts != 3 {
		t.Errorf("%d starts", starts)
	}
	w.ends("[1.0.0 -1 1.0.0]", false, "did not start")
}

// W5: the machine cannot be restarted, or the boot loader does not do as it is
// told, again and again: each try is bounded, and reported.
func TestW5BootLoaderRefuses(t *testing.T) {
	w := goodWorld(t)
	w.change = func(c *Config) { c.Boot = stubborn{c.Boot} }
	w.ends("[1.0.0 -1]", false, "the boot loader cannot be told")
	for range DefaultAttempts + 2 {
		w.cloud.ended = false
		w.live()
	}
	if len(w.ranges) != DefaultAttempts {
		t.Errorf("fetched %d times", len(w.ranges))
	}
	rec, err := loadRecord(w.store())
	if err != nil {
		t.Fatal(err)
	}
	if last := rec.History[len(rec.History)-1]; last.Step != -1 || last.Reason != fmt.Sprintf("version %s failed here %d times, the bound is %d: make a new version", newVersion, DefaultAttempts+2, DefaultAttempts) {
		t.Errorf("%+v", last)
	}
}

// stubborn is a boot loader that cannot be written.
type stubborn struct{ platform.Boot }

func (s stubborn) Try(slot string) error {
	if slot == "b" {
		return platform.ErrNoSlot
	}
	return s.Boot.Try(slot)
}
