package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform"
)

// Errors that callers act on.
var (
	// ErrReboot is what Run returns when the machine restarts, or is to be
	// started again by its supervisor.
	ErrReboot = errors.New("the machine restarts")
	// ErrBusy means that an update is under way.
	ErrBusy = errors.New("an update is under way")
	// ErrIdle means that no update is under way.
	ErrIdle = errors.New("no update is under way")
	// ErrTooLate means that the new system is already chosen: it can be rolled
	// back, but no longer cancelled.
	ErrTooLate = errors.New("too late to cancel: the boot loader was told to start the new system")
	// ErrCancelled is the reason of an update that Cancel stopped.
	ErrCancelled = errors.New("cancelled on the device")
	// ErrStopped means that the agent is not running.
	ErrStopped = errors.New("the agent is not running")
)

// Agent walks one device through its updates. Make one with New and run it once.
type Agent struct {
	cfg      Config
	rec      record
	system   Module // the module that lives in the slots
	running  platform.Slot
	spare    platform.Slot
	versions map[string]string // by module: what runs now, as far as it is known

	online  bool         // the cloud was reached since the start
	unsure  bool         // what is in the queue may be answered by what was owed
	queue   []ota.Notice // taken from the cloud while something else was done, the newest last
	nextID  int64
	meter   meter
	errands chan errand
	wake    chan struct{} // somebody has ordered something
	ended   chan struct{} // closed when Run returns

	checkpointBytes int64         // the constant; smaller in tests that cut at each of them
	laterPause      time.Duration // the same

	boot sync.Mutex // held while the boot loader is told something

	mu      sync.Mutex // guards what follows
	status  Status
	history []Result
	cancel  context.CancelCauseFunc // of the stage that is being walked; nil when it cannot be cancelled
	wish    bool                    // Cancel was called
	orders  []*order                // not begun yet
	word    error                   // of a person about the system on trial
	gate    context.CancelCauseFunc // ends the wait for that system's health; nil while nobody waits
	leaving string                  // why the running system, which failed on trial, is being left
	changed chan struct{}           // closed when status changes
}

// New reads the record and finds out which slot runs. It fails when the
// configuration cannot work, when the boot loader does not say what runs, and
// when the record is of a newer agent. A record that is damaged beyond use is
// replaced by an empty one, which is logged: the device is then idle.
func New(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	a := &Agent{cfg: cfg, versions: map[string]string{}, nextID: firstMessageID(), errands: make(chan errand),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{}),
		checkpointBytes: checkpointBytes, laterPause: laterPause}
	for _, m := range cfg.Modules {
		if m.system() {
			a.system = m
		}
	}
	name, err := cfg.Boot.Running()
	if err != nil {
		return nil, fmt.Errorf("the boot loader does not say which slot runs: %w", err)
	}
	switch name {
	case cfg.Slots[0].Name():
		a.running, a.spare = cfg.Slots[0], cfg.Slots[1]
	case cfg.Slots[1].Name():
		a.running, a.spare = cfg.Slots[1], cfg.Slots[0]
	default:
		return nil, fmt.Errorf("the boot loader runs slot %q, configured are %q and %q", name, cfg.Slots[0].Name(), cfg.Slots[1].Name())
	}
	if err := a.load(); err != nil {
		return nil, err
	}
	a.publish()
	return a, nil
}

// load reads the record, or starts an empty one and says so.
func (a *Agent) load() error {
	rec, err := loadRecord(a.cfg.Store)
	a.rec = rec
	if errors.Is(err, errNewerRecord) {
		return err
	}
	if err != nil {
		a.cfg.Log.Error("the record is lost, the device is idle; an update that was under way starts over when the cloud sends it again", "err", err)
		a.rec = record{Format: recordFormat}
	}
	return nil
}

// Run walks an unfinished update to its end, then waits for the cloud and for
// what callers ask, until ctx ends (nil), the machine restarts ([ErrReboot]) or
// the agent cannot go on.
func (a *Agent) Run(ctx context.Context) error {
	defer close(a.ended)
	a.readVersions(ctx)
	a.raiseCounter()
	if err := a.resume(); err != nil {
		return err
	}
	for {
		if err := a.walk(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		a.finish(ctx)
		if n, ok := a.next(); ok {
			a.begin(n, nil)
			continue
		}
		if err := a.wait(ctx); err != nil {
			return nil
		}
	}
}

// wait does the next thing that comes from outside. Its error is ctx's.
func (a *Agent) wait(ctx context.Context) error {
	a.alive()
	var sign <-chan time.Time
	if a.cfg.Alive != nil {
		t := time.NewTimer(AliveEvery)
		defer t.Stop()
		sign = t.C
	}
	var retry <-chan time.Time
	if len(a.rec.Owed) > 0 {
		t := time.NewTimer(owedRetry)
		defer t.Stop()
		retry = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case ev := <-a.cfg.Cloud.Events():
		a.take(ev)
	case e := <-a.errands:
		e.do(ctx)
		close(e.done)
	case <-a.wake:
		a.obey()
	case <-retry:
	case <-sign:
	}
	return nil
}

// alive is a sign of life.
func (a *Agent) alive() {
	if a.cfg.Alive != nil {
		a.cfg.Alive()
	}
}

// take keeps what an event says; nothing is acted on here.
func (a *Agent) take(ev ota.Event) {
	switch ev.Kind {
	case 0:
		a.online = true
		a.informAll()
		a.publish()
	case ota.TopicUpgrade, ota.TopicGetReply:
		n, _, err := ota.DecodeNotice(ev.Payload)
		switch {
		case err == nil:
			a.enqueue(n)
		case errors.Is(err, ota.ErrNothing):
		default:
			a.refuse(n, err)
		}
	}
}

// enqueue keeps the newest notice of each module.
func (a *Agent) enqueue(n ota.Notice) {
	for i := range a.queue {
		if a.queue[i].Module == n.Module {
			a.queue = append(a.queue[:i], a.queue[i+1:]...)
			break
		}
	}
	a.queue = append(a.queue, n)
	if len(a.queue) > maxTried {
		a.queue = a.queue[1:]
	}
}

// drain takes what has come without waiting.
func (a *Agent) drain() {
	for {
		select {
		case ev := <-a.cfg.Cloud.Events():
			a.take(ev)
		default:
			return
		}
	}
}

// refuse reports a notice that cannot be acted on: once, since it is the cloud
// that decides whether it sends it again. Without a module and a version it
// names no task, and is only logged.
func (a *Agent) refuse(n ota.Notice, err error) {
	a.cfg.Log.Warn("notice refused", "module", n.Module, "version", n.Version, "err", err)
	if ota.CheckModule(n.Module) != nil || n.Version == "" {
		return
	}
	if u := a.rec.Update; a.unsure || u != nil && u.Notice.Module == n.Module {
		return // a failure now would be taken for that of the update under way, or just ended
	}
	a.owe(a.progressMessage(n.Module, ota.StepUpgradeFailed, "notice refused: "+err.Error()))
}

// skipInstalled drops the notices of versions that run already: such a version
// is reported, which settles the cloud's task (I6).
func (a *Agent) skipInstalled() {
	kept := a.queue[:0]
	for _, n := range a.queue {
		if v := a.versions[n.Module]; v == "" || v != n.Version {
			kept = append(kept, n)
			continue
		}
		a.cfg.Log.Info("already installed", "module", n.Module, "version", n.Version)
		a.inform(n.Module, n.Version)
	}
	a.queue = kept
}

// next takes the notice to act on from the queue, once the cloud has all that
// it is owed: a result that came later would be taken for that of the new update.
func (a *Agent) next() (n ota.Notice, ok bool) {
	if len(a.rec.Owed) > 0 || len(a.queue) == 0 || a.rec.Paused || a.rec.Update != nil {
		return n, false
	}
	n, a.queue = a.queue[0], a.queue[1:]
	return n, true
}

// begin enters the corridor; from is where the package lies when it does not
// come from the cloud.
func (a *Agent) begin(n ota.Notice, from *bundle) {
	a.cfg.Log.Info("update begins", "module", n.Module, "from", a.versions[n.Module], "to", n.Version,
		"bytes", n.TotalSize(), "patch", n.IsDiff)
	a.rec.Update = &Update{Notice: n, From: a.versions[n.Module], Stage: Accept, Bundle: from,
		Target: a.spare.Name(), Kept: a.running.Name()}
	if u := a.rec.Update; a.target(u) != nil {
		u.Apart, u.Target, u.Kept = true, "", ""
		if m, _ := a.module(n.Module); m.Folder != nil {
			u.Kept, _ = m.Folder.Version() // a link that cannot be read leads nowhere: there is nothing to return to
		}
	}
	a.meter = meter{}
	a.mu.Lock()
	a.wish, a.word = false, nil // what came too late for the update before
	a.mu.Unlock()
	if err := a.save(); err != nil {
		a.rec.Update.Fail = &Failure{ota.StepUpgradeFailed, err.Error()}
		a.rec.Update.Stage = Report
	}
}

// save writes the record. What cannot be recorded cannot be survived: callers
// that are in the middle of an update fail it.
func (a *Agent) save() error {
	a.alive()
	defer a.publish()
	if err := a.cfg.Store.Save(a.rec.encode()); err != nil {
		a.cfg.Log.Error("the record cannot be saved", "err", err)
		return fmt.Errorf("the state cannot be saved: %w", err)
	}
	return nil
}

// readVersions finds out what runs: asked from the system where that is
// configured, else what the agent installed, else what the factory did.
func (a *Agent) readVersions(ctx context.Context) {
	for _, m := range a.cfg.Modules {
		a.readVersion(ctx, m)
	}
	a.publish()
}

func (a *Agent) readVersion(ctx context.Context, m Module) {
	if m.ReadVersion != nil {
		v, err := m.ReadVersion(ctx)
		if err == nil {
			err = ota.CheckVersion(v)
		}
		if err != nil {
			a.cfg.Log.Error("the version of a module cannot be read; it is not reported", "module", m.Name, "err", err)
			return
		}
		a.versions[m.Name] = v
		return
	}
	a.versions[m.Name] = a.installed(m)
	if im, ok := a.rec.Images[a.running.Name()]; ok && im.Version != "" && m.Name == a.system.Name {
		a.versions[m.Name] = im.Version
	}
}
