package server

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// brittle is a SQLite store that fails while why is set.
type brittle struct {
	*store.SQLite
	mu    sync.Mutex
	why   error
	tries int
}

func (b *brittle) Commit(ctx context.Context, ch *simulator.Changes) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	if b.why != nil {
		return b.why
	}
	return b.SQLite.Commit(ctx, ch)
}

func (b *brittle) fail(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.why = why
}

// count is how often something was to be stored.
func (b *brittle) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries
}

// rig is an engine on a brittle store, which notes what would be sent.
type rig struct {
	*Engine
	t     *testing.T
	store *brittle
	ended chan error
	mu    sync.Mutex
	sent  []simulator.Push
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "ota.db"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: &brittle{SQLite: s}, ended: make(chan error, 1)}
	send := func(p []simulator.Push, _ []simulator.Task) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent = append(r.sent, p...)
	}
	opt := simulator.Options{Random: rand.NewChaCha8([32]byte{3})}
	r.Engine, err = newEngine(t.Context(), r.store, opt, send, slog.New(slog.DiscardHandler), newMetrics())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.ended <- r.Run(ctx) }()
	return func() {
		cancel()
		<-r.ended
		r.store.Close()
	}
}

func (r *rig) do(cmd simulator.Command) any {
	r.t.Helper()
	v, err := r.Do(r.t.Context(), cmd)
	if err != nil {
		r.t.Fatalf("%T: %v", cmd, err)
	}
	return v
}

func (r *rig) sends() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sent)
}

// TestF8StoreFails: while nothing can be stored, commands fail with a clear error and
// change nothing, nothing is sent, looking works, and devices wait; when the store is
// back everything goes on, with nothing lost and nothing twice.
func TestF8StoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.start()()
		p := r.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
		r.do(simulator.RegisterDevices{Product: p.Key, Names: []string{"d1"}})
		d := ota.Device{ProductKey: p.Key, Name: "d1"}

		r.store.fail(store.ErrFull)
		if _, err := r.Do(t.Context(), simulator.CreateProduct{Account: "me", Name: "more"}); !errors.Is(err, store.ErrFull) {
			t.Errorf("a command: %v", err)
		}
		if r.health() == nil {
			t.Error("the engine says it is well")
		}
		var refused *simulator.Error
		if _, err := r.Do(t.Context(), simulator.CreateProduct{Account: "me", Name: "lamp"}); !errors.As(err, &refused) {
			t.Errorf("a command that is refused anyway: %v", err)
		}
		stored := make(chan struct{})
		go func() {
			_ = r.happen(simulator.Online{Device: d})
			_ = r.happen(simulator.Informed{Device: d, Version: "1.0"})
			close(stored)
		}()
		time.Sleep(time.Minute)
		r.do(simulator.FindProduct{Product: p.Key})
		select {
		case <-stored:
			t.Error("a device was told that its report is stored")
		default:
		}
		if n := r.store.count(); n > 30 {
			t.Errorf("%d attempts in a minute", n)
		}

		r.store.fail(nil)
		<-stored
		if r.health() != nil {
			t.Errorf("still unwell: %v", r.health())
		}
		got := r.do(simulator.FindDevice{Product: p.Key, Name: "d1"}).(simulator.Device)
		if got.Version(ota.DefaultModule) != "1.0" || !got.Online {
			t.Errorf("the device is %+v", got)
		}
		r.do(simulator.CreateProduct{Account: "me", Name: "more"})
		if r.sends() != 0 {
			t.Error("something was sent")
		}
	})
}

// TestF8Recovers: with nobody asking for anything the engine finds out by itself that
// the store is back.
func TestF8Recovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.start()()
		p := r.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
		r.do(simulator.CreatePackage{
			Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
			Files: []simulator.File{{Name: "a.bin", Key: "k", Size: 1, MD5: "00112233445566778899aabbccddeeff"}},
		})
		r.store.fail(store.ErrFull)
		if _, err := r.Do(t.Context(), simulator.CreateProduct{Account: "me", Name: "more"}); !errors.Is(err, store.ErrFull) {
			t.Errorf("a command: %v", err)
		}
		time.Sleep(time.Minute)
		if r.health() == nil {
			t.Error("well, with a full disk")
		}
		r.store.fail(nil)
		time.Sleep(10 * time.Second)
		if err := r.health(); err != nil {
			t.Errorf("still unwell: %v", err)
		}
	})
}

// TestF8TicksAreTriedAgain: what time brought about is not lost with a failed save.
func TestF8TicksAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.start()()
		p := r.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
		r.do(simulator.RegisterDevices{Product: p.Key, Names: []string{"d1"}})
		d := ota.Device{ProductKey: p.Key, Name: "d1"}
		pkg := r.do(simulator.CreatePackage{
			Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
			Files: []simulator.File{{Name: "a.bin", Key: "k", Size: 1, MD5: "00112233445566778899aabbccddeeff"}},
		}).(simulator.Package)
		_ = r.happen(simulator.Online{Device: d})
		j := r.do(simulator.CreateStaticJob{Package: pkg.ID, Target: simulator.TargetAll, TimeoutMinutes: 1}).(simulator.Job)
		_ = r.happen(simulator.Progressed{Device: d, Step: 1})
		if r.sends() != 1 {
			t.Fatalf("%d sent, want 1", r.sends())
		}
		r.store.fail(store.ErrBusy)
		time.Sleep(10 * time.Minute)
		if got := r.do(simulator.FindJob{Job: j.ID}).(simulator.Job).Counts; got.InProgress != 1 {
			t.Errorf("%+v: something was done that is not stored", got)
		}
		r.store.fail(nil)
		time.Sleep(10 * time.Second)
		if got := r.do(simulator.FindJob{Job: j.ID}).(simulator.Job).Counts; got.Failed != 1 {
			t.Errorf("%+v, want the timeout", got)
		}
	})
}

// TestConflictEndsTheEngine: with someone else writing, going on would mean guessing.
func TestConflictEndsTheEngine(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { r.ended <- r.Run(ctx) }()
	r.store.fail(store.ErrConflict)
	if _, err := r.Do(t.Context(), simulator.CreateProduct{Account: "me", Name: "lamp"}); err == nil {
		t.Error("a command succeeded")
	}
	if err := <-r.ended; !errors.Is(err, store.ErrConflict) {
		t.Errorf("the engine ended with %v", err)
	}
	if err := r.happen(simulator.Online{}); !errors.Is(err, ErrStopped) {
		t.Errorf("afterwards: %v", err)
	}
	r.store.Close()
}
