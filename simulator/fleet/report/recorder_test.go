package report

import (
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// TestRecorderIsFedByMany feeds from many goroutines; nothing is lost.
func TestRecorderIsFedByMany(t *testing.T) {
	r := New(start)
	r.Devices(800)
	b := r.Behaviour("good")
	b.Devices(800)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				r.Move(Waiting, Connecting)
				r.Add(Connects, 1)
				r.Observe(Connect, time.Duration(i+1)*time.Millisecond)
				r.Move(Connecting, Updated)
				b.Ended(Succeeded)
			}
		})
	}
	wg.Wait()
	got := r.Result(start.Add(10 * time.Second))
	if got.States[Updated] != 800 || got.States[Waiting] != 0 || got.States[Connecting] != 0 {
		t.Errorf("states are %v", got.States)
	}
	if got.Counters[Connects] != 800 || got.Total().Seen[Succeeded] != 800 {
		t.Errorf("%d connects and %d successes", got.Counters[Connects], got.Total().Seen[Succeeded])
	}
	h := got.Measures[Connect]
	if h.Count() != 800 || h.Max() != 100_000 || h.Mean() != 50_500 {
		t.Errorf("%d values, the largest %d, the mean %v", h.Count(), h.Max(), h.Mean())
	}
	if p := h.At(50); p < 50_000 || p > 50_100 {
		t.Errorf("the median is %d", p)
	}
}

// TestSeries puts what happens into its second.
func TestSeries(t *testing.T) {
	r := New(start)
	r.Devices(3)
	for i := range 3 {
		r.Move(Waiting, Online)
		r.Add(Connects, int64(i+1))
		r.Tick(start.Add(time.Duration(i+1)*time.Second+30*time.Millisecond), Sample{})
	}
	r.Add(Connects, 10)
	got := r.Result(start.Add(3300 * time.Millisecond)).series
	if got.len() != 3 || got.states[Online][0] != 1 || got.states[Online][2] != 3 {
		t.Errorf("online over time is %v", got.states[Online])
	}
	if c := got.counters[Connects]; c[0] != 1 || c[1] != 2 || c[2] != 13 {
		t.Errorf("connects over time are %v", c)
	}
}

// TestPushRateIsOfNewNotices: what is sent again when a device signs in is not
// what the limit is about.
func TestPushRateIsOfNewNotices(t *testing.T) {
	r := New(start)
	for second := range 90 {
		r.Add(NoticesPushed, 3)
		r.Add(DuplicateNotices, 2)
		r.Tick(start.Add(time.Duration(second+1)*time.Second), Sample{})
	}
	if n := r.Result(start.Add(90 * time.Second)).PushedPerMinute(); n != 60 {
		t.Errorf("%d in any minute, not 60", n)
	}
	if n := r.now().pushed; n != 60 {
		t.Errorf("%d in the last minute, not 60", n)
	}
}
