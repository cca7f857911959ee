package report

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxApart is how far apart shards of one run may begin.
const maxApart = 24 * time.Hour

// Merge makes one result of several processes' ones. Counts are added and
// histograms too, bucket by bucket, so percentiles are those of one histogram that
// had all samples. Results that must not be added are refused: the same one twice,
// or runs of different scenarios, seeds or endpoints. The inputs stay as they are.
func Merge(all ...*Result) (*Result, error) {
	if len(all) == 0 {
		return nil, errors.New("there is nothing to merge")
	}
	if err := together(all); err != nil {
		return nil, err
	}
	out := &Result{Run: all[0].Run, Began: all[0].Began, Ended: all[0].Ended, PushLimit: all[0].PushLimit}
	for i := range out.Measures {
		out.Measures[i] = &Histogram{}
	}
	for _, r := range all {
		if r.Began.Before(out.Began) {
			out.Began = r.Began
		}
		if r.Ended.After(out.Ended) {
			out.Ended = r.Ended
		}
	}
	for _, r := range all {
		if err := out.plus(r); err != nil {
			return nil, err
		}
	}
	out.series = mergeSeries(out.Began, all)
	out.missing()
	return out, nil
}

// together says why results are not of one run.
func together(all []*Result) error {
	from := map[string]bool{}
	for _, r := range all {
		for _, p := range r.Parts {
			if from[p.ID] {
				return fmt.Errorf("the result %s (shard %q of %q) is given twice", p.ID, p.Shard, p.Host)
			}
			from[p.ID] = true
		}
		a, b := all[0].Run, r.Run
		switch {
		case a.Scenario != b.Scenario:
			return fmt.Errorf("the scenarios differ: %q and %q", a.Scenario, b.Scenario)
		case a.Seed != b.Seed:
			return fmt.Errorf("the seeds differ: %d and %d", a.Seed, b.Seed)
		case a.Endpoint != b.Endpoint:
			return fmt.Errorf("the endpoints differ: %q and %q", a.Endpoint, b.Endpoint)
		case all[0].PushLimit != r.PushLimit:
			return fmt.Errorf("the push limits differ: %v and %v a minute", all[0].PushLimit, r.PushLimit)
		case r.Began.Sub(all[0].Began).Abs() > maxApart:
			return fmt.Errorf("the runs began more than %v apart", maxApart)
		}
	}
	return nil
}

// plus adds everything but the series.
func (r *Result) plus(o *Result) error {
	r.Parts = append(r.Parts, o.Parts...)
	r.Health = append(r.Health, o.Health...)
	r.Devices += o.Devices
	for _, reason := range o.Invalid {
		if who := o.who(); who != "" && len(o.Parts) == 1 {
			reason = "shard " + who + ": " + reason
		}
		r.Invalid = append(r.Invalid, reason)
	}
	for _, n := range o.Notes {
		if !slices.Contains(r.Notes, n) {
			r.Notes = append(r.Notes, n)
		}
	}
	for _, m := range o.Marks {
		if !slices.ContainsFunc(r.Marks, m.same) {
			r.Marks = append(r.Marks, m)
		}
	}
	if r.Run.Knee == "" {
		r.Run.Knee = o.Run.Knee
	}
	for i := range r.States {
		r.States[i] += o.States[i]
	}
	for i := range r.Counters {
		r.Counters[i] += o.Counters[i]
	}
	for i := range r.Measures {
		if err := r.Measures[i].add(o.Measures[i]); err != nil {
			return fmt.Errorf("%s: %w", Measure(i), err)
		}
	}
	for _, b := range o.Behaviours {
		i := slices.IndexFunc(r.Behaviours, func(have Outcomes) bool { return have.Behaviour == b.Behaviour })
		if i < 0 {
			i = len(r.Behaviours)
			r.Behaviours = append(r.Behaviours, Outcomes{Behaviour: b.Behaviour})
		}
		r.Behaviours[i].plus(b)
	}
	return nil
}

// same says whether two shards tell of one moment.
func (m Mark) same(o Mark) bool {
	return m.Text == o.Text && m.At.Sub(o.At).Abs() <= 2*time.Second
}

func (r *Result) who() string {
	if len(r.Parts) == 0 {
		return ""
	}
	return r.Parts[0].Shard
}

// missing notes which shards of "i/n" were not given.
func (r *Result) missing() {
	have, of := map[int]bool{}, 0
	for _, p := range r.Parts {
		i, n, ok := strings.Cut(p.Shard, "/")
		index, err1 := strconv.Atoi(i)
		count, err2 := strconv.Atoi(n)
		if !ok || err1 != nil || err2 != nil || count > maxParts || of != 0 && count != of {
			return
		}
		have[index], of = true, count
	}
	if len(have) < of {
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %d shards are merged here", len(have), of))
	}
}

// mergeSeries puts series side by side on the clock of the world and adds them up.
// Levels are added too, but the processor's load: there the busiest generator
// counts.
func mergeSeries(began time.Time, all []*Result) series {
	out := series{step: 1}
	for _, r := range all {
		out.step = max(out.step, r.series.step)
	}
	starts := make([]int, len(all))
	widest := func() (n int) {
		for i, r := range all {
			starts[i] = int(r.Began.Sub(began).Round(time.Second)/time.Second) / out.step
			buckets := (r.series.len()*max(r.series.step, 1) + out.step - 1) / out.step
			n = max(n, starts[i]+buckets)
		}
		return n
	}
	for widest() > maxBuckets {
		out.step *= 2
	}
	n := widest()
	for out.len() < n {
		out.grow()
	}
	for i, r := range all {
		s := r.series.clone()
		for s.step < out.step {
			s.halve()
		}
		out.plus(&s, starts[i], r)
	}
	return out
}

// plus adds a series of the same step that begins at a bucket. Before it begins
// its devices are waiting; after its end they stay as they were.
func (s *series) plus(o *series, from int, r *Result) {
	end := from + o.len()
	for b := range s.len() {
		for i := range s.states {
			switch {
			case b >= from && b < end:
				s.states[i][b] += o.states[i][b-from]
			case b >= end:
				s.states[i][b] += last(o.states[i])
			case State(i) == Waiting:
				s.states[i][b] += r.Devices
			}
		}
		if b < from || b >= end {
			continue
		}
		for i := range s.counters {
			s.counters[i][b] += o.counters[i][b-from]
		}
		for i := range s.trends {
			s.trends[i][b] = s.trends[i][b].add(o.trends[i][b-from])
		}
		s.cpu[b] = max(s.cpu[b], o.cpu[b-from])
		s.sockets[b] += o.sockets[b-from]
		s.memory[b] += o.memory[b-from]
	}
}
