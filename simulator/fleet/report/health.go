package report

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Sample is the generator at one moment.
type Sample struct {
	CPU        time.Duration // used since the process began
	Memory     int64         // resident, bytes
	Sockets    int           // open now
	Goroutines int
}

// Measured gives a sample of this process, without its sockets. What the system
// does not tell is 0.
func Measured() Sample {
	s := Sample{Goroutines: runtime.NumGoroutine(), Memory: resident()}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		s.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return s
}

// resident reads the second field of /proc/self/statm, which counts pages.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Health is how one generator was over its run.
type Health struct {
	Shard       string  `json:"shard,omitempty"` // "2/4"
	Host        string  `json:"host,omitempty"`
	Cores       int     `json:"cores"`
	CPUMean     float64 `json:"cpu_mean"` // of its cores, 0 to 1
	CPUMax      float64 `json:"cpu_max"`  // in one second
	MemoryMax   int64   `json:"memory_max"`
	SocketsMax  int     `json:"sockets_max"`
	SocketLimit int     `json:"socket_limit,omitempty"` // of the process; 0 is not known
	Goroutines  int     `json:"goroutines_max"`
}

// When a generator counts as saturated.
const (
	busyShare   = 0.95                  // of its cores
	busySeconds = 5                     // on end
	lateSeconds = 5                     // on end, with a tenth beyond lateLimit
	lateLimit   = 50 * time.Millisecond // the 99th percentile of its lateness over the run
	lateEnough  = 100                   // fewer values say nothing
)

// SocketLimit says how many sockets the process may have.
func (r *Recorder) SocketLimit(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.SocketLimit = n
}

// watch takes a sample into the health and judges it. r.mu is held.
func (r *Recorder) watch(now time.Time, s Sample) (share float64) {
	h := &r.health
	h.MemoryMax = max(h.MemoryMax, s.Memory)
	h.SocketsMax = max(h.SocketsMax, s.Sockets)
	h.Goroutines = max(h.Goroutines, s.Goroutines)
	if h.SocketLimit > 0 && s.Sockets >= h.SocketLimit {
		r.invalidate(fmt.Sprintf("the generator ran out of sockets (%d; raise ulimit -n, or start more shards)", h.SocketLimit))
	}
	if r.seen.at.IsZero() {
		r.seen.firstCPU = s.CPU
	}
	since := r.began
	if !r.seen.at.IsZero() {
		since = r.seen.at
		if wall := now.Sub(since); wall > 0 {
			share = float64(s.CPU-r.sample.CPU) / float64(wall) / float64(h.Cores)
		}
		h.CPUMax = max(h.CPUMax, share)
		if all := now.Sub(r.seen.first); all > 0 {
			h.CPUMean = float64(s.CPU-r.seen.firstCPU) / float64(all) / float64(h.Cores)
		}
	} else {
		r.seen.first = now
	}
	if share < busyShare {
		r.seen.busySince = time.Time{}
	} else if r.seen.busySince.IsZero() {
		r.seen.busySince = since
	} else if now.Sub(r.seen.busySince) >= busySeconds*time.Second {
		r.invalidate(fmt.Sprintf("the generator used all of its %d cores for %d s on end (start more shards, or a smaller load)", h.Cores, busySeconds))
	}
	r.sample = s
	return share
}

// watchLate judges how late the generator was since the last sample: a tenth of what
// was due, for seconds on end. r.mu is held.
func (r *Recorder) watchLate(now time.Time, fresh trend) {
	switch v, _ := fresh.at(90); {
	case v <= lateLimit.Microseconds():
		r.seen.lateSince = time.Time{}
	case r.seen.lateSince.IsZero():
		r.seen.lateSince = now.Add(-time.Second)
	case now.Sub(r.seen.lateSince) >= lateSeconds*time.Second:
		r.invalidate(fmt.Sprintf("the generator was late for %d s on end: 10 %% of what was due began more than %v after its time (start more shards, or a smaller load)", lateSeconds, lateLimit))
	}
}

// judge gives the reasons that only the whole run shows.
func (r *Recorder) judge(late *Histogram) []string {
	if late.Count() < lateEnough || late.At(99) <= lateLimit.Microseconds() {
		return nil
	}
	return []string{fmt.Sprintf("the generator was late: 1 %% of what was due began more than %s after its time (start more shards, or a smaller load)",
		time.Duration(late.At(99)*1000).Round(time.Millisecond))}
}

// Connections that end against the devices' wish between two ticks are a crowd from so many
// on, when they are one in crowdShare of the fleet. They are marked once in crowdPause.
const (
	crowdLeast = 20
	crowdShare = 20
	crowdPause = 10 * time.Second
)

// watchLost marks the moment at which a crowd of connections is lost: a broker that restarts,
// a network that is gone. r.mu is held.
func (r *Recorder) watchLost(now time.Time) {
	lost := r.Count(Disconnects) - r.seen.counters[Disconnects]
	if lost < crowdLeast || lost*crowdShare < r.devices || now.Sub(r.seen.markedAt) < crowdPause {
		return
	}
	r.seen.markedAt = now
	r.mark(now, "connections are lost") // without a number, so that shards say the same
}
