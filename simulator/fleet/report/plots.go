package report

import (
	"math"
	"time"
)

// maxPoints of a line; more cannot be told apart.
const maxPoints = 400

// times is the axis of time that all plots over time share.
type times struct {
	x     axis
	xs    []float64
	each  int     // buckets in one point
	width float64 // seconds of one point
	marks []mark
}

func (r *Result) times() times {
	n := r.series.len()
	t := times{each: max((n+maxPoints-1)/maxPoints, 1)}
	step := float64(max(r.series.step, 1))
	t.width = step * float64(t.each)
	for i := 0; i < n; i += t.each {
		t.xs = append(t.xs, float64(min(i+t.each, n))*step)
	}
	t.x = clock(float64(n) * step)
	for _, m := range r.Marks {
		t.marks = append(t.marks, mark{m.At.Sub(r.Began).Seconds(), legal(m.Text)})
	}
	return t
}

func (t times) plot(id, title, about string) plot {
	return plot{id: id, title: title, about: about, x: t.x, xs: t.xs, marks: t.marks, when: clockLabel, head: "time", value: tickNumber}
}

// points joins the buckets of each point; get gives one bucket's value.
func points[T any](t times, all []T, join func([]T) float64) []float64 {
	out := make([]float64, 0, len(t.xs))
	for i := 0; i < len(all); i += t.each {
		out = append(out, join(all[i:min(i+t.each, len(all))]))
	}
	return out
}

func lastOf(all []int64) float64 { return float64(last(all)) }

func mostOf[T int64 | float64](all []T) float64 {
	var most T
	for _, v := range all {
		most = max(most, v)
	}
	return float64(most)
}

func sumOf(all []int64) float64 {
	var sum int64
	for _, v := range all {
		sum += v
	}
	return float64(sum)
}

// rate is a counter in a second, the mean of each point.
func (r *Result) rate(t times, c Counter) []float64 {
	step := float64(max(r.series.step, 1))
	return points(t, r.series.counters[c], func(all []int64) float64 { return sumOf(all) / step / float64(len(all)) })
}

// worst is a counter in a second, the largest of each point.
func (r *Result) worst(t times, c Counter) []float64 {
	step := float64(max(r.series.step, 1))
	return points(t, r.series.counters[c], func(all []int64) float64 { return mostOf(all) / step })
}

func largest(lines ...line) float64 {
	most := 0.0
	for _, l := range lines {
		for _, v := range l.values {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	return most
}

func (r *Result) plotStates(t times) plot {
	p := t.plot("states", "Where the devices were", "Devices in each state, stacked.")
	p.stack = true
	sums := make([]float64, len(t.xs))
	for s := int(states) - 1; s >= 0; s-- {
		values := points(t, r.series.states[s], lastOf)
		if largest(line{values: values}) == 0 {
			continue
		}
		p.lines = append(p.lines, line{label: State(s).Label(), class: "s-" + State(s).String(), values: values})
		for i := range sums {
			sums[i] += values[i]
		}
	}
	p.y = upTo(mostOf(sums), true, tickNumber)
	return p
}

// plotTrend shows percentiles over time.
func (r *Result) plotTrend(t times, which int, id, title, about string) plot {
	p := t.plot(id, title, about)
	joined := points2(t, r.series.trends[which])
	low, high := math.Inf(1), 0.0
	for _, q := range []struct {
		label, class string
		percent      float64
	}{{"p50", "c1", 50}, {"p90", "c2", 90}, {"p99", "c3", 99}} {
		l := line{label: q.label, class: q.class}
		for _, one := range joined {
			v, ok := one.at(q.percent)
			if !ok {
				l.values = append(l.values, math.NaN())
				continue
			}
			low, high = min(low, float64(v)), max(high, float64(v))
			l.values = append(l.values, float64(v))
		}
		p.lines = append(p.lines, l)
	}
	p.value = func(v float64) string { return took(int64(v)) }
	p.y = decades(low, high, tickTime)
	return p
}

// points2 adds the trends of each point up.
func points2(t times, all []trend) []trend {
	var out []trend
	for i := 0; i < len(all); i += t.each {
		var sum trend
		for _, one := range all[i:min(i+t.each, len(all))] {
			sum = sum.add(one)
		}
		out = append(out, sum)
	}
	return out
}

// plotSpread shows whole histograms, on an axis where the rare cases have room.
func (r *Result) plotSpread(id, title, about string, which ...Measure) plot {
	p := plot{id: id, title: title, about: about, head: "percentile"}
	var count int64
	low, high := math.Inf(1), 0.0
	for _, m := range which {
		if h := r.Measures[m]; h.Count() > 0 {
			count = max(count, h.Count())
			low, high = min(low, float64(max(h.At(10), 1))), max(high, float64(h.Max()))
		}
	}
	p.x = nines(count)
	for x := 0.05; x < p.x.high; x += 0.05 {
		p.xs = append(p.xs, x)
	}
	p.xs = append(p.xs, p.x.high)
	for i, m := range which {
		h := r.Measures[m]
		if h.Count() == 0 {
			continue
		}
		l := line{label: m.Label(), class: []string{"c1", "c2", "c3", "c4"}[i%4]}
		for j, x := range p.xs {
			v := h.At(percentAt(x))
			if j == len(p.xs)-1 {
				v = h.Max()
			}
			l.values = append(l.values, float64(v))
		}
		p.lines = append(p.lines, l)
	}
	p.value = func(v float64) string { return took(int64(v)) }
	p.when = func(x float64) string {
		if x >= p.x.high {
			return "max"
		}
		return tickNumber(math.Round(percentAt(x)*1000)/1000) + " %"
	}
	p.y = decades(low, high, tickTime)
	return p
}

func (r *Result) plotBytes(t times) plot {
	p := t.plot("bytes", "Throughput", "Bytes of packages that arrived in a second, and those of them that could not be used.")
	mega := func(all []float64) []float64 {
		for i := range all {
			all[i] /= 1e6
		}
		return all
	}
	p.lines = []line{{label: "downloaded", class: "c1", values: mega(r.rate(t, Bytes)), area: true}}
	if r.Counters[BytesWasted] > 0 {
		p.lines = append(p.lines, line{label: "wasted", class: "bad", values: mega(r.rate(t, BytesWasted))})
	}
	p.value = func(v float64) string { return figure(v) + " MB/s" }
	p.y = upTo(largest(p.lines...), false, func(v float64) string { return tickNumber(v) + " MB/s" })
	return p
}

func (r *Result) plotPush(t times) plot {
	p := t.plot("push", "Push rate", "New notices that came by themselves: in the last 60 seconds, which the limit is about, and as they came, on a minute. Those that were sent again are not here.")
	step := float64(max(r.series.step, 1))
	now := points(t, r.series.pushed(), func(all []int64) float64 { return sumOf(all) / step / float64(len(all)) * 60 })
	p.lines = []line{
		{label: "as they came", class: "c4 thin", values: now},
		{label: "in the last 60 s", class: "c1", values: points(t, r.series.window(), mostOf[int64]), area: true},
	}
	p.limit = r.PushLimit
	p.value = func(v float64) string { return figure(v) + "/min" }
	p.y = upTo(max(largest(p.lines...), r.PushLimit), true, func(v float64) string { return tickNumber(v) + "/min" })
	if r.Counters[NoticesPushed] == 0 {
		p.lines = nil
	}
	return p
}

// plotConnections shows the worst second of each point: a storm is a matter of seconds.
func (r *Result) plotConnections(t times) plot {
	p := t.plot("connections", "Connections and reconnects", "Events in the busiest second of each point.")
	for _, c := range []struct {
		c     Counter
		label string
		class string
	}{{Connected, "signed in", "c1"}, {Reconnects, "of them again", "c5"}, {Disconnects, "lost", "c2"}, {ConnectFailures, "failed", "bad"}, {ConnectRefused, "refused", "c4"}} {
		if r.Counters[c.c] > 0 {
			p.lines = append(p.lines, line{label: c.label, class: c.class, values: r.worst(t, c.c)})
		}
	}
	p.value = func(v float64) string { return figure(v) + "/s" }
	p.y = upTo(largest(p.lines...), true, func(v float64) string { return tickNumber(v) + "/s" })
	return p
}

func (r *Result) plotTrouble(t times) plot {
	p := t.plot("trouble", "What went wrong on the way", "Events in the busiest second of each point; most are survived.")
	for i, c := range []Counter{DownloadErrors, Busy, Resumes, DuplicateNotices, Unanswered} {
		if r.Counters[c] > 0 {
			p.lines = append(p.lines, line{label: c.Label(), class: []string{"bad", "c2", "c1", "c4", "c3"}[i], values: r.worst(t, c)})
		}
	}
	p.value = func(v float64) string { return figure(v) + "/s" }
	p.y = upTo(largest(p.lines...), true, func(v float64) string { return tickNumber(v) + "/s" })
	return p
}

func (r *Result) plotCPU(t times) plot {
	p := t.plot("cpu", "The generator's processors", "How much of its cores it used; of several generators the busiest one. Above the limit its figures are its own.")
	p.lines = []line{{label: "used", class: "c2", values: points(t, r.series.cpu, mostOf[float64]), area: true}}
	p.limit = busyShare
	p.value = tickPercent
	p.y = upTo(1, false, tickPercent)
	return p
}

func (r *Result) plotLate(t times) plot {
	p := r.plotTrend(t, len(trended)-1, "late", "The generator's lateness", "How long after its time the generator did what was due.")
	p.limit = float64(lateLimit / time.Microsecond)
	if !p.hasValues() {
		return p
	}
	p.y = decades(min(p.y.low, 1000), max(p.y.high, p.limit), tickTime)
	return p
}
