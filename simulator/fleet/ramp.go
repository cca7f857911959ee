package fleet

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Pacer says when things are due: a pure function. Pace gives how long after elapsed
// hit number hits (from 0) is due; less than 0 when it was due before. stop means that
// no more are wanted.
type Pacer interface {
	Pace(elapsed time.Duration, hits int) (wait time.Duration, stop bool)
}

// MaxRate bounds every rate, a second.
const MaxRate = 1e6

// Constant is so many a second.
type Constant struct{ Rate float64 }

// Pace implements Pacer.
func (c Constant) Pace(elapsed time.Duration, hits int) (time.Duration, bool) {
	return seconds(float64(hits)/c.Rate) - elapsed, false
}

// Step begins with a rate and raises it by as much each time.
type Step struct {
	From, By float64
	Every    time.Duration
}

// Pace implements Pacer.
func (s Step) Pace(elapsed time.Duration, hits int) (time.Duration, bool) {
	// The sum of the first k steps is every * (k*from + by*k(k-1)/2).
	n, every := float64(hits), s.Every.Seconds()
	k := 0.0
	if s.By > 0 {
		a, b := s.By/2*every, (s.From-s.By/2)*every
		k = math.Floor((-b + math.Sqrt(b*b+4*a*n)) / (2 * a))
	}
	before := every * (k*s.From + s.By*k*(k-1)/2)
	return seconds(k*every+(n-before)/(s.From+k*s.By)) - elapsed, false
}

// rateAt is the rate at a time.
func (s Step) rateAt(elapsed time.Duration) float64 {
	return s.From + s.By*math.Floor(elapsed.Seconds()/s.Every.Seconds())
}

// Sine swings around a mean rate, Mean-Swing to Mean+Swing, and begins at the mean.
type Sine struct {
	Mean, Swing float64
	Period      time.Duration
}

// Pace implements Pacer: the time at which the integral of the rate is hits is found by
// halving.
func (s Sine) Pace(elapsed time.Duration, hits int) (time.Duration, bool) {
	w := 2 * math.Pi / s.Period.Seconds()
	sum := func(t float64) float64 { return s.Mean*t + s.Swing/w*(1-math.Cos(w*t)) }
	lo, hi := 0.0, float64(hits)/s.Mean
	for range 60 {
		if mid := (lo + hi) / 2; sum(mid) < float64(hits) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return seconds(hi) - elapsed, false
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Knee is a search: a Step that ends when a limit breaks.
type Knee struct {
	Step
	P99    time.Duration // of connecting, over one step
	Errors float64       // share of the attempts of one step, 0 to 1
}

// Default limits of a search.
const (
	KneeP99    = time.Second
	KneeErrors = 0.01
)

// ParseRamp reads how devices are started:
//
//	500/s                       so many a second
//	step:100/s+100/s@10s        100 a second, after each 10 seconds 100 more
//	sine:300/s~200/s@1m         300 a second, 200 more and less, with a period of a minute
//	knee:100/s+100/s@10s[,p99=1s][,errors=1%]   as step, until a limit breaks
func ParseRamp(text string) (Pacer, error) {
	kind, rest, ok := strings.Cut(text, ":")
	if !ok {
		kind, rest = "constant", text
	}
	var p Pacer
	var err error
	switch kind {
	case "constant":
		var c Constant
		c.Rate, err = parseRate(rest)
		p = c
	case "step":
		p, err = parseStep(rest)
	case "sine":
		p, err = parseSine(rest)
	case "knee":
		p, err = parseKnee(rest)
	default:
		err = fmt.Errorf("%.20q is none of constant, step, sine and knee", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("ramp %.60q: %w (such as 500/s, step:100/s+100/s@10s, sine:300/s~200/s@1m, knee:100/s+100/s@10s)", text, err)
	}
	return p, nil
}

func parseRate(s string) (float64, error) {
	n, ok := strings.CutSuffix(strings.TrimSpace(s), "/s")
	v, err := strconv.ParseFloat(n, 64)
	if !ok || err != nil || !(v > 0 && v <= MaxRate) {
		return 0, fmt.Errorf("%.20q is no rate of 0 to %g a second", s, float64(MaxRate))
	}
	return v, nil
}

// parsePair reads RATE sep RATE @ DURATION.
func parsePair(s, sep string) (a, b float64, d time.Duration, err error) {
	rates, every, ok := strings.Cut(s, "@")
	one, two, both := strings.Cut(rates, sep)
	if !ok || !both {
		return 0, 0, 0, fmt.Errorf("%.40q is not RATE%sRATE@DURATION", s, sep)
	}
	if a, err = parseRate(one); err != nil {
		return
	}
	if b, err = parseRate(two); err != nil {
		return
	}
	if d, err = time.ParseDuration(every); err == nil && d <= 0 {
		err = fmt.Errorf("%.20q is no duration", every)
	}
	return
}

func parseStep(s string) (Step, error) {
	from, by, every, err := parsePair(s, "+")
	return Step{from, by, every}, err
}

func parseSine(s string) (Sine, error) {
	mean, swing, period, err := parsePair(s, "~")
	if err == nil && swing >= mean {
		err = fmt.Errorf("it swings by %g/s around %g/s: by less than the mean", swing, mean)
	}
	return Sine{mean, swing, period}, err
}

func parseKnee(s string) (k Knee, err error) {
	parts := strings.Split(s, ",")
	k = Knee{P99: KneeP99, Errors: KneeErrors}
	if k.Step, err = parseStep(parts[0]); err != nil {
		return k, err
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "p99":
			k.P99, err = time.ParseDuration(value)
		case "errors":
			k.Errors, err = strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
			k.Errors /= 100
		default:
			err = fmt.Errorf("%.20q is none of p99=DURATION and errors=PERCENT%%", part)
		}
		if err == nil && (k.P99 <= 0 || !(k.Errors > 0 && k.Errors <= 1)) {
			err = fmt.Errorf("%.20q is no limit", part)
		}
		if err != nil {
			return k, err
		}
	}
	return k, nil
}
