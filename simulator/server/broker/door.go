package broker

import (
	"sync"
	"time"

	"github.com/leapslot/ota"
)

// door bounds how often a device is let in (protocol section 1: 5 times a minute on
// the platform). Only what would have been let in is counted: a stranger cannot lock
// a device out, and a device in a loop gets in as soon as it may.
type door struct {
	limit int // a minute; 0: none

	mu    sync.Mutex
	seen  map[ota.Device][]time.Time // of the last minute, oldest first
	swept time.Time
}

func (d *door) allow(dev ota.Device, now time.Time) bool {
	if d.limit == 0 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.swept) >= time.Minute {
		for dev, times := range d.seen {
			if now.Sub(times[len(times)-1]) >= time.Minute {
				delete(d.seen, dev)
			}
		}
		d.swept = now
	}
	times := d.seen[dev]
	for len(times) > 0 && now.Sub(times[0]) >= time.Minute {
		times = times[1:]
	}
	if len(times) >= d.limit {
		d.seen[dev] = times
		return false
	}
	d.seen[dev] = append(times[:len(times):len(times)], now)
	return true
}
