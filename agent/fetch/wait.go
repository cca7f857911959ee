package fetch

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// backoff is exponential with full jitter: a pause is a random part of a window
// that doubles, so that devices which failed together do not come back together.
type backoff struct{ min, max time.Duration }

// next is the pause after so many failures in a row, the first being 1.
func (b backoff) next(failures int) time.Duration {
	window := b.min
	for i := 1; i < failures && window < b.max; i++ {
		window *= 2
	}
	return rand.N(min(window, b.max) + 1)
}

// sleep waits, or ends early with the context's cause.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter reads how long a server wants to be left alone: seconds, or a
// date. A date is compared with the server's own clock where it tells it,
// because a device's may be wrong. 0 is nothing, or nothing that can be read.
func retryAfter(h http.Header, now time.Time, most time.Duration) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 63); err == nil {
		if n >= uint64(most/time.Second) {
			return most
		}
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), most)
}
