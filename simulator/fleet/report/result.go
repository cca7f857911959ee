package report

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"
)

// Run is what was run. Results are merged only when Scenario, Seed and Endpoint
// are the same.
type Run struct {
	Title    string `json:"title,omitempty"`
	Scenario string `json:"scenario,omitempty"`
	Seed     uint64 `json:"seed,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Ramp     string `json:"ramp,omitempty"`
	Program  string `json:"program,omitempty"` // name and version
	Knee     string `json:"knee,omitempty"`    // where a limit broke, as a sentence
	Shard    string `json:"-"`                 // "2/4", of this process
	Host     string `json:"-"`
}

// Part is one process's share of a result.
type Part struct {
	ID    string `json:"id"`
	Shard string `json:"shard,omitempty"`
	Host  string `json:"host,omitempty"`
}

// Mark is a moment with a name.
type Mark struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Result is a run, or several that were merged. It does not change by itself.
type Result struct {
	Run        Run
	Parts      []Part
	Began      time.Time
	Ended      time.Time
	Devices    int64
	PushLimit  float64 // a minute; 0: not known, or unlimited
	Invalid    []string
	Notes      []string
	Marks      []Mark
	States     [states]int64
	Counters   [counters]int64
	Measures   [measures]*Histogram
	Behaviours []Outcomes
	Health     []Health
	series     series
}

// Outcomes is how the updates of a behaviour ended, and how they should have.
type Outcomes struct {
	Behaviour string
	Devices   int64
	Expected  [outcomes]int64
	Seen      [outcomes]int64
}

// AsExpected says whether every outcome was seen as often as expected.
func (o Outcomes) AsExpected() bool { return o.Expected == o.Seen }

// Total adds all behaviours up.
func (r *Result) Total() Outcomes {
	var sum Outcomes
	for _, b := range r.Behaviours {
		sum.plus(b)
	}
	return sum
}

func (o *Outcomes) plus(p Outcomes) {
	o.Devices += p.Devices
	for i := range o.Expected {
		o.Expected[i] += p.Expected[i]
		o.Seen[i] += p.Seen[i]
	}
}

// Valid says whether the figures can be believed.
func (r *Result) Valid() bool { return len(r.Invalid) == 0 }

// Duration is from the begin to the end.
func (r *Result) Duration() time.Duration { return r.Ended.Sub(r.Began) }

// Rate is the mean of a counter in a second.
func (r *Result) Rate(c Counter) float64 {
	if s := r.Duration().Seconds(); s > 0 {
		return float64(r.Counters[c]) / s
	}
	return 0
}

// PushedPerMinute is the largest number of notices pushed within any 60 seconds,
// counted in whole seconds. Those that a device had already are left out: a cloud
// sends them whenever a device signs in, and its push rate is not about them.
func (r *Result) PushedPerMinute() int64 {
	return slices.Max(append(r.series.window(), 0))
}

// pushed are the notices that came by themselves and were new, in each bucket.
func (s *series) pushed() []int64 {
	all := slices.Clone(s.counters[NoticesPushed])
	for i := range all {
		all[i] = max(all[i]-s.counters[DuplicateNotices][i], 0)
	}
	return all
}

// lastMinute is how many were pushed in the last 60 seconds.
func (s *series) lastMinute() (n int64) {
	pushed, again := s.counters[NoticesPushed], s.counters[DuplicateNotices]
	for i := max(len(pushed)-max(60/s.step, 1), 0); i < len(pushed); i++ {
		n += max(pushed[i]-again[i], 0)
	}
	return n
}

// window is for each bucket how many were pushed in the 60 seconds up to its end.
func (s *series) window() []int64 {
	all, width := s.pushed(), max(60/max(s.step, 1), 1)
	out := make([]int64, len(all))
	var sum int64
	for i, n := range all {
		sum += n
		if i >= width {
			sum -= all[i-width]
		}
		out[i] = sum
	}
	return out
}

// Result gives all that was recorded up to now.
func (r *Recorder) Result(now time.Time) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close(now, last(r.series.cpu), r.sample)
	out := &Result{
		Run: r.run, Began: r.began, Ended: now, Devices: r.devices, PushLimit: r.pushLimit,
		Invalid: slices.Clone(r.invalid), Notes: slices.Clone(r.notes), Marks: slices.Clone(r.marks), series: r.series.clone(),
	}
	for i := range out.States {
		out.States[i] = r.In(State(i))
	}
	for i := range out.Counters {
		out.Counters[i] = r.Count(Counter(i))
	}
	for i := range out.Measures {
		out.Measures[i] = r.histogram(Measure(i))
	}
	for _, b := range r.behaviours {
		out.Behaviours = append(out.Behaviours, b.outcomes())
	}
	health := r.health
	health.Shard, health.Host = r.run.Shard, r.run.Host
	out.Health = []Health{health}
	out.Parts = []Part{{ID: r.id, Shard: r.run.Shard, Host: r.run.Host}}
	for _, reason := range r.judge(out.Measures[Lateness]) {
		if !slices.Contains(out.Invalid, reason) {
			out.Invalid = append(out.Invalid, reason)
		}
	}
	return out
}

func (b *Behaviour) outcomes() Outcomes {
	o := Outcomes{Behaviour: b.name, Devices: b.devices.Load()}
	for i := range o.Seen {
		o.Expected[i], o.Seen[i] = b.expected[i].Load(), b.seen[i].Load()
	}
	return o
}

func (s *series) clone() series {
	out := series{step: s.step, cpu: slices.Clone(s.cpu), sockets: slices.Clone(s.sockets), memory: slices.Clone(s.memory)}
	for i := range s.states {
		out.states[i] = slices.Clone(s.states[i])
	}
	for i := range s.counters {
		out.counters[i] = slices.Clone(s.counters[i])
	}
	for i := range s.trends {
		// A trend is replaced, never written into.
		out.trends[i] = slices.Clone(s.trends[i])
	}
	return out
}

// newID tells results apart, so that none is merged twice.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// text gives a value of the measure for people.
func (m Measure) text(v int64) string {
	if m == DownloadSpeed {
		return fmt.Sprintf("%s MB/s", figure(float64(v)/1000))
	}
	return took(v)
}

// took is a time in microseconds for people.
func took(us int64) string {
	switch d := time.Duration(us) * time.Microsecond; {
	case us == 0:
		return "0"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", us)
	case d < time.Second:
		return figure(float64(us)/1e3) + " ms"
	case d < 2*time.Minute:
		return figure(float64(us)/1e6) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// figure has three digits at least, and no more than two after the point.
func figure(f float64) string {
	switch a := math.Abs(f); {
	case a >= 100 || a == math.Trunc(a):
		return grouped(int64(math.Round(f)))
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// grouped writes 12345 as 12,345.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// amount is a number of bytes for people; kB is 1,000.
func amount(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	f := float64(n)
	for len(units) > 1 && math.Abs(f) >= 1000 {
		f, units = f/1000, units[1:]
	}
	return figure(f) + " " + units[0]
}
