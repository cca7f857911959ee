package simulator

import (
	"strconv"
	"strings"
)

// Bounds of a variable rate.
const (
	MinFactor = 11        // MinFactor is IncrementFactor 1.1, in tenths.
	MaxFactor = 50        // MaxFactor is IncrementFactor 5, in tenths.
	MaxStep   = 1_000_000 // MaxStep is the most devices between two increases.
)

// tenths reads a factor with at most one decimal.
func tenths(s string) (int, bool) {
	whole, part, has := strings.Cut(s, ".")
	if has && len(part) != 1 || len(whole) == 0 || len(whole) > 2 || strings.ContainsAny(s, "+-") {
		return 0, false
	}
	n, err := strconv.Atoi(whole + part)
	if !has {
		n *= 10
	}
	return n, err == nil
}

// check says why r cannot be the rate of a batch of at most perMinute devices a minute.
func (r *VariableRate) check(perMinute int) error {
	if *r == (VariableRate{}) {
		return nil
	}
	if r.Base < MinPushRate || r.Base > perMinute {
		return fail(Invalid, "Base", "%d devices a minute to begin with, allowed are %d to the batch's maximum of %d", r.Base, MinPushRate, perMinute)
	}
	if n, ok := tenths(r.Factor); !ok || n < MinFactor || n > MaxFactor {
		return fail(Invalid, "Factor", "%q, allowed are 1.1 to 5 with at most one decimal", r.Factor)
	}
	switch n := r.Notified + r.Succeeded; {
	case (r.Notified == 0) == (r.Succeeded == 0):
		return fail(Invalid, "Notified", "a variable rate grows with the devices that were notified or with those that have succeeded: give one of the two numbers")
	case r.Notified < 0 || r.Succeeded < 0 || n > MaxStep:
		return fail(Invalid, "Notified", "%d devices, allowed are 1 to %d", n, MaxStep)
	}
	return nil
}

// rate is how many devices a minute may be notified now (P34).
func (j *Job) rate() int {
	top, r := j.Policy.MaximumPerMinute, j.Policy.Rate
	if r.Base == 0 {
		return top
	}
	steps := j.Counts.Succeeded / max(r.Succeeded, 1)
	if r.Notified > 0 {
		steps = j.Pushed / r.Notified
	}
	factor, _ := tenths(r.Factor)
	const part = 1000 // of a device
	n := int64(r.Base) * part
	for ; steps > 0 && n < int64(top)*part; steps-- {
		n = n * int64(max(factor, MinFactor)) / 10
	}
	return int(min(n/part, int64(top)))
}
