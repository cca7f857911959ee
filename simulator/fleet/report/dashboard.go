package report

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Screen is where a run is shown while it goes on.
type Screen struct {
	Out io.Writer
	// Size gives the columns of a terminal. Nil is no terminal: then there is one plain line each
	// PlainEvery, and nothing that steers a cursor.
	Size func() (columns int)
}

// How often a screen shows something.
const (
	liveEvery  = time.Second
	PlainEvery = 5 * time.Second
)

// etaOver is the time over which the speed is taken that the rest is guessed with.
const etaOver = 30 * time.Second

// Show shows the run until the context ends. What it drew last stays.
func (r *Recorder) Show(ctx context.Context, s Screen) {
	every := PlainEvery
	if s.Size != nil {
		every = liveEvery
	}
	t := time.NewTicker(every)
	defer t.Stop()
	d := dashboard{r: r}
	drawn := 0
	for {
		now := time.Now()
		done := false
		select {
		case <-ctx.Done():
			done = true
		case now = <-t.C:
		}
		f := d.look(now)
		if s.Size == nil {
			if !done {
				fmt.Fprintln(s.Out, f.line())
			}
		} else {
			drawn = s.draw(f.lines(s.Size()), drawn)
		}
		if done {
			return
		}
	}
}

// draw goes up over what was drawn before and writes over it.
func (s Screen) draw(lines []string, before int) int {
	var b strings.Builder
	if before > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", before)
	}
	for _, l := range lines {
		b.WriteString("\r\x1b[K" + l + "\n")
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(s.Out, b.String()) // a screen that is gone stops nothing
	return len(lines)
}

// dashboard remembers what it saw, to tell rates.
type dashboard struct {
	r    *Recorder
	past []look // not older than etaOver, but one
}

type look struct {
	at       time.Time
	counters [counters]int64
	ended    int64
}

// frame is one moment of a run.
type frame struct {
	glance
	since     time.Duration
	rates     [counters]float64 // a second, since the last frame
	total     Outcomes
	states    [states]int64
	eta       time.Duration // -1: not known
	lost      int64
	resumed   int64
	wasted    int64
	connect   *Histogram
	success   *Histogram
	late      *Histogram
	finished  int64
	connected int64
}

func (d *dashboard) look(now time.Time) frame {
	f := frame{glance: d.r.now(), since: now.Sub(d.r.began), eta: -1, connect: d.r.histogram(Connect), success: d.r.histogram(NoticeToSuccess), late: d.r.histogram(Lateness)}
	this := look{at: now}
	for i := range this.counters {
		this.counters[i] = d.r.Count(Counter(i))
	}
	for i := range f.states {
		f.states[i] = d.r.In(State(i))
	}
	for _, o := range f.outcomes {
		f.total.plus(o)
	}
	for _, n := range f.total.Seen {
		this.ended += n
	}
	f.finished, f.lost, f.resumed, f.wasted, f.connected = this.ended, this.counters[Disconnects], this.counters[Resumes], this.counters[BytesWasted], this.counters[Connected]
	before := look{at: d.r.began}
	if len(d.past) > 0 {
		before = d.past[len(d.past)-1]
	}
	if wall := now.Sub(before.at).Seconds(); wall > 0 {
		for i := range f.rates {
			f.rates[i] = float64(this.counters[i]-before.counters[i]) / wall
		}
	}
	d.past = append(d.past, this)
	for len(d.past) > 2 && now.Sub(d.past[1].at) >= etaOver {
		d.past = d.past[1:]
	}
	first := d.past[0]
	if ended, wall := this.ended-first.ended, now.Sub(first.at); ended > 0 && f.devices > 0 {
		f.eta = time.Duration(float64(max(f.devices-this.ended-f.never(), 0)) / float64(ended) * float64(wall))
	}
	return f
}

// never is how many devices are not expected to end by themselves.
func (f frame) never() (n int64) {
	for o := NeverAnswered; o < outcomes; o++ {
		n += max(f.total.Expected[o]-f.total.Seen[o], 0)
	}
	return n
}

// line is the frame where there is no terminal.
func (f frame) line() string {
	parts := []string{clockLabel(f.since.Seconds())}
	for s, n := range f.states {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", State(s).Label(), n))
		}
	}
	parts = append(parts, fmt.Sprintf("connects %.0f/s", f.rates[Connected]), fmt.Sprintf("notices %.1f/s", f.rates[NoticesPushed]+f.rates[NoticesPulled]),
		fmt.Sprintf("%s MB/s", figure(f.rates[Bytes]/1e6)))
	if f.connect.Count() > 0 {
		parts = append(parts, "connect p99 "+took(f.connect.At(99)))
	}
	if f.success.Count() > 0 {
		parts = append(parts, "update p99 "+took(f.success.At(99)))
	}
	if f.eta >= 0 {
		parts = append(parts, "ETA "+clockLabel(f.eta.Seconds()))
	}
	if len(f.invalid) > 0 {
		parts = append(parts, "INVALID: "+legal(f.invalid[0]))
	}
	return strings.Join(parts, ", ")
}

// Limits of what is drawn.
const (
	minColumns = 40
	maxColumns = 100
)

// lines is the frame in a terminal. No line is longer than the columns.
func (f frame) lines(columns int) []string {
	columns = min(max(columns, minColumns), maxColumns)
	head := clockLabel(f.since.Seconds())
	if f.eta >= 0 {
		head += ", about " + clockLabel(f.eta.Seconds()) + " to go"
	}
	name := f.run.Title
	if name == "" {
		name = "otasim fleet"
	}
	if f.run.Shard != "" {
		name += ", shard " + f.run.Shard
	}
	out := []string{legal(name) + "  " + head, ""}
	out = append(out, f.bars(columns)...)
	out = append(out, "",
		f.row("connect", fmt.Sprintf("%s/s, lost %s", figure(f.rates[Connected]), grouped(f.lost)), f.connect),
		f.row("notices", fmt.Sprintf("%s/s, in the last minute %s%s", figure(f.rates[NoticesPushed]+f.rates[NoticesPulled]), grouped(f.pushed), f.limit()), nil),
		f.row("download", fmt.Sprintf("%s MB/s, resumed %s, wasted %s", figure(f.rates[Bytes]/1e6), grouped(f.resumed), amount(f.wasted)), nil),
		f.row("update", fmt.Sprintf("%s of %s ended", grouped(f.finished), grouped(f.devices)), f.success),
		f.row("failed", f.failures(), nil),
		f.row("generator", fmt.Sprintf("%.0f %% of %d cores, %s, %s sockets", 100*f.cpu, f.health.Cores, amount(f.sample.Memory), grouped(int64(f.sample.Sockets))), nil),
		f.row("", "late", f.late))
	for _, reason := range f.invalid {
		out = append(out, "INVALID: "+legal(reason))
	}
	for i := range out {
		out[i] = cut(out[i], columns)
	}
	return out
}

func (f frame) limit() string {
	if f.pushLimit <= 0 {
		return ""
	}
	return " of at most " + figure(f.pushLimit)
}

func (f frame) row(name, text string, h *Histogram) string {
	if h.Count() > 0 {
		text += fmt.Sprintf(", p50 %s, p99 %s, max %s", took(h.At(50)), took(h.At(99)), took(h.Max()))
	}
	return fmt.Sprintf("%-10s %s", name, text)
}

func (f frame) failures() string {
	var parts []string
	for o := UpgradeFailed; o <= NeverAnswered; o++ {
		if n := f.total.Seen[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", o, grouped(n)))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), "_", " ")
}

// bars shows the states, each as long as its share of the devices.
func (f frame) bars(columns int) []string {
	var out []string
	const label, number = 12, 10
	width := columns - label - number - 1
	for s, n := range f.states {
		if n == 0 && (State(s) == Waiting || State(s) == Offline) {
			continue
		}
		full := 0
		if f.devices > 0 {
			full = min(int(n*int64(width)/f.devices), width)
		}
		if full == 0 && n > 0 {
			full = 1
		}
		out = append(out, fmt.Sprintf("%-*s%*s %s", label, State(s).Label(), number, grouped(n), strings.Repeat("█", full)))
	}
	return out
}

// cut shortens a line to so many characters.
func cut(s string, columns int) string {
	runes := []rune(s)
	if len(runes) <= columns {
		return s
	}
	return string(runes[:columns-1]) + "…"
}
