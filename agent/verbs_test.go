package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// within is a context of a caller who waits for an answer, but not for ever.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// onTrial starts the new system of a good update, whose health check waits until
// it is told otherwise.
func (w *world) onTrial() (a *Agent, ask chan error, stop func()) {
	w.t.Helper()
	if !w.boot() {
		w.t.Fatal("it did not restart into the new system")
	}
	ask = make(chan error)
	w.change = func(c *Config) {
		c.Health = func(ctx context.Context) error {
			select {
			case err := <-ask:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	w.boots++
	a, stop = w.started()
	w.cloud.events <- ota.Event{}
	eventually(w.t, "the trial", func() bool { s := a.Status(); return s.Stage == Prove && s.Trial })
	return a, ask, stop
}

// N24: paused in the middle of a download, over a restart; nothing goes on and
// nothing begins before Resume, and then it goes on where it was.
func TestN24Pause(t *testing.T) {
	w := goodWorld(t)
	hang := make(chan struct{})
	var hung atomic.Bool
	w.badServer(func(rw http.ResponseWriter, r *http.Request) bool {
		if hung.Load() {
			return false
		}
		rw.Header().Set("ETag", `"1"`)
		rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
		rw.Write(w.pkg[:800<<10])
		rw.(http.Flusher).Flush()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return true
	})
	a, stop := w.started()
	w.cloud.connect()
	saved := func() int64 {
		rec, err := loadRecord(w.store())
		if err != nil || rec.Update == nil {
			return 0
		}
		return rec.Update.Mark.In
	}
	eventually(t, "a checkpoint", func() bool { return saved() > 0 })
	if err := a.Pause(within(t)); err != nil {
		t.Fatal(err)
	}
	if s := a.Status(); !s.Paused || s.Stage != Fetch || s.Trial {
		t.Errorf("status %+v", s)
	}
	if err := a.Pause(within(t)); err != nil {
		t.Errorf("paused twice: %v", err)
	}
	if _, err := a.Check(within(t)); !errors.Is(err, ErrBusy) {
		t.Errorf("asked while paused in an update: %v", err)
	}
	stop()
	hung.Store(true)
	at := saved()
	if s, _, err := Inspect(w.store(), "a", Module{Name: ota.DefaultModule}); err != nil || !s.Paused || s.Trial || s.Stage != Fetch {
		t.Errorf("seen from outside: %+v, %v", s, err)
	}
	for range maxStalls + 2 { // as often as it is restarted
		w.boots++
		a, stop = w.started()
		w.cloud.events <- ota.Event{}
		eventually(t, "the connection", func() bool { return a.Status().Online })
		if s := a.Status(); !s.Paused || s.Stage != Fetch {
			t.Fatalf("after a restart: %+v", s)
		}
		stop()
	}
	if len(w.ranges) != 1 || saved() != at {
		t.Errorf("it went on while it was paused: %q, %d bytes were %d", w.ranges, saved(), at)
	}
	w.change = func(c *Config) { c.Power = hangingPower{} }
	a, _ = w.started()
	if err := a.Resume(within(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the restart", func() bool { return a.Status().Stage == Reboot })
	if want := fmt.Sprintf("bytes=%d-", at); len(w.ranges) != 2 || !strings.HasPrefix(w.ranges[1], want) {
		t.Errorf("it went on with %q, wanted %s", w.ranges, want)
	}
}

// N24: nothing begins while it is paused; a paused update can be cancelled.
func TestN24PausedBeforeAndCancelled(t *testing.T) {
	w := goodWorld(t)
	a, _ := w.started()
	if err := a.Pause(within(t)); err != nil {
		t.Fatal(err)
	}
	w.cloud.connect()
	eventually(t, "the connection", func() bool { return a.Status().Online && a.Status().Owed == 0 })
	time.Sleep(20 * time.Millisecond)
	if s := a.Status(); s.Stage != Idle || len(w.ranges) != 0 {
		t.Errorf("it began: %+v", s)
	}
	w = cutAt(t, Fetch, patchWorld)
	w.cut.k = 0
	rec, err := loadRecord(w.store())
	if err != nil {
		t.Fatal(err)
	}
	rec.Paused = true
	if err := w.store().Save(rec.encode()); err != nil {
		t.Fatal(err)
	}
	a, _ = w.started()
	if err := a.Cancel(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return a.Status().Last != nil })
	if s := a.Status(); s.Last.Reason != ErrCancelled.Error() || !s.Paused {
		t.Errorf("%+v", s.Last)
	}
}

// N24: a pause on trial is recorded at once, does not stop the trial, and counts
// for what comes after it.
func TestN24PauseOnTrial(t *testing.T) {
	w := goodWorld(t)
	if !w.boot() {
		t.Fatal("it did not restart")
	}
	w.boots++
	a, _ := w.started() // and waits for the cloud
	eventually(t, "the trial", func() bool { return a.Status().Stage == Prove })
	if err := a.Pause(within(t)); err != nil {
		t.Fatal(err)
	}
	if s := a.Status(); !s.Paused || !s.Trial {
		t.Errorf("%+v", s)
	}
	w.cloud.events <- ota.Event{}
	eventually(t, "the end", func() bool { s := a.Status(); return s.Stage == Idle && s.Owed == 0 })
	w.notice.Version, w.cloud.ended = "3.0.0", false
	w.cloud.connect()
	time.Sleep(20 * time.Millisecond)
	if s := a.Status(); s.Last.Step != 100 || !s.Paused || s.Stage != Idle {
		t.Errorf("%+v", s)
	}
}

// A person's word counts in place of the health check that waits, and both sides
// hear about it. Said twice it comes to the same end (B10).
func TestB10Commit(t *testing.T) {
	w := goodWorld(t)
	a, _, _ := w.onTrial()
	good := make(chan error, 1)
	go func() { good <- a.MarkGood(within(t)) }()
	if err := a.Commit(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-good; err != nil {
		t.Errorf("mark-good: %v", err)
	}
	eventually(t, "the report", func() bool { return a.Status().Stage == Idle })
	if err := a.Commit(within(t)); !errors.Is(err, ErrIdle) || err.Error() != "nothing is on trial" {
		t.Errorf("again: %v", err)
	}
	if err := a.Rollback(within(t)); !errors.Is(err, ErrIdle) {
		t.Errorf("too late: %v", err)
	}
	if err := a.MarkGood(within(t)); err != nil {
		t.Errorf("mark-good of what is kept: %v", err)
	}
	if s := a.Status(); s.Last.Step != 100 || s.Trial || s.Version != oldVersion && s.Version != newVersion {
		t.Errorf("%+v", s)
	}
	if st, err := w.machine().State(); err != nil || st.Kept != "b" || st.Trial != "" {
		t.Errorf("the boot loader: %+v, %v", st, err)
	}
}

// Rolled back and marked bad: the old system runs again, the reason is the
// person's, and a package that was marked bad is not tried again, under its own
// version or another (B10, W5).
func TestB10RollbackAndMarkBad(t *testing.T) {
	for word, say := range map[error]func(*Agent, context.Context) error{
		ErrRolledBack: (*Agent).Rollback, ErrMarkedBad: (*Agent).MarkBad,
	} {
		w := goodWorld(t)
		a, _, stop := w.onTrial()
		good := make(chan error, 1)
		go func() { good <- a.MarkGood(within(t)) }()
		if err := say(a, within(t)); err != nil {
			t.Fatal(err)
		}
		if err := <-good; err == nil || !strings.Contains(err.Error(), word.Error()) {
			t.Errorf("mark-good: %v", err)
		}
		stop()
		w.change = nil
		w.ends("[1.0.0 -1 1.0.0]", false, word.Error())
		before := len(w.ranges)
		for _, version := range []string{newVersion, "2.0.1"} {
			w.notice.Version, w.cloud.ended = version, false
			w.live()
		}
		tried := len(w.ranges) - before
		if (tried == 0) != (word == ErrMarkedBad) {
			t.Errorf("%v: tried %d times more", word, tried)
		}
		rec, err := loadRecord(w.store())
		if err != nil {
			t.Fatal(err)
		}
		if last := rec.History[len(rec.History)-1]; word == ErrMarkedBad && (last.Step != -1 || !strings.Contains(last.Reason, "marked bad")) {
			t.Errorf("%+v", last)
		}
	}
}

// MarkGood waits for the health check, and says why the trial failed.
func TestMarkGoodWaits(t *testing.T) {
	for _, health := range []error{nil, errors.New("no light")} {
		w := goodWorld(t)
		a, ask, _ := w.onTrial()
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := a.MarkGood(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it did not wait: %v", err)
		}
		cancel()
		good := make(chan error, 1)
		go func() { good <- a.MarkGood(within(t)) }()
		ask <- health
		if err := <-good; (err == nil) != (health == nil) || err != nil && !strings.Contains(err.Error(), "no light") {
			t.Errorf("health %v: %v", health, err)
		}
	}
}

// MarkGood during a download keeps what runs; while another slot is about to be
// started it leaves the boot loader alone.
func TestMarkGoodKeepsAtOnce(t *testing.T) {
	w := goodWorld(t)
	if err := w.machine().Try("a"); err != nil {
		t.Fatal(err)
	}
	w.change = func(c *Config) { c.Power = hangingPower{} }
	a, _ := w.started()
	if err := a.MarkGood(within(t)); err != nil {
		t.Fatal(err)
	}
	w.cloud.connect()
	eventually(t, "the restart", func() bool { return a.Status().Stage == Reboot })
	if err := a.MarkGood(within(t)); err != nil {
		t.Fatal(err)
	}
	if st, err := w.machine().State(); err != nil || st.Trial != "b" {
		t.Errorf("the trial was ended before it began: %+v, %v", st, err)
	}
}

// A health check that says "later" is asked again, until its time is up.
func TestHealthLater(t *testing.T) {
	for _, times := range []int{2, 1 << 20} {
		w := goodWorld(t)
		asked := 0
		w.change = func(c *Config) {
			c.HealthTimeout = 100 * time.Millisecond
			c.Health = func(context.Context) error {
				if asked++; asked <= times {
					return fmt.Errorf("starting up: %w", ErrLater)
				}
				return nil
			}
		}
		if times == 2 {
			w.ends("[1.0.0 100 2.0.0]", true, "")
		} else {
			w.ends("[1.0.0 -1 1.0.0]", false, "starting up")
		}
		if asked < 3 {
			t.Errorf("asked %d times", asked)
		}
	}
}

func TestVerbsStopped(t *testing.T) {
	w := goodWorld(t)
	a, stop := w.started()
	stop()
	if err := a.Pause(within(t)); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w = goodWorld(t)
	m := w.machine()
	idle, err := New(w.config(m, "1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Pause(ctx); !errors.Is(err, context.Canceled) || len(idle.orders) != 0 {
		t.Errorf("%v, %d orders are left", err, len(idle.orders))
	}
}

// A word that comes after the health check, in the last moment before the new
// system is kept, counts as well.
func TestRollbackAtTheLastMoment(t *testing.T) {
	w := cutAt(t, Keep, func(t *testing.T) *world {
		w := goodWorld(t)
		w.boot() // to the restart; the cuts count from here
		w.cut.n = 0
		return w
	})
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
	if s := a.Status(); !s.Trial {
		t.Fatalf("%+v", s)
	}
	left := make(chan error, 1)
	go func() { left <- a.Rollback(within(t)) }()
	eventually(t, "the word", func() bool { return a.heard() != nil })
	if err := a.Run(t.Context()); !errors.Is(err, ErrReboot) {
		t.Errorf("run: %v", err)
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
	w.ends("[1.0.0 -1 1.0.0]", false, ErrRolledBack.Error())
}
