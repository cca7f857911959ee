package report

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder collects what devices do. All its methods may be called from any
// number of goroutines; Add, Move and Observe are made to be called often. Memory
// does not grow with the number of events, only with the seconds of the run.
type Recorder struct {
	began  time.Time
	id     string
	shards []shard // a power of two; which one is drawn by lot

	mu         sync.Mutex
	run        Run
	devices    int64
	pushLimit  float64
	behaviours []*Behaviour
	invalid    []string
	notes      []string
	marks      []Mark
	series     series
	health     Health
	seen       seen // what the last Tick saw
	sample     Sample
}

// shard has a part of all counts, so that processors do not wait for each other.
type shard struct {
	counters [counters]atomic.Int64
	states   [states]atomic.Int64 // may be negative: a device left a state of another shard
	trends   [measures][trendSize]atomic.Int64
	measures [measures]struct {
		mu sync.Mutex
		h  Histogram
	}
	_ [64]byte // the next one begins in another cache line
}

// maxShards bounds memory: a shard that has values of all measures has 3 MB.
const maxShards = 4

// maxTexts is how many reasons and notes are kept.
const maxTexts = 20

// New starts a recorder. The second 0 of its series begins at the time given.
func New(began time.Time) *Recorder {
	n := 1
	for n < min(runtime.GOMAXPROCS(0), maxShards) {
		n *= 2
	}
	r := &Recorder{began: began, id: newID(), shards: make([]shard, n)}
	r.series.step = 1
	r.health.Cores = runtime.GOMAXPROCS(0)
	return r
}

func (r *Recorder) shard() *shard {
	return &r.shards[rand.Uint32()&uint32(len(r.shards)-1)]
}

// Began is the time given to New.
func (r *Recorder) Began() time.Time { return r.began }

// Describe says what is run.
func (r *Recorder) Describe(run Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = run
}

// Devices adds n devices, which are Waiting.
func (r *Recorder) Devices(n int) {
	r.mu.Lock()
	r.devices += int64(n)
	r.mu.Unlock()
	r.shard().states[Waiting].Add(int64(n))
}

// PushLimit says how many notices a minute the cloud may push; 0 is not known or
// unlimited.
func (r *Recorder) PushLimit(perMinute float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pushLimit = perMinute
}

// Add counts n events.
func (r *Recorder) Add(c Counter, n int64) { r.shard().counters[c].Add(n) }

// Move says that a device went from one state to another.
func (r *Recorder) Move(from, to State) {
	if from == to {
		return
	}
	s := r.shard()
	s.states[from].Add(-1)
	s.states[to].Add(1)
}

// Observe records how long something took, from the time it was due.
func (r *Recorder) Observe(m Measure, d time.Duration) { r.observe(m, d.Microseconds()) }

// Transferred records a whole download: how long it took and how fast it was.
func (r *Recorder) Transferred(bytes int64, took time.Duration) {
	r.Observe(Download, took)
	if took > 0 {
		r.observe(DownloadSpeed, int64(float64(bytes)/1000/took.Seconds()))
	}
}

func (r *Recorder) observe(m Measure, v int64) {
	s := r.shard()
	s.trends[m][trendIndex(v)].Add(1)
	h := &s.measures[m]
	h.mu.Lock()
	h.h.record(v)
	h.mu.Unlock()
}

// Behaviour is the devices that were told to behave in one way.
type Behaviour struct {
	name     string
	devices  atomic.Int64
	expected [outcomes]atomic.Int64
	seen     [outcomes]atomic.Int64
}

// Behaviour gives the behaviour of that name, the same one each time.
func (r *Recorder) Behaviour(name string) *Behaviour {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.behaviours {
		if b.name == name {
			return b
		}
	}
	b := &Behaviour{name: name}
	r.behaviours = append(r.behaviours, b)
	return b
}

// Devices adds n devices to the behaviour.
func (b *Behaviour) Devices(n int) { b.devices.Add(int64(n)) }

// Expect says that n more updates should end so.
func (b *Behaviour) Expect(o Outcome, n int) { b.expected[o].Add(int64(n)) }

// Ended says that one update ended so. An outcome that is corrected later (a
// timeout that the cloud tells of) is first taken back with Taken.
func (b *Behaviour) Ended(o Outcome) { b.seen[o].Add(1) }

// Taken takes one outcome back.
func (b *Behaviour) Taken(o Outcome) { b.seen[o].Add(-1) }

// Invalid marks the run: the generator could not do what it was asked to, so the
// figures are its own, not the cloud's. Each reason is kept once.
func (r *Recorder) Invalid(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.invalidate(reason)
}

func (r *Recorder) invalidate(reason string) {
	if !slices.Contains(r.invalid, reason) && len(r.invalid) < maxTexts {
		r.invalid = append(r.invalid, reason)
	}
}

// Note adds a sentence that readers of the report should know. Each is kept once.
func (r *Recorder) Note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.notes, text) && len(r.notes) < maxTexts {
		r.notes = append(r.notes, text)
	}
}

// Mark names a moment, such as a restart of the broker; plots show it.
func (r *Recorder) Mark(at time.Time, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark(at, text)
}

func (r *Recorder) mark(at time.Time, text string) {
	if len(r.marks) < maxTexts {
		r.marks = append(r.marks, Mark{At: at, Text: text})
	}
}

// Count gives a counter as it is now.
func (r *Recorder) Count(c Counter) int64 {
	var n int64
	for i := range r.shards {
		n += r.shards[i].counters[c].Load()
	}
	return n
}

// In gives how many devices are in a state now.
func (r *Recorder) In(s State) int64 {
	var n int64
	for i := range r.shards {
		n += r.shards[i].states[s].Load()
	}
	return max(n, 0)
}

// histogram adds the shards' parts up.
func (r *Recorder) histogram(m Measure) *Histogram {
	sum := &Histogram{}
	for i := range r.shards {
		h := &r.shards[i].measures[m]
		h.mu.Lock()
		_ = sum.add(&h.h) // one geometry: nothing is dropped
		h.mu.Unlock()
	}
	return sum
}

// lateStep is how often Run looks how late the generator's timers are.
const lateStep = 20 * time.Millisecond

// Run takes a sample each second, and sees how late timers are, until the context
// ends. sockets says how many are open; it may be nil.
func (r *Recorder) Run(ctx context.Context, sockets func() int) {
	late := time.NewTicker(lateStep)
	defer late.Stop()
	next := r.began.Add(time.Second)
	for due := time.Now().Add(lateStep); ; {
		select {
		case <-ctx.Done():
			return
		case <-late.C:
		}
		now := time.Now()
		r.Observe(Lateness, max(now.Sub(due), 0))
		// A ticker drops what was missed; so does the plan.
		for due = due.Add(lateStep); !due.After(now); {
			due = due.Add(lateStep)
		}
		if now.Before(next) {
			continue
		}
		s := Measured()
		if sockets != nil {
			s.Sockets = sockets()
		}
		r.Tick(now, s)
		for !next.After(now) {
			next = next.Add(time.Second)
		}
	}
}
