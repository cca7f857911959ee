package report

import (
	"fmt"
	"math/bits"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// All histograms have one geometry, so that they can be added: microseconds (or
// kB/s) from 1 to a day, three digits. What is beyond is counted as the end.
const (
	lowest  = 1
	highest = int64(24 * time.Hour / time.Microsecond)
	digits  = 3
)

// Histogram is the values of one measure. The largest and the sum are exact, the
// rest to three digits.
type Histogram struct {
	counts *hdr.Histogram
	max    int64
	sum    int64
}

func (h *Histogram) record(v int64) {
	if h.counts == nil {
		h.counts = hdr.New(lowest, highest, digits)
	}
	v = min(max(v, 0), highest)
	// It cannot fail: the value is within the geometry.
	_ = h.counts.RecordValue(v)
	h.max = max(h.max, v)
	h.sum += v
}

// add adds another one, bucket by bucket.
func (h *Histogram) add(o *Histogram) error {
	if o == nil || o.counts == nil {
		return nil
	}
	if h.counts == nil {
		h.counts = hdr.New(lowest, highest, digits)
	}
	if dropped := h.counts.Merge(o.counts); dropped > 0 {
		return fmt.Errorf("%d values are beyond what a histogram holds", dropped)
	}
	h.max = max(h.max, o.max)
	h.sum += o.sum
	return nil
}

// Count is the number of values.
func (h *Histogram) Count() int64 {
	if h == nil || h.counts == nil {
		return 0
	}
	return h.counts.TotalCount()
}

// At gives the value that the percentage p (0 to 100) of all values do not
// exceed; it is never above Max. Without values it is 0.
func (h *Histogram) At(p float64) int64 {
	if h.Count() == 0 {
		return 0
	}
	return min(h.counts.ValueAtPercentile(p), h.max)
}

// Max is the largest value, exact.
func (h *Histogram) Max() int64 {
	if h == nil {
		return 0
	}
	return h.max
}

// Mean is the exact mean.
func (h *Histogram) Mean() float64 {
	if h.Count() == 0 {
		return 0
	}
	return float64(h.sum) / float64(h.Count())
}

// A trend is the values of one bucket of time, coarsely: each octave of values is
// four steps, so a percentile of it is right to an eighth. It is what plots over
// time need, and can be added.
const (
	trendParts = 4
	trendSize  = 40 * trendParts
)

func trendIndex(v int64) int {
	if v < trendParts {
		return int(max(v, 0))
	}
	octave := bits.Len64(uint64(v)) - 1
	part := int(v>>(octave-2)) & (trendParts - 1)
	return min((octave-1)*trendParts+part, trendSize-1)
}

// trendValue is the middle of the step.
func trendValue(i int) int64 {
	if i < trendParts {
		return int64(i)
	}
	octave, part := i/trendParts+1, int64(i%trendParts)
	low := (trendParts + part) << (octave - 2)
	return low + int64(1)<<(octave-2)/2
}
