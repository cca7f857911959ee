package simulator

import "time"

// recent counts what a job has pushed in each second of the last minute. It is not
// stored: after a restart it begins with nothing.
type recent struct {
	until int64 // the second that the newest count is of
	n     [int(window / time.Second)]int
}

// to forgets what is older than a minute at now.
func (r *recent) to(now Stamp) {
	second := int64(now) / 1000
	if second < r.until || second-r.until >= int64(len(r.n)) { // the clock was set back, or nothing is left
		*r = recent{until: second}
		return
	}
	for ; r.until < second; r.until++ {
		r.n[(r.until+1)%int64(len(r.n))] = 0
	}
}

func (r *recent) note(now Stamp) {
	r.to(now)
	r.n[r.until%int64(len(r.n))]++
}

func (r *recent) sum(now Stamp) (n int) {
	r.to(now)
	for _, k := range r.n {
		n += k
	}
	return n
}

// FindPushRate says how many devices a job has pushed to in the last minute, to be held
// against the rate that it may push at now (P34). Result: PushRate.
type FindPushRate struct{ Job string }

// PushRate is in devices a minute. Limit is that of now: a variable rate grows.
type PushRate struct{ LastMinute, Limit int }

func (cmd FindPushRate) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.job(cmd.Job)
	if err != nil {
		return nil, err
	}
	rate := PushRate{Limit: j.rate()}
	if j.recent != nil {
		rate.LastMinute = j.recent.sum(now)
	}
	return rate, nil
}
