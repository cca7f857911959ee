package main

import (
	"slices"
)

// series is one figure of several runs, in the order in which they were taken.
type series []float64

// spread is the smallest, the middle and the largest of a series.
type spread struct{ min, median, max float64 }

// spread panics on an empty series, since there is nothing to say of one.
func (s series) spread() spread {
	v := slices.Sorted(slices.Values(s))
	n := len(v)
	m := v[n/2]
	if n%2 == 0 {
		m = (v[n/2-1] + v[n/2]) / 2
	}
	return spread{v[0], m, v[n-1]}
}

// over divides run by run: what the machine did during a run is in both.
func (s series) over(peer series) series {
	out := make(series, min(len(s), len(peer)))
	for i := range out {
		out[i] = s[i] / peer[i]
	}
	return out
}

// contender is one way of doing a job, and what each run of it cost.
type contender struct {
	name string
	runs []usage
}

const mb = 1e6 // bytes

func (c contender) cpu() series {
	return c.collect(func(u usage) float64 { return u.CPU.Seconds() })
}

func (c contender) wall() series {
	return c.collect(func(u usage) float64 { return u.Wall.Seconds() })
}

func (c contender) peak() series {
	return c.collect(func(u usage) float64 { return float64(u.Peak) / mb })
}

// rate is how fast so many bytes were dealt with, in MB a second.
func (c contender) rate(bytes int64) series {
	return c.collect(func(u usage) float64 { return float64(bytes) / mb / u.Wall.Seconds() })
}

func (c contender) collect(f func(usage) float64) (s series) {
	for _, u := range c.runs {
		s = append(s, f(u))
	}
	return s
}
