package watchdog

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Kicker is what a [Keeper] keeps quiet: a [Device], or systemd's watchdog.
type Kicker interface {
	Kick() error
}

// Keeper decides whether a watchdog is kicked: only as long as the work itself
// has reported that it is alive within the window. A ticker in another goroutine
// ticks on when the work hangs; a Keeper does not. A process that hangs is
// restarted within the window and the watchdog's timeout.
//
// Times are arguments. It is safe for concurrent use.
type Keeper struct {
	window time.Duration
	mu     sync.Mutex
	last   time.Time // the last sign of life
}

// NewKeeper makes a keeper that is content for the first window from now. The
// window is the longest time that the work may take between two signs of life.
func NewKeeper(window time.Duration, now time.Time) (*Keeper, error) {
	if window <= 0 {
		return nil, fmt.Errorf("watchdog: a window of %s: want more than 0", window)
	}
	return &Keeper{window: window, last: now}, nil
}

// Alive is the sign of life. The work calls it where it makes progress, or knows
// that it rightly waits.
func (k *Keeper) Alive(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = now
}

// Content tells whether to kick the watchdog now. A clock that was set back (K2)
// costs one more window at most, and never makes it content for ever.
func (k *Keeper) Content(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.last) {
		k.last = now
	}
	return now.Sub(k.last) < k.window
}

// Run kicks the watchdog every third of its timeout while the keeper is content,
// until the context ends, and returns nil then. The watchdog is armed still: it
// is for the caller to disarm it or to leave it. A kick that fails is tried again
// until none has succeeded for the whole timeout, and then is the error.
func (k *Keeper) Run(ctx context.Context, d Kicker, timeout time.Duration) error {
	if timeout < MinTimeout {
		return fmt.Errorf("watchdog timeout %s: want %s or more", timeout, MinTimeout)
	}
	tick := time.NewTicker(timeout / 3)
	defer tick.Stop()
	good := time.Now()
	for {
		if now := time.Now(); k.Content(now) {
			err := d.Kick()
			if err == nil {
				good = now
			} else if now.Sub(good) >= timeout {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
