package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/leapslot/ota"
)

// maxStalls is how often an update may be taken up again without any progress
// in between before it is given up: a stage that brings the device down each
// time must not do so for ever (W5).
const maxStalls = 10

// resume counts that an unfinished update is taken up again.
func (a *Agent) resume() error {
	u := a.rec.Update
	if u == nil {
		return nil
	}
	r, known := a.row(u)
	if !a.held() { // while it is paused it is not the device's fault that nothing comes of it
		u.Stalls++
	}
	if u.Grant == nil { // before Trust, or the record of an older agent, which could not check more than it did
		u.Grant = &grant{}
		if Trust.before(u.Stage) && u.Stage.before(Switch) {
			u.Stage = Trust
		}
	}
	a.meter.now = u.percent(max(u.Mark.In, u.Mark.Spooled))
	if !u.Stage.before(Switch) {
		a.meter.now = restartPercent
	}
	a.cfg.Log.Info("update goes on", "module", u.Notice.Module, "to", u.Notice.Version, "stage", u.Stage, "interruptions", u.Stalls)
	switch {
	case u.Apart && a.target(u) == nil:
		u.Fail = &Failure{ota.StepUpgradeFailed, fmt.Sprintf("module %s has no place to live any more: see [[module]]", u.Notice.Module)}
		u.Stage = Report
	case known && u.Apart && u.Stalls > maxStalls && !u.Stage.before(Switch) && u.Stage != Report:
		if u.Fail == nil {
			u.Fail = &Failure{r.fails, fmt.Sprintf("interrupted %d times in a row while at %s", u.Stalls, u.Stage)}
		}
		u.Stage = r.then
	case known && !u.Apart && u.Stage.before(Switch) && (u.Kept != a.running.Name() || u.Target != a.spare.Name()):
		// Somebody switched slots in between: what was the spare slot may be the
		// one that runs now.
		u.Fail = &Failure{ota.StepUpgradeFailed, fmt.Sprintf("it began in slot %s, now slot %s runs", u.Kept, a.running.Name())}
		u.Stage = Report
	case !known:
		return fmt.Errorf("the record is at the stage %q, which this agent does not know: install the agent that wrote it", u.Stage)
	case u.Stalls > maxStalls && u.Stage.before(Switch):
		u.Fail = &Failure{r.fails, fmt.Sprintf("interrupted %d times in a row while at %s", u.Stalls, u.Stage)}
		u.Stage = r.then
	case u.Stalls > maxStalls && u.Stage == Return:
		u.Fail.Reason += fmt.Sprintf("; slot %s could not be left in %d boots", u.Target, u.Stalls)
		u.Stage = Report
	}
	a.save() // if that fails, so will the next one, in walk
	return nil
}

// walk goes through the corridor until there is no update, or it is paused, the
// machine restarts, or ctx ends.
func (a *Agent) walk(ctx context.Context) error {
	for a.obey(); a.rec.Update != nil && !a.held(); a.obey() {
		u := a.rec.Update
		r, ok := a.row(u)
		if !ok {
			return fmt.Errorf("no stage %q", u.Stage)
		}
		a.cfg.Log.Debug("stage", "stage", u.Stage)
		err := a.do(ctx, r, u)
		switch {
		case errors.Is(err, ErrReboot):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case err == errHeld: // somebody ordered something in between
			continue
		case a.rec.Update == nil: // reported
			return nil
		case err != nil:
			a.fail(u, r, err)
		default:
			u.Stage, u.Stalls = r.next, 0
		}
		if err := a.save(); err != nil && u.Fail == nil {
			// A stage that is not recorded was not walked: nothing later may
			// rely on it (S7).
			u.Fail = &Failure{ota.StepUpgradeFailed, err.Error()}
			u.Stage = r.then
		}
	}
	return nil
}

// do walks one stage. Stages before the switch can be cancelled, and the switch
// itself until it is walked.
func (a *Agent) do(ctx context.Context, r row, u *Update) error {
	if a.wished() && (r.stage.before(Switch) || r.stage == Switch) {
		return ErrCancelled
	}
	if !r.stage.before(Switch) {
		return r.do(a, ctx, u)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.setCancel(cancel)
	defer a.setCancel(nil)
	err := r.do(a, ctx, u)
	switch {
	case a.wished():
		return ErrCancelled
	case err != nil && context.Cause(ctx) == errHeld:
		return errHeld
	}
	return err
}

func (a *Agent) fail(u *Update, r row, err error) {
	a.cfg.Log.Warn("stage failed", "stage", u.Stage, "err", err)
	if u.Fail == nil {
		u.Fail = &Failure{r.fails, err.Error()}
	}
	u.Stage = r.then
}
