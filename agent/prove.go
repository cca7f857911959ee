package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLater is what a health check, a restart command or an installer wraps to be
// asked again in a moment, which goes on until its time is up.
var ErrLater = errors.New("not now, later")

// laterPause is the time between two questions of one that said [ErrLater].
const laterPause = 5 * time.Second

var errUnhealthy = errors.New("the time for the health check is up")

// prove finds out whether the system on trial is well. First of all it must be
// the one that was installed.
func (a *Agent) prove(ctx context.Context, u *Update) error {
	if a.running.Name() != u.Target {
		return fmt.Errorf("slot %s did not stay: the boot loader came back to slot %s", u.Target, a.running.Name())
	}
	if a.system.ReadVersion != nil && a.versions[a.system.Name] != u.Notice.Version {
		return fmt.Errorf("the new system says that it is version %q, announced was %s", a.versions[a.system.Name], u.Notice.Version)
	}
	return a.healthy(ctx, u, func(ctx context.Context) error {
		if a.cfg.Health != nil {
			if err := a.insist(ctx, a.cfg.Health); err != nil {
				return fmt.Errorf("the new system is not healthy: %w", err)
			}
		}
		if u.Bundle != nil && u.Bundle.Offline {
			return nil // it worked without the cloud before
		}
		return a.reach(ctx)
	})
}

// healthy bounds a health check by HealthTimeout, and lets a person's word count
// in its place.
func (a *Agent) healthy(ctx context.Context, u *Update, check func(context.Context) error) error {
	ctx, stop := context.WithTimeoutCause(ctx, a.cfg.HealthTimeout, errUnhealthy)
	defer stop()
	ctx, said := context.WithCancelCause(ctx)
	defer said(nil)
	a.setGate(said)
	defer a.setGate(nil)
	err := check(ctx)
	if word := a.heard(); word == errCommitted {
		a.cfg.Log.Info("committed by a person's word", "health", err)
		return nil
	}
	if word := a.refused(u); word != nil {
		return word
	}
	return err
}

// refused is the word of a person who does not want the new system.
func (a *Agent) refused(u *Update) error {
	switch word := a.heard(); word {
	case ErrMarkedBad:
		a.rec.condemn(u.Notice) // durable with the stage's end
		return word
	case ErrRolledBack:
		return word
	}
	return nil
}

// insist asks until the answer is not ErrLater, or ctx ends.
func (a *Agent) insist(ctx context.Context, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if !errors.Is(err, ErrLater) {
			return err
		}
		pause := time.NewTimer(a.laterPause)
		select {
		case <-pause.C:
		case <-a.wake:
			a.obey()
		case <-ctx.Done():
		}
		pause.Stop()
		if ctx.Err() != nil {
			return fmt.Errorf("%w; asked until then, it said: %w", context.Cause(ctx), err)
		}
	}
}

// reach waits for the cloud, if that is wanted (B7).
func (a *Agent) reach(ctx context.Context) error {
	for a.cfg.HealthCloud && !a.online {
		select {
		case ev := <-a.cfg.Cloud.Events():
			a.take(ev)
		case <-a.wake:
			a.obey()
		case <-ctx.Done():
			return fmt.Errorf("the new system did not reach the cloud within %v", a.cfg.HealthTimeout)
		}
	}
	return nil
}
