package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/platform/watchdog"
)

// A watchdog is kept quiet by the agent's own work, not by a ticker: an agent that
// hangs is restarted by systemd, and a machine that hangs by its hardware.

// lifeWindow is how long the agent may go without a sign of life: the longest of the
// steps that have limits of their own, a health check, an hour of a script, and a good
// deal more than reading back a slot takes.
func lifeWindow(h healthConfig) time.Duration {
	return time.Duration(h.Timeout) + time.Hour + 10*agent.AliveEvery
}

// systemdDog is the watchdog of systemd.
type systemdDog struct{}

// Kick implements watchdog.Kicker.
func (systemdDog) Kick() error {
	notify(daemon.SdNotifyWatchdog)
	return nil
}

// dogs are what watches over the service.
type dogs struct {
	health healthConfig
	keeper *watchdog.Keeper
	device *watchdog.Device // nil without one
	log    *slog.Logger

	cancel context.CancelFunc // ends those who kick
	kicks  sync.WaitGroup
	once   sync.Once // of end
}

func newDogs(h healthConfig, log *slog.Logger) (*dogs, error) {
	keeper, err := watchdog.NewKeeper(lifeWindow(h), time.Now())
	return &dogs{health: h, keeper: keeper, log: log, cancel: func() {}}, err
}

// watch arms the watchdogs. They are ended with end.
func (d *dogs) watch() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	if timeout, err := daemon.SdWatchdogEnabled(false); err == nil && timeout > 0 {
		d.keep(ctx, systemdDog{}, timeout)
	}
	if d.health.Watchdog == "" {
		return nil
	}
	if d.device, err = watchdog.Open(d.health.Watchdog); err != nil {
		return exitf(exitConfig, "health.watchdog", "%w (name the machine's watchdog, which nobody else holds, or remove the key)", err)
	}
	timeout, err := d.device.SetTimeout(time.Duration(d.health.WatchdogTimeout))
	if err != nil {
		d.log.Warn("the watchdog's timeout cannot be set, its own counts", "err", err)
		if timeout, err = d.device.Timeout(); err != nil {
			timeout = time.Duration(d.health.WatchdogTimeout)
		}
	}
	d.keep(ctx, d.device, timeout)
	return nil
}

// keep kicks one of them for as long as the agent lives.
func (d *dogs) keep(ctx context.Context, k watchdog.Kicker, timeout time.Duration) {
	d.kicks.Go(func() {
		if err := d.keeper.Run(ctx, k, timeout); err != nil {
			d.log.Error("the watchdog cannot be kept quiet", "err", err)
		}
	})
}

// alive is the agent's sign of life.
func (d *dogs) alive() { d.keeper.Alive(time.Now()) }

// end is that of the service, once. Before a restart of the machine the hardware goes on:
// it watches over the restart, and over the start of what is on trial.
func (d *dogs) end(restart bool) { d.once.Do(func() { d.leave(restart) }) }

func (d *dogs) leave(restart bool) {
	d.cancel()
	d.kicks.Wait()
	if d.device == nil {
		return
	}
	do := d.device.Disarm
	if restart {
		do = d.device.Leave
	}
	if err := do(); err != nil && !errors.Is(err, watchdog.ErrStops) {
		d.log.Warn("the watchdog", "err", err)
	}
}
