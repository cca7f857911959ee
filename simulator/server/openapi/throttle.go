package openapi

import (
	"net/http"
	"sync"
	"time"
)

// throttle bounds the calls of each access key: at most rate in a second on average, and
// twice that at once. Only verified requests get here, so that there are no more entries
// than keys.
type throttle struct {
	mu   sync.Mutex
	rate int // 0: no bound
	full map[string]time.Time
}

func newThrottle(rate int) *throttle { return &throttle{rate: rate, full: map[string]time.Time{}} }

// take takes one call, or says that the key must go slower. full is when the key's
// allowance will be whole again: each call moves it by the time that one call takes.
func (t *throttle) take(key string, now time.Time) *Fault {
	if t.rate == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	one := time.Second / time.Duration(t.rate)
	next := t.full[key]
	if next.Before(now) || next.After(now.Add(time.Hour)) { // the clock was set back
		next = now
	}
	if next = next.Add(one); next.Sub(now) > 2*time.Second {
		return gateway(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control: the access key may make %d calls a second.", t.rate)
	}
	t.full[key] = next
	return nil
}
