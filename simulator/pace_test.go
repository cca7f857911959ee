package simulator

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fill takes places for a time with wakeups after the gaps given in turn, and gives
// the moments of the pushes.
func fill(rate int, start int64, gaps []time.Duration, total time.Duration) []int64 {
	var out []int64
	next := int64(0)
	now := start
	for i := 0; now < start+int64(total); i++ {
		for {
			n, ok := pace(next, rate, now)
			if !ok {
				break
			}
			next, out = n, append(out, now)
		}
		now += int64(gaps[i%len(gaps)])
	}
	return out
}

// mostIn is the most moments of any window of 60 seconds.
func mostIn(at []int64) int {
	most, first := 0, 0
	for i := range at {
		for at[i]-at[first] >= int64(window) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestP34PaceIsNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.OneOf(rapid.IntRange(MinPushRate, MaxPushRate), rapid.IntRange(MaxPushRate, 100_000)).Draw(t, "rate")
		gap := rapid.Int64Range(int64(time.Millisecond), int64(20*time.Second))
		var gaps []time.Duration
		for _, g := range rapid.SliceOfN(gap, 1, 20).Draw(t, "gaps") {
			gaps = append(gaps, time.Duration(g))
		}
		at := fill(rate, start.UnixNano(), gaps, 5*time.Minute)
		if n := mostIn(at); n > rate {
			t.Fatalf("%d pushes in 60 s, allowed are %d", n, rate)
		}
	})
}

// TestP34PaceReaches99Percent: with an engine that wakes up as late as 150 ms.
func TestP34PaceReaches99Percent(t *testing.T) {
	for _, rate := range []int{10, 11, 60, 333, 999, 1000, 50_000} {
		for _, late := range []time.Duration{time.Millisecond, 40 * time.Millisecond, 150 * time.Millisecond} {
			at := fill(rate, start.UnixNano(), []time.Duration{late}, time.Hour)
			if got, want := len(at), rate*60*99/100; got < want {
				t.Errorf("rate %d, woken each %v: %d pushes in an hour, want at least %d", rate, late, got, want)
			}
		}
	}
}

func TestP34PaceIsEven(t *testing.T) {
	at := fill(60, start.UnixNano(), []time.Duration{time.Millisecond}, 10*time.Minute)
	for i := 1; i < len(at); i++ {
		if d := time.Duration(at[i] - at[i-1]); d < time.Second || d > time.Second+10*time.Millisecond {
			t.Fatalf("push %d came %v after the one before, want about a second", i, d)
		}
	}
}

// TestP34PaceWhenTheClockIsSetBack: the batch goes on soon, and not in a burst.
func TestP34PaceWhenTheClockIsSetBack(t *testing.T) {
	now := start.UnixNano()
	next, _ := pace(0, 10, now)
	now -= int64(time.Hour)
	next, ok := pace(next, 10, now)
	if ok || next > now+int64(10*time.Second) {
		t.Errorf("pushed %v, the next place is %v ahead", ok, time.Duration(next-now))
	}
}
