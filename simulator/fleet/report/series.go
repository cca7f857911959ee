package report

import (
	"time"
)

// maxBuckets is how many points a series has at most; a longer run is told in
// steps of 2, 4, ... seconds.
const maxBuckets = 7200

// trended are the measures whose trend over time is kept.
var trended = [...]Measure{Connect, NoticeToByte, NoticeToSuccess, Lateness}

// series is what happened in each step of time.
type series struct {
	step     int // seconds, a power of two
	states   [states][]int64
	counters [counters][]int64
	trends   [len(trended)][]trend
	cpu      []float64
	sockets  []int64
	memory   []int64
}

// trend is pairs of step and count.
type trend []int64

// seen is what the last tick saw, to tell what is new.
type seen struct {
	at, first time.Time
	firstCPU  time.Duration
	busySince time.Time
	lateSince time.Time
	markedAt  time.Time // when connections were last lost in a crowd
	counters  [counters]int64
	trends    [len(trended)][trendSize]int64
}

func (s *series) len() int { return len(s.cpu) }

// Tick closes the bucket of time that ends now. Run calls it each second; tests
// with a clock of their own call it themselves, with times that grow.
func (r *Recorder) Tick(now time.Time, sample Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchLost(now)
	fresh := r.close(now, r.watch(now, sample), sample)
	r.watchLate(now, fresh)
}

// close puts what is new into the bucket that ends now, and gives how late the
// generator was since the last time. r.mu is held.
func (r *Recorder) close(now time.Time, share float64, sample Sample) (late trend) {
	r.seen.at = now
	s := &r.series
	at := s.place(now.Sub(r.began))
	for at >= maxBuckets {
		s.halve()
		at = s.place(now.Sub(r.began))
	}
	for s.len() <= at {
		s.grow()
	}
	return s.take(r, at, share, sample)
}

// place is the bucket that ends then: a tick that is a little late is of the
// second before it.
func (s *series) place(since time.Duration) int {
	return max(int((since-time.Second/2)/(time.Duration(s.step)*time.Second)), 0)
}

// grow adds a bucket: what is counted begins with 0, what is a level goes on.
func (s *series) grow() {
	for i := range s.states {
		s.states[i] = append(s.states[i], last(s.states[i]))
	}
	for i := range s.counters {
		s.counters[i] = append(s.counters[i], 0)
	}
	for i := range s.trends {
		s.trends[i] = append(s.trends[i], nil)
	}
	s.cpu = append(s.cpu, 0)
	s.sockets = append(s.sockets, 0)
	s.memory = append(s.memory, 0)
}

func last[T any](all []T) (v T) {
	if len(all) > 0 {
		v = all[len(all)-1]
	}
	return v
}

func (s *series) take(r *Recorder, at int, share float64, sample Sample) (late trend) {
	for i := range s.states {
		s.states[i][at] = r.In(State(i))
	}
	for i := range s.counters {
		n := r.Count(Counter(i))
		s.counters[i][at] += n - r.seen.counters[i]
		r.seen.counters[i] = n
	}
	for i, m := range trended {
		var fresh trend
		for j := range trendSize {
			var n int64
			for k := range r.shards {
				n += r.shards[k].trends[m][j].Load()
			}
			if d := n - r.seen.trends[i][j]; d > 0 {
				fresh = append(fresh, int64(j), d)
			}
			r.seen.trends[i][j] = n
		}
		s.trends[i][at] = s.trends[i][at].add(fresh)
		if m == Lateness {
			late = fresh
		}
	}
	s.cpu[at] = max(share, s.cpu[at])
	s.sockets[at] = max(int64(sample.Sockets), s.sockets[at])
	s.memory[at] = max(sample.Memory, s.memory[at])
	return late
}

// halve makes one bucket of two.
func (s *series) halve() {
	s.step *= 2
	for i := range s.states {
		s.states[i] = pairs(s.states[i], func(_, b int64) int64 { return b })
	}
	for i := range s.counters {
		s.counters[i] = pairs(s.counters[i], func(a, b int64) int64 { return a + b })
	}
	for i := range s.trends {
		s.trends[i] = pairs(s.trends[i], trend.add)
	}
	s.cpu = pairs(s.cpu, func(a, b float64) float64 { return max(a, b) })
	s.sockets = pairs(s.sockets, func(a, b int64) int64 { return max(a, b) })
	s.memory = pairs(s.memory, func(a, b int64) int64 { return max(a, b) })
}

// pairs joins neighbours; one that is left alone stays.
func pairs[T any](all []T, join func(a, b T) T) []T {
	out := make([]T, 0, (len(all)+1)/2)
	for i := 0; i < len(all); i += 2 {
		if i+1 == len(all) {
			out = append(out, all[i])
			break
		}
		out = append(out, join(all[i], all[i+1]))
	}
	return out
}

// add gives the sum of two trends, both in the order of their steps.
func (t trend) add(o trend) trend {
	if len(o) == 0 {
		return t
	}
	out := make(trend, 0, len(t)+len(o))
	for len(t) > 0 || len(o) > 0 {
		switch {
		case len(o) == 0 || len(t) > 0 && t[0] < o[0]:
			out, t = append(out, t[0], t[1]), t[2:]
		case len(t) == 0 || o[0] < t[0]:
			out, o = append(out, o[0], o[1]), o[2:]
		default:
			out, t, o = append(out, t[0], t[1]+o[1]), t[2:], o[2:]
		}
	}
	return out
}

// at gives a percentile, right to an eighth; ok is false without values.
func (t trend) at(p float64) (v int64, ok bool) {
	var all int64
	for i := 1; i < len(t); i += 2 {
		all += t[i]
	}
	if all == 0 {
		return 0, false
	}
	rank := max(int64(p/100*float64(all)+0.5), 1)
	for i := 0; i < len(t); i += 2 {
		if rank -= t[i+1]; rank <= 0 {
			return trendValue(int(t[i])), true
		}
	}
	return trendValue(int(t[len(t)-2])), true
}
