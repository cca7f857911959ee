package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Threshold is a limit that a run must keep, such as "connect.p99<500ms".
type Threshold struct {
	text    string
	subject string
	op      string
	limit   float64 // microseconds, kB/s, events, or a share from 0 to 1
	share   bool    // of all devices, "99%"
	measure int     // -1: not a measure
	figure  string
}

// maxThreshold bounds the text of one.
const maxThreshold = 200

// thresholdOps in the order in which they are looked for.
var thresholdOps = []string{"<=", ">=", "<", ">", "="}

// thresholdFigures are those of a measure, and their percentages.
var thresholdFigures = map[string]float64{"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100, "mean": 0}

// ParseThreshold reads a threshold: what is looked at, <, <=, >, >= or =, and the
// limit. What is looked at:
//
//	connect.p99, notice_to_success.max   a measure's p50, p90, p99, p99.9, max or mean, with a duration
//	download_speed.p50                   with MB/s: download_speed.p50>=1.5MB/s
//	success, -1 ... -4, timeout, ...     an outcome, with a number of devices or their share: success>=99.9%
//	disconnects, busy, retries, ...      a counter, with a number
//	push_rate                            the most new notices pushed in any 60 s
func ParseThreshold(text string) (Threshold, error) {
	t := Threshold{text: strings.TrimSpace(text), measure: -1}
	if len(text) > maxThreshold {
		return t, fmt.Errorf("threshold %.40q...: it is longer than %d bytes", text, maxThreshold)
	}
	at := strings.IndexAny(t.text, "<>=")
	if at < 1 {
		return t, fmt.Errorf("threshold %q has none of < <= > >= = (for example connect.p99<500ms)", text)
	}
	rest := t.text[at:]
	t.op = thresholdOps[slices.IndexFunc(thresholdOps, func(op string) bool { return strings.HasPrefix(rest, op) })]
	t.subject = strings.TrimSpace(t.text[:at])
	value := strings.TrimSpace(rest[len(t.op):])
	if err := t.aim(value); err != nil {
		return t, fmt.Errorf("threshold %q: %w", text, err)
	}
	return t, nil
}

// aim finds what the threshold looks at, and reads the limit in its unit.
func (t *Threshold) aim(value string) error {
	if name, figure, ok := strings.Cut(t.subject, "."); ok {
		return t.aimMeasure(name, figure, value)
	}
	_, isOutcome := find(outcomeNames[:], t.subject)
	_, isCounter := find(counterNames[:], t.subject)
	if isOutcome != nil && isCounter != nil && t.subject != "push_rate" {
		return fmt.Errorf("%q is no measure, outcome or counter (such as connect.p99, success, disconnects, push_rate)", t.subject)
	}
	number, share := strings.CutSuffix(value, "%")
	if share && isOutcome != nil {
		return fmt.Errorf("a share is of outcomes only")
	}
	f, err := parseLimit(number)
	if err != nil {
		return err
	}
	if t.limit, t.share = f, share; share {
		t.limit /= 100
	}
	return nil
}

func (t *Threshold) aimMeasure(name, figure, value string) error {
	m, err := find(measureNames[:], name)
	if err != nil {
		return fmt.Errorf("measure %w", err)
	}
	if _, ok := thresholdFigures[figure]; !ok {
		return fmt.Errorf("%q is none of p50, p90, p99, p99.9, max and mean", figure)
	}
	t.measure, t.figure = m, figure
	if Measure(m) == DownloadSpeed {
		speed, ok := strings.CutSuffix(value, "MB/s")
		if !ok {
			return fmt.Errorf("a speed is wanted, such as 1.5MB/s")
		}
		t.limit, err = parseLimit(strings.TrimSpace(speed))
		t.limit *= 1000
		return err
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return fmt.Errorf("a duration is wanted, such as 500ms")
	}
	t.limit = float64(d) / float64(time.Microsecond)
	return nil
}

func parseLimit(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= float64(maxCount)) {
		return 0, fmt.Errorf("a number is wanted, not %q", s)
	}
	return f, nil
}

// String gives the threshold as it was written.
func (t Threshold) String() string { return t.text }

// Verdict is whether something held.
type Verdict struct {
	What      string
	Got       string
	OK        bool
	behaviour bool // of a behaviour, which the page has a table of
}

// Judge gives a verdict for each threshold, and one for each behaviour that
// expects something. A measure without a single value keeps no threshold: what was
// not measured is not good.
func (r *Result) Judge(limits []Threshold) []Verdict {
	var all []Verdict
	for _, b := range r.Behaviours {
		if b.Expected != [outcomes]int64{} {
			all = append(all, b.verdict())
		}
	}
	for _, t := range limits {
		all = append(all, t.judge(r))
	}
	return all
}

func (o Outcomes) verdict() Verdict {
	v := Verdict{What: "behaviour " + o.Behaviour + ": outcomes as expected", OK: o.AsExpected(), behaviour: true}
	var differ []string
	for i := range o.Seen {
		if o.Seen[i] != o.Expected[i] {
			differ = append(differ, fmt.Sprintf("%s: %s expected, %s seen", Outcome(i).Label(), grouped(o.Expected[i]), grouped(o.Seen[i])))
		}
	}
	if v.Got = strings.Join(differ, "; "); v.OK {
		v.Got = grouped(o.Devices) + " devices"
	}
	return v
}

func (t Threshold) judge(r *Result) Verdict {
	v := Verdict{What: t.text}
	if t.measure >= 0 {
		h := r.Measures[t.measure]
		if h.Count() == 0 {
			v.Got = "not measured"
			return v
		}
		value := float64(h.At(thresholdFigures[t.figure]))
		if t.figure == "mean" {
			value = h.Mean()
		}
		v.Got, v.OK = Measure(t.measure).text(int64(value)), t.holds(value)
		return v
	}
	value := t.count(r)
	if v.Got = grouped(value); t.share {
		share := float64(value) / float64(max(r.Devices, 1))
		v.Got, v.OK = fmt.Sprintf("%.2f %%", share*100), t.holds(share)
		return v
	}
	v.OK = t.holds(float64(value))
	return v
}

func (t Threshold) count(r *Result) int64 {
	if i, err := find(outcomeNames[:], t.subject); err == nil {
		return r.Total().Seen[i]
	}
	if i, err := find(counterNames[:], t.subject); err == nil {
		return r.Counters[i]
	}
	return r.PushedPerMinute()
}

func (t Threshold) holds(value float64) bool {
	c := cmp.Compare(value, t.limit)
	switch t.op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return c == 0
}
