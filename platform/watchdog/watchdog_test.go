package watchdog

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pgregory.net/rapid"
)

// driver plays what a watchdog's driver answers to the calls that a file cannot.
// The kernel that the tests run on has none; TestLabSoftdog runs a real one.
type driver struct {
	options uint32
	seconds int
	most    int // a driver takes less than it is asked for
	status  uint32
	err     error
}

func (d *driver) support() (unix.WatchdogInfo, error) {
	info := unix.WatchdogInfo{Options: d.options, Version: 7}
	copy(info.Identity[:], "Software Watchdog")
	return info, d.err
}

func (d *driver) setTimeout(seconds int) error {
	d.seconds = min(seconds, d.most)
	return d.err
}

func (d *driver) timeout() (uint32, error)    { return uint32(d.seconds), d.err }
func (d *driver) bootStatus() (uint32, error) { return d.status, d.err }

// plain opens a plain file in the place of a watchdog.
func plain(t *testing.T, c controls) (d *Device, written func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	if c != nil {
		d.c = c
	}
	return d, func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func TestKickAndDisarm(t *testing.T) {
	d, written := plain(t, nil)
	if err := errors.Join(d.Kick(), d.Kick(), d.Disarm()); err != nil {
		t.Fatal(err)
	}
	if got := written(); got != "\x00\x00V" {
		t.Errorf("wrote %q", got)
	}
	if d.Kick() == nil || d.Disarm() == nil {
		t.Error("a closed watchdog is kicked")
	}
}

// TestW6LeaveArmed: the watchdog goes on while the machine restarts, unless the
// driver cannot, which is said.
func TestW6LeaveArmed(t *testing.T) {
	d, written := plain(t, &driver{options: unix.WDIOF_MAGICCLOSE})
	if err := d.Leave(); err != nil {
		t.Fatal(err)
	}
	if got := written(); got != "\x00" {
		t.Errorf("wrote %q: a V disarms", got)
	}
	d, _ = plain(t, &driver{options: unix.WDIOF_SETTIMEOUT})
	if err := d.Leave(); !errors.Is(err, ErrStops) || d.Kick() == nil {
		t.Errorf("%v", err)
	}
}

// TestFIFO: each kick is one write that the driver sees at once.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(path, os.O_RDWR, 0) // both ends, so that neither open waits
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		do   func() error
		want string
	}{{d.Kick, "\x00"}, {d.Kick, "\x00"}, {d.Disarm, "V"}} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(c.want))
		if _, err := io.ReadFull(other, got); err != nil || string(got) != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
}

func TestTimeout(t *testing.T) {
	c := &driver{most: 60}
	d, written := plain(t, c)
	for ask, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, 1500 * time.Millisecond: 2 * time.Second, time.Minute: time.Minute, time.Hour: time.Minute,
	} {
		if got, err := d.SetTimeout(ask); got != want || err != nil {
			t.Errorf("%s: %s, %v", ask, got, err)
		}
	}
	if got := written(); got != strings.Repeat("\x00", 4) {
		t.Errorf("wrote %q: a new timeout is a kick", got)
	}
	for _, ask := range []time.Duration{0, -time.Second, time.Second - 1, MaxTimeout + 1} {
		if _, err := d.SetTimeout(ask); err == nil {
			t.Errorf("%s: accepted", ask)
		}
	}
	for _, c.seconds = range []int{0, 1 << 20} {
		if got, err := d.Timeout(); err == nil {
			t.Errorf("%d s: %s", c.seconds, got)
		}
	}
	c.most = 0
	if _, err := d.SetTimeout(time.Second); err == nil {
		t.Error("a driver that takes 0 s")
	}
}

func TestInfo(t *testing.T) {
	d, _ := plain(t, &driver{options: unix.WDIOF_MAGICCLOSE | unix.WDIOF_SETTIMEOUT, status: unix.WDIOF_CARDRESET | unix.WDIOF_OVERHEAT})
	info, err := d.Info()
	if want := (Info{Identity: "Software Watchdog", Firmware: 7, SetTimeout: true, StaysArmed: true}); info != want || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if barked, err := d.Barked(); !barked || err != nil {
		t.Errorf("barked %v, %v", barked, err)
	}
	for _, status := range []uint32{0, unix.WDIOF_OVERHEAT, ^uint32(0)} { // the last means that it does not know
		d.c = &driver{status: status}
		if barked, err := d.Barked(); barked || err != nil {
			t.Errorf("status %x: barked %v, %v", status, barked, err)
		}
	}
}

// TestNoWatchdog: what is no watchdog says so, by its path or by its answers.
func TestNoWatchdog(t *testing.T) {
	d, _ := plain(t, nil) // with the real calls
	_, ierr := d.Info()
	_, terr := d.Timeout()
	_, serr := d.SetTimeout(time.Second)
	_, berr := d.Barked()
	for name, err := range map[string]error{"Info": ierr, "Timeout": terr, "SetTimeout": serr, "Barked": berr, "Leave": d.Leave()} {
		if !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.ENOSYS) { // the latter is qemu-user's answer
			t.Errorf("%s of a plain file: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil {
		t.Error("opened a plain file as a watchdog")
	}
}

// kicks counts.
type kicks struct {
	n     atomic.Int64
	fails int // how many fail from now on
}

func (k *kicks) Kick() error {
	if k.fails > 0 {
		k.fails--
		return errors.New("no kick")
	}
	k.n.Add(1)
	return nil
}

// TestW6Hang: work that hangs is not kept alive by a goroutine that does not.
func TestW6Hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := NewKeeper(time.Minute, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		d, done := &kicks{}, make(chan error)
		go func() { done <- k.Run(ctx, d, 30*time.Second) }()
		for range 60 { // fifty minutes of work
			k.Alive(time.Now())
			time.Sleep(50 * time.Second)
		}
		synctest.Wait()
		if n := d.n.Load(); n < 299 || n > 301 {
			t.Errorf("%d kicks in 3000 s, each 10 s", n)
		}
		before := d.n.Load()
		time.Sleep(time.Hour) // it hangs
		synctest.Wait()
		if more := d.n.Load() - before; more > 1 {
			t.Errorf("%d kicks while the work hangs", more)
		}
		k.Alive(time.Now())
		before = d.n.Load()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if d.n.Load() == before {
			t.Error("no kick after it came back")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestKickFails: once or twice is survived, since the watchdog waits longer.
func TestKickFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := NewKeeper(time.Hour, time.Now())
		d, start := &kicks{fails: 2}, time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := k.Run(ctx, d, 30*time.Second); err != nil || d.n.Load() == 0 || time.Since(start) != time.Minute {
			t.Errorf("%v after %s, %d kicks", err, time.Since(start), d.n.Load())
		}
		d.fails = 100
		if err := k.Run(t.Context(), d, 30*time.Second); err == nil || !strings.Contains(err.Error(), "no kick") {
			t.Errorf("%v", err)
		}
		if err := k.Run(t.Context(), d, time.Millisecond); err == nil {
			t.Error("a timeout of a millisecond")
		}
		if _, err := NewKeeper(0, time.Now()); err == nil {
			t.Error("a window of nothing")
		}
	})
}

// TestK2Keeper: whatever the clock does, without a sign of life there is an end
// within one window of the clock's own time, and with one there is none.
func TestK2Keeper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		k, err := NewKeeper(time.Minute, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, jump := range rapid.SliceOf(rapid.Int64Range(-1e9, 1e9)).Draw(t, "jumps") {
			now = now.Add(time.Duration(jump) * time.Second)
			if rapid.Bool().Draw(t, "alive") {
				k.Alive(now)
				if !k.Content(now) || !k.Content(now.Add(time.Minute-1)) || k.Content(now.Add(time.Minute)) {
					t.Fatal("not content for one window after a sign of life")
				}
			}
			k.Content(now)
			if k.Content(now.Add(time.Minute)) {
				t.Fatal("content for longer than the window")
			}
		}
	})
}
