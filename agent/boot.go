package agent

import (
	"context"
	"fmt"

	"github.com/leapslot/ota"
)

// switchSlot tells the boot loader to try the target slot. When that was done
// before a power cut, the target runs already.
func (a *Agent) switchSlot(_ context.Context, u *Update) error {
	u.BootID = a.cfg.BootID
	if a.running.Name() == u.Target {
		return nil
	}
	if err := a.tryBoot(u.Target); err != nil {
		return fmt.Errorf("the boot loader cannot be told to try slot %s: %w", u.Target, err)
	}
	return nil
}

// reboot restarts the machine, once. Another boot than the one of the switch
// that runs another slot than the target is the boot loader's word that the
// target did not start (B5, B11, W7).
func (a *Agent) reboot(ctx context.Context, u *Update) error {
	switch {
	case a.running.Name() == u.Target:
		return nil
	case a.cfg.BootID != u.BootID:
		return fmt.Errorf("slot %s did not start: the boot loader came back to slot %s", u.Target, a.running.Name())
	}
	a.progress(u, restartPercent)
	return a.restart(ctx)
}

func (a *Agent) restart(ctx context.Context) error {
	a.cfg.Log.Info("restarting the machine")
	if err := a.cfg.Power.Reboot(ctx); err != nil {
		return fmt.Errorf("the machine cannot be restarted: %w", err)
	}
	return ErrReboot
}

// tryBoot and keepBoot are the boot loader's verbs, for one caller at a time:
// MarkGood calls it too.
func (a *Agent) tryBoot(slot string) error {
	a.boot.Lock()
	defer a.boot.Unlock()
	return a.cfg.Boot.Try(slot)
}

func (a *Agent) keepBoot() error {
	a.boot.Lock()
	defer a.boot.Unlock()
	return a.cfg.Boot.Keep()
}

func (a *Agent) keep(_ context.Context, u *Update) error {
	if err := a.refused(u); err != nil {
		return err // the last moment at which a person's word can come
	}
	if err := a.keepBoot(); err != nil {
		return fmt.Errorf("the boot loader cannot be told to keep slot %s: %w", a.running.Name(), err)
	}
	a.raise(u)
	return nil
}

// leave gives up what is left of the trial. When even that fails the way goes
// on all the same: the boot loader's counter leads back.
func (a *Agent) leave(_ context.Context, u *Update) error {
	return a.tryBoot(u.Kept)
}

// comeBack restarts the machine until the kept system runs.
func (a *Agent) comeBack(ctx context.Context, u *Update) error {
	if a.running.Name() == u.Kept {
		return nil
	}
	return a.restart(ctx)
}

func (a *Agent) settle(context.Context, *Update) error { return a.keepBoot() }

// report turns the update into what is owed to the cloud: a failure is its
// negative step, then the version when this boot has not reported it yet;
// success is 100, then the new version. It is one save, so that a power cut
// leaves either the update or the debt.
func (a *Agent) report(_ context.Context, u *Update) error {
	n := u.Notice
	res := Result{Time: a.now(), Module: n.Module, From: u.From, Version: n.Version, Step: ota.StepDone}
	if u.Fail != nil {
		res.Step, res.Reason = u.Fail.Step, u.Fail.Reason
	} else {
		a.rec.forget(n.Module)
	}
	a.cfg.Log.Info("update ended", "module", n.Module, "to", n.Version, "step", int(res.Step), "reason", res.Reason)
	a.rec.Update = nil
	a.rec.remember(res)
	a.owe(a.progressMessage(n.Module, res.Step, res.Reason))
	if v := a.versions[n.Module]; v != "" {
		a.informDue(n.Module, v)
	}
	a.save()
	if t := a.target(u); t != nil {
		if err := t.inbox().drop(); err != nil {
			a.cfg.Log.Warn("what came cannot be removed", "err", err)
		}
	}
	if err := a.cfg.Spool.Truncate(0); err != nil {
		a.cfg.Log.Warn("the spool cannot be emptied", "err", err)
	}
	return nil
}
