package simulator

import "time"

// A batch's push rate is kept by places in time that are evenly spaced, a little
// wider than the rate asks for: MaximumPerMinute places take window + slack. A push
// may be late for its place by as much as lateness without the next one moving, so
// that an engine that wakes up a little late still reaches the rate. Two pushes of
// one window are then on places less than window + lateness apart, of which there
// are at most MaximumPerMinute (P34); the rest of the slack is for the network.
const (
	window   = 60 * time.Second
	slack    = 400 * time.Millisecond // 99.3 % of the rate
	lateness = 200 * time.Millisecond
)

// pace says whether a push may go out at now, all in nanoseconds since 1970, when the
// next free place is next; and which place is the next free one then.
//
// A place that is further ahead than any can be means that the clock was set back.
func pace(next int64, perMinute int, now int64) (int64, bool) {
	width := int64(window+slack) / int64(max(perMinute, 1))
	if next > now+2*width {
		next = now + width
	}
	if now < next {
		return next, false
	}
	if next == 0 {
		next = now // the first one
	}
	next = max(next, now-int64(lateness))
	return next + width, true
}
