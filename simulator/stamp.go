package simulator

import "time"

// Stamp is a moment in milliseconds since 1970, UTC. 0 is never.
type Stamp int64

// At gives the stamp of a time; the zero time is never.
func At(t time.Time) Stamp {
	if t.IsZero() {
		return 0
	}
	return Stamp(t.UnixMilli())
}

// Time gives the moment as a time in UTC; never is the zero time.
func (s Stamp) Time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(s)).UTC()
}

// Add gives the moment d later.
func (s Stamp) Add(d time.Duration) Stamp { return s + Stamp(d.Milliseconds()) }

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }
