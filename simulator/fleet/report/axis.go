package report

import (
	"fmt"
	"math"
	"time"
)

// axis maps values to a place between 0 and 1.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
}

type tick struct {
	at    float64 // 0 to 1
	label string
}

func (a axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, a.low)), math.Log10(low), math.Log10(high)
	}
	if high <= low {
		return 0
	}
	return min(max((v-low)/(high-low), 0), 1)
}

// upTo is an axis from 0 to a round number that is not below the largest value.
func upTo(largest float64, whole bool, label func(float64) string) axis {
	step := niceStep(largest / 4)
	if whole {
		step = max(step, 1)
	}
	a := axis{high: step * max(math.Ceil(largest/step-1e-9), 1)}
	for v := 0.0; v <= a.high+step/2; v += step {
		a.ticks = append(a.ticks, tick{a.place(v), label(v)})
	}
	return a
}

// niceStep is the smallest of 1, 2, 2.5, 5 times a power of ten that is not below.
func niceStep(f float64) float64 {
	if f <= 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(f)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= f*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// decades is a logarithmic axis around the values, of whole decades.
func decades(smallest, largest float64, label func(float64) string) axis {
	if smallest > largest {
		smallest, largest = 1, 1 // there are no values
	}
	smallest = max(smallest, 1)
	largest = max(largest, smallest)
	a := axis{log: true, low: math.Pow(10, math.Floor(math.Log10(smallest))), high: math.Pow(10, math.Ceil(math.Log10(largest)))}
	if a.high <= a.low {
		a.high = a.low * 10
	}
	for v := a.low; v <= a.high*1.01; v *= 10 {
		a.ticks = append(a.ticks, tick{a.place(v), label(v)})
	}
	return a
}

// clock is an axis of time from 0, in seconds.
func clock(seconds float64) axis {
	a := axis{high: max(seconds, 1)}
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 12 * 3600, 86400} {
		if step = s; a.high/s <= 6 {
			break
		}
	}
	for a.high/step > 8 {
		step *= 2
	}
	for v := 0.0; v <= a.high+1e-9; v += step {
		a.ticks = append(a.ticks, tick{a.place(v), clockLabel(v)})
	}
	return a
}

// clockLabel writes seconds as 0:05, 12:30 or 1:02:00.
func clockLabel(seconds float64) string {
	d := time.Duration(math.Round(seconds)) * time.Second
	if h := d / time.Hour; h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, d%time.Hour/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d:%02d", d/time.Minute, d%time.Minute/time.Second)
}

// nines is the axis of percentiles, on which 90, 99, 99.9 % are equally far apart.
func nines(count int64) axis {
	a := axis{high: min(max(math.Ceil(math.Log10(float64(max(count, 10)))), 2), 5)}
	labels := []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "max"}
	for i := 0; float64(i) <= a.high; i++ {
		a.ticks = append(a.ticks, tick{a.place(float64(i)), labels[i]})
	}
	a.ticks[len(a.ticks)-1].label = "max"
	return a
}

// percentAt is the percentile at a place of the axis of nines.
func percentAt(x float64) float64 { return 100 * (1 - math.Pow(10, -x)) }

// tickTime labels logarithmic axes of microseconds: decades are round.
func tickTime(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 1e6:
		return fmt.Sprintf("%.0f ms", us/1e3)
	}
	return grouped(int64(us/1e6)) + " s"
}

func tickNumber(v float64) string {
	if v == math.Trunc(v) {
		return grouped(int64(v))
	}
	return fmt.Sprintf("%.4g", v)
}

func tickPercent(v float64) string { return fmt.Sprintf("%.0f %%", v*100) }
