package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the result as tables for a terminal.
func (r *Result) WriteText(w io.Writer, verdicts []Verdict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.textHead(w)
	fmt.Fprintf(t, "\n\tcount\tp50\tp90\tp99\tp99.9\tmax\t\n")
	for m := range measures {
		h := r.Measures[m]
		if h.Count() == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t", m.Label(), grouped(h.Count()))
		for _, p := range percentiles {
			fmt.Fprintf(t, "%s\t", m.text(h.At(p)))
		}
		fmt.Fprintf(t, "%s\t\n", m.text(h.Max()))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.textOutcomes(t)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t)
	for _, f := range r.facts() {
		fmt.Fprintf(t, "%s\t%s\t\n", f.Label, f.Value)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return textVerdicts(w, verdicts)
}

// percentiles that every table shows.
var percentiles = []float64{50, 90, 99, 99.9}

func (r *Result) textHead(w io.Writer) {
	if !r.Valid() {
		fmt.Fprintln(w, "INVALID: the generator was saturated, these figures are its own and not the cloud's.")
		for _, reason := range r.Invalid {
			fmt.Fprintf(w, "  * %s\n", legal(reason))
		}
	}
	fmt.Fprintf(w, "%s: %s\n", legal(r.title()), r.sentence())
	if r.Run.Knee != "" {
		fmt.Fprintf(w, "knee: %s\n", legal(r.Run.Knee))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", legal(n))
	}
}

func (r *Result) title() string {
	if r.Run.Title != "" {
		return r.Run.Title
	}
	return "Load test of a fleet"
}

// sentence says what came out of it in one line.
func (r *Result) sentence() string {
	all := r.Total()
	var failed int64
	for o := UpgradeFailed; o <= NeverAnswered; o++ {
		failed += all.Seen[o]
	}
	s := fmt.Sprintf("%s devices, %s updated, %s failed", grouped(r.Devices), grouped(all.Seen[Succeeded]), grouped(failed))
	if rest := all.Seen[NotReached] + all.Seen[Unfinished]; rest > 0 {
		s += fmt.Sprintf(", %s not done", grouped(rest))
	}
	return s + " in " + span(r.Duration())
}

// span is a duration for people.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
}

func (r *Result) textOutcomes(t io.Writer) {
	fmt.Fprintf(t, "\noutcome\texpected\tseen\t\n")
	all := r.Total()
	for o := range outcomes {
		if all.Expected[o] == 0 && all.Seen[o] == 0 {
			continue
		}
		mark := ""
		if all.Expected[o] != all.Seen[o] && r.expects() {
			mark = "  differs"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", o.Label(), r.expectedText(all, o), grouped(all.Seen[o]), mark)
	}
}

// expects says whether anybody said how updates should end.
func (r *Result) expects() bool { return r.Total().Expected != [outcomes]int64{} }

func (r *Result) expectedText(all Outcomes, o Outcome) string {
	if !r.expects() {
		return "-"
	}
	return grouped(all.Expected[o])
}

// fact is a line of the table of counts.
type fact struct{ Label, Value, About string }

// facts are the counters that are not 0, and what follows from them.
func (r *Result) facts() []fact {
	var all []fact
	for c := range counters {
		n := r.Counters[c]
		if n == 0 {
			continue
		}
		value := grouped(n)
		switch c {
		case Bytes:
			value = fmt.Sprintf("%s, %s MB/s", amount(n), figure(r.Rate(Bytes)/1e6))
		case BytesWasted:
			value = fmt.Sprintf("%s (%.2f %%)", amount(n), 100*float64(n)/float64(max(r.Counters[Bytes], 1)))
		case NoticesPushed:
			value = fmt.Sprintf("%s, at most %s new ones in any 60 s%s", grouped(n), grouped(r.PushedPerMinute()), r.limitText())
		}
		all = append(all, fact{c.Label(), value, counterNames[c].about})
	}
	for _, h := range r.Health {
		all = append(all, fact{strings.TrimSpace("generator " + legal(h.Shard)), h.text(), ""})
	}
	return all
}

func (r *Result) limitText() string {
	if r.PushLimit <= 0 {
		return ""
	}
	return " (the limit is " + figure(r.PushLimit) + ")"
}

func (h Health) text() string {
	s := fmt.Sprintf("%.0f %% of %d cores (at most %.0f %%), %s, %s sockets", 100*h.CPUMean, h.Cores, 100*h.CPUMax, amount(h.MemoryMax), grouped(int64(h.SocketsMax)))
	if h.SocketLimit > 0 {
		s += " of " + grouped(int64(h.SocketLimit))
	}
	return s
}

func textVerdicts(w io.Writer, verdicts []Verdict) error {
	if len(verdicts) > 0 {
		fmt.Fprintln(w)
	}
	for _, v := range verdicts {
		word := "ok    "
		if !v.OK {
			word = "BROKEN"
		}
		if _, err := fmt.Fprintf(w, "%s  %s (%s)\n", word, legal(v.What), legal(v.Got)); err != nil {
			return err
		}
	}
	return nil
}
