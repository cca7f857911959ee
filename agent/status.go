package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/leapslot/ota"
)

// Idle is the stage that a status shows when no update is under way.
const Idle Stage = "idle"

// Status is what the agent does now, for people and scripts to read.
type Status struct {
	Module  string            `json:"module"`  // the module that lives in the slots
	Version string            `json:"version"` // that runs
	Modules map[string]string `json:"modules"` // all of them with their versions
	Slot    string            `json:"slot"`    // that runs
	Stage   Stage             `json:"stage"`
	Percent int               `json:"percent"`
	Notice  *Announced        `json:"notice"` // what is being installed; null when idle
	Last    *Result           `json:"last"`   // how the last update ended; null when there was none
	Online  bool              `json:"online"` // the cloud was reached since the start
	Owed    int               `json:"owed"`   // messages that the cloud does not have yet
	Paused  bool              `json:"paused"` // nothing begins nor goes on before Resume
	Trial   bool              `json:"trial"`  // what is being installed runs, and is not kept yet

	// Reason is why the update under way has failed, while its end is walked to.
	Reason string `json:"reason,omitempty"`
}

// Announced is what a status says of a notice.
type Announced struct {
	Module  string `json:"module"`
	Version string `json:"version"`
	Size    int64  `json:"size"` // bytes of the package
	Diff    bool   `json:"diff"`
	Bundle  string `json:"bundle,omitempty"` // path of the file that it is installed from
}

func announced(n ota.Notice) *Announced {
	return &Announced{Module: n.Module, Version: n.Version, Size: n.TotalSize(), Diff: n.IsDiff}
}

// publish makes the present state the one that Status gives.
func (a *Agent) publish() {
	s := Status{Module: a.system.Name, Version: a.versions[a.system.Name], Modules: map[string]string{},
		Slot: a.running.Name(), Stage: Idle, Online: a.online, Owed: len(a.rec.Owed), Paused: a.rec.Paused}
	leaving := ""
	for m, v := range a.versions {
		s.Modules[m] = v
	}
	if u := a.rec.Update; u != nil {
		s.show(u, a.running.Name())
		s.Percent = a.meter.now
		if u.Fail != nil && !u.Apart && a.running.Name() == u.Target && u.Target != u.Kept && u.Stage != Report {
			leaving = u.Fail.Reason
		}
	}
	if n := len(a.rec.History); n > 0 {
		last := a.rec.History[n-1]
		s.Last = &last
	}
	history := append([]Result(nil), a.rec.History...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.history, a.leaving = s, history, leaving
	if a.changed != nil {
		close(a.changed)
	}
	a.changed = make(chan struct{})
}

// show fills in what a status says of an update.
func (s *Status) show(u *Update, running string) {
	s.Stage, s.Notice = u.Stage, announced(u.Notice)
	if u.Bundle != nil {
		s.Notice.Bundle = u.Bundle.Path
	}
	if u.Fail != nil {
		s.Reason = u.Fail.Reason
		return
	}
	switch u.Stage {
	case Switch, Reboot, Prove, Keep:
		s.Trial = running == u.Target
	}
	if u.Apart {
		s.Trial = u.Stage == Prove || u.Stage == Keep
	}
}

// Status gives what the agent does now.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// History gives how the last updates ended, the newest last.
func (a *Agent) History() []Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.history
}

// setCancel says how the stage that is walked is cancelled, nil at its end.
func (a *Agent) setCancel(c context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cancel = c
	if c == nil {
		return
	}
	for _, o := range a.orders { // one that came before it could interrupt anything
		if o.stop {
			c(errHeld)
		}
	}
}

// wished takes the wish to cancel.
func (a *Agent) wished() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.wish
	a.wish = false
	return w
}

// Cancel stops the update that is under way: it fails in the stage it is in,
// with [ErrCancelled] as its reason. [ErrIdle] when there is none, [ErrTooLate]
// once the boot loader was told to start the new system.
func (a *Agent) Cancel() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.status.Stage == Idle:
		return ErrIdle
	case !a.status.Stage.before(Switch):
		return ErrTooLate
	}
	a.wish = true
	if a.cancel != nil {
		a.cancel(ErrCancelled)
	}
	a.rouse()
	return nil
}

// errand is something that a caller wants the agent's own goroutine to do
// between two updates.
type errand struct {
	do   func(context.Context)
	done chan struct{}
}

// between runs do in the agent's goroutine and waits for its end. [ErrBusy]
// while an update is under way.
func (a *Agent) between(ctx context.Context, do func(context.Context)) error {
	e := errand{do, make(chan struct{})}
	if a.Status().Stage != Idle {
		return ErrBusy
	}
	select {
	case a.errands <- e:
	case <-ctx.Done():
		if a.Status().Stage != Idle {
			return ErrBusy
		}
		return ctx.Err()
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Check asks the cloud for an upgrade now, and gives what it announces, nil for
// nothing. What it announces is then installed. [ErrBusy] while an update is
// under way.
func (a *Agent) Check(ctx context.Context) (*Announced, error) {
	var found struct {
		notice *Announced
		err    error
	}
	if err := a.between(ctx, func(ctx context.Context) { found.notice, found.err = a.ask(ctx) }); err != nil {
		return nil, err
	}
	return found.notice, found.err
}

// Report makes the agent report the versions of all modules again. [ErrBusy]
// while an update is under way.
func (a *Agent) Report(ctx context.Context) error {
	return a.between(ctx, func(context.Context) {
		for _, m := range a.cfg.Modules {
			if v := a.versions[m.Name]; v != "" {
				a.inform(m.Name, v)
			}
		}
	})
}

// ask asks for the module in the slots, then for the others, until there is
// something to do.
func (a *Agent) ask(ctx context.Context) (*Announced, error) {
	found, err := a.askFor(ctx, a.system.Name)
	for _, m := range a.cfg.Modules {
		if m.target() != nil && found == nil && err == nil {
			found, err = a.askFor(ctx, m.Name)
		}
	}
	return found, err
}

// askFor asks for one module and waits for the answer.
func (a *Agent) askFor(ctx context.Context, module string) (*Announced, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := a.cfg.Cloud.Send(ctx, ota.TopicGet, ota.Get{ID: a.id(), Module: module}.Encode()); err != nil {
		return nil, fmt.Errorf("the cloud cannot be asked: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the cloud did not answer within %v", askTimeout)
		case ev := <-a.cfg.Cloud.Events():
			a.take(ev)
			if ev.Kind != ota.TopicGetReply {
				continue
			}
			n, _, err := ota.DecodeNotice(ev.Payload)
			switch {
			case errors.Is(err, ota.ErrNothing):
				return nil, nil
			case err != nil:
				return nil, err
			case n.Version == a.versions[n.Module]:
				return nil, nil
			}
			return announced(n), nil
		}
	}
}
