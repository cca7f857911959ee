package agent

import (
	"context"
	"errors"
	"fmt"
)

// The reasons of an update that a person ended on trial.
var (
	// ErrRolledBack is the reason of one that Rollback left.
	ErrRolledBack = errors.New("rolled back on the device")
	// ErrMarkedBad is the reason of one that MarkBad left.
	ErrMarkedBad = errors.New("marked bad on the device")
)

var (
	errHeld      = errors.New("paused on the device") // a stage was interrupted, and is walked again later
	errCommitted = errors.New("committed on the device")
)

// noTrial says that a person's word has nothing to be said about. It is an
// [ErrIdle], since what is on its way has not been started yet.
type noTrial struct{}

func (noTrial) Error() string        { return "nothing is on trial" }
func (noTrial) Is(target error) bool { return target == ErrIdle }

// order is what a caller wants the agent's own goroutine to do between two stages.
type order struct {
	do   func() error
	stop bool // the stage that is walked is interrupted for it, if it can be
	err  error
	done chan struct{}
}

// order has something done and waits for its end. When ctx ends first, it is not
// done any more.
func (a *Agent) order(ctx context.Context, stop bool, do func() error) error {
	o := &order{do: do, stop: stop, done: make(chan struct{})}
	a.mu.Lock()
	a.orders = append(a.orders, o)
	if stop && a.cancel != nil {
		a.cancel(errHeld)
	}
	a.mu.Unlock()
	a.rouse()
	select {
	case <-o.done:
		return o.err
	case <-a.ended:
	case <-ctx.Done():
	}
	if !a.withdraw(o) {
		<-o.done // it is being done at this moment
		return o.err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ErrStopped
}

// withdraw takes an order back, if nobody has begun with it.
func (a *Agent) withdraw(o *order) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, p := range a.orders {
		if p == o {
			a.orders = append(a.orders[:i], a.orders[i+1:]...)
			return true
		}
	}
	return false
}

// rouse ends a wait of the agent's goroutine.
func (a *Agent) rouse() {
	select {
	case a.wake <- struct{}{}:
	default: // it has been roused, and has not looked yet
	}
}

// obey does what callers have ordered.
func (a *Agent) obey() {
	for {
		a.mu.Lock()
		if len(a.orders) == 0 {
			a.mu.Unlock()
			return
		}
		o := a.orders[0]
		a.orders = a.orders[1:]
		a.mu.Unlock()
		func() {
			defer close(o.done)
			o.err = o.do()
		}()
	}
}

// held reports whether the update that is under way waits for Resume.
func (a *Agent) held() bool {
	if !a.rec.Paused || !a.rec.Update.Stage.before(Switch) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.wish // a cancelled one is walked to its end
}

// Pause stops what is being fetched, verified or written; it goes on at Resume
// from its last checkpoint. Nothing new begins meanwhile, also after a restart.
// What the boot loader was told to start already goes to its end: a trial does
// not wait. Pause returns nil when it is recorded, which during a health check
// is after it, and ctx's error when that took too long: then nothing is paused.
func (a *Agent) Pause(ctx context.Context) error {
	return a.order(ctx, true, func() error { return a.setPaused(true) })
}

// Resume ends a pause.
func (a *Agent) Resume(ctx context.Context) error {
	return a.order(ctx, false, func() error { return a.setPaused(false) })
}

func (a *Agent) setPaused(p bool) error {
	if a.rec.Paused == p {
		return nil
	}
	a.rec.Paused = p
	if err := a.save(); err != nil {
		a.rec.Paused = !p
		return err
	}
	a.cfg.Log.Info("paused", "paused", p)
	return nil
}

// Commit ends a trial well: the caller's word counts instead of the health check
// that still waits. It returns when the new system is kept. [ErrIdle] when
// nothing is on trial.
func (a *Agent) Commit(ctx context.Context) error {
	why, err := a.say(ctx, errCommitted)
	if err == nil && why != nil {
		err = fmt.Errorf("the trial failed: %w", why)
	}
	return err
}

// Rollback ends a trial badly: the system that was kept is started again, and -1
// is reported with [ErrRolledBack] as its reason. It returns when that is
// recorded. [ErrIdle] when nothing is on trial, [ErrTooLate] when the new
// system was kept at this moment.
func (a *Agent) Rollback(ctx context.Context) error { return a.leaveBy(ctx, ErrRolledBack) }

// MarkBad is Rollback with [ErrMarkedBad]; in addition this package is never
// tried again on this device, however often it is announced.
func (a *Agent) MarkBad(ctx context.Context) error { return a.leaveBy(ctx, ErrMarkedBad) }

func (a *Agent) leaveBy(ctx context.Context, word error) error {
	why, err := a.say(ctx, word)
	if err == nil && why == nil {
		err = ErrTooLate
	}
	return err
}

// MarkGood waits until the running system is kept: at once when it is not on
// trial, after making sure with the boot loader. Its error says why the trial
// failed, or is ctx's.
func (a *Agent) MarkGood(ctx context.Context) error {
	a.mu.Lock()
	trial := a.status.Trial && a.status.Notice.Module == a.system.Name
	a.mu.Unlock()
	if !trial {
		return a.keepRunning()
	}
	why, err := a.trialEnds(ctx)
	if err == nil && why != nil {
		err = fmt.Errorf("the trial failed: %w", why)
	}
	return err
}

// keepRunning tells the boot loader to stay with what runs, unless another slot
// was chosen to be tried next, or this one is being left.
func (a *Agent) keepRunning() error {
	a.boot.Lock()
	defer a.boot.Unlock()
	a.mu.Lock()
	s, leaving := a.status, a.leaving
	a.mu.Unlock()
	switch {
	case leaving != "":
		return fmt.Errorf("the trial failed: %s", leaving)
	case s.Stage == Idle, s.Stage.before(Switch), s.Notice.Module != s.Module:
		return a.cfg.Boot.Keep()
	}
	return nil // the kept system runs: another one is tried next, or has just been left
}

// say gives a person's word to whoever waits for the new system's health, and
// waits for the end of the trial: why it was left, nil when it was kept.
func (a *Agent) say(ctx context.Context, word error) (why, err error) {
	a.mu.Lock()
	if !a.status.Trial {
		a.mu.Unlock()
		return nil, noTrial{}
	}
	a.word = word
	if a.gate != nil {
		a.gate(word)
	}
	a.mu.Unlock()
	return a.trialEnds(ctx)
}

// trialEnds waits until nothing is on trial any more: why it was left, nil when
// it was kept. err says that this is not known.
func (a *Agent) trialEnds(ctx context.Context) (why, err error) {
	for {
		a.mu.Lock()
		s, changed := a.status, a.changed
		a.mu.Unlock()
		switch {
		case s.Trial:
		case s.Reason != "":
			return errors.New(s.Reason), nil
		case s.Stage == Idle && s.Last != nil && s.Last.Step.Failed():
			return errors.New(s.Last.Reason), nil
		default:
			return nil, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-a.ended:
			return nil, ErrStopped
		}
	}
}

// heard is a person's word that came where nobody waited for it.
func (a *Agent) heard() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.word
}

// setGate says how the wait for the new system's health is ended, nil at its end.
func (a *Agent) setGate(c context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gate = c
	if c != nil && a.word != nil {
		c(a.word)
	}
}
