package main

import (
	"fmt"
	"strings"
)

// page is what is written. The same page gives the same bytes.
type page struct {
	Made      string // the command
	Machine   machine
	LoadAfter string
	Runs      int
	Tables    []table
}

// table is one measurement.
type table struct {
	title    string
	about    []string // paragraphs before the figures
	commands []string // as typed
	head     []string
	rows     [][]string
	goals    []goal
}

// goal is a figure that we want, and what was found.
type goal struct {
	what     string
	limit    float64
	measured float64
	unit     string
	atLeast  bool // the limit is the smallest, not the largest
}

func (g goal) reached() bool {
	if g.atLeast {
		return g.measured >= g.limit
	}
	return g.measured <= g.limit
}

func (p page) markdown() string {
	var s strings.Builder
	s.WriteString(`# Benchmarks

Made by ` + "`" + p.Made + "`" + ` (cmd/bench), which measures whole processes on real files and
sockets. Do not edit: run it again.

* CPU is user and system time of wait4(2). Peak memory is ru_maxrss, each program
  started by time(1), since the kernel counts the peak of whoever starts a program
  as its own. MB is 1,000,000 bytes. What a server used between two moments is read from
  the clock of its process, clock_getcpuclockid(3).
* Programs that are compared were run in turns (A B A B) on the same files. Ratios
  of this page can be compared with those of another machine; seconds cannot.
* A ratio is that of the medians; behind it, in brackets, are the smallest, the
  middle and the largest ratio of neighbouring runs. Goals of time are judged by the
  ratio of the medians, goals of memory by the largest figure of all runs.

`)
	m := p.Machine
	table{head: []string{"machine", ""}, rows: [][]string{
		{"CPU", m.cpu}, {"cores", m.cores}, {"memory", m.memory}, {"kernel", m.kernel}, {"Go", m.goVersion},
		{"programs", m.programs}, {"working folder", m.filesystem}, {"date", m.date},
		{"load average before", m.load}, {"load average after", p.LoadAfter}, {"runs of each", fmt.Sprint(p.Runs)},
	}}.writeRows(&s)
	if len(p.Tables) > 1 {
		p.writeGoals(&s)
	}
	for _, t := range p.Tables {
		t.write(&s)
	}
	return s.String()
}

// writeGoals puts all goals in one place at the top.
func (p page) writeGoals(s *strings.Builder) {
	all := table{head: goalHead}
	for _, t := range p.Tables {
		for _, g := range t.goals {
			all.rows = append(all.rows, g.row())
		}
	}
	if len(all.rows) > 0 {
		s.WriteString("\n## Goals\n\n")
		all.writeRows(s)
	}
}

var goalHead = []string{"goal", "limit", "measured", "reached"}

func (g goal) row() []string {
	yes := "yes"
	if !g.reached() {
		yes = "**no**"
	}
	limit := "at most "
	if g.atLeast {
		limit = "at least "
	}
	return []string{g.what, limit + figure(g.limit) + g.unit, figure(g.measured) + g.unit, yes}
}

func (t table) write(s *strings.Builder) {
	fmt.Fprintf(s, "\n## %s\n\n", t.title)
	for _, a := range t.about {
		fmt.Fprintf(s, "%s\n\n", a)
	}
	if len(t.commands) > 0 {
		for _, c := range t.commands {
			fmt.Fprintf(s, "    %s\n", c)
		}
		s.WriteString("\n")
	}
	t.writeRows(s)
	if len(t.goals) > 0 {
		s.WriteString("\n")
		g := table{head: goalHead}
		for _, one := range t.goals {
			g.rows = append(g.rows, one.row())
		}
		g.writeRows(s)
	}
}

func (t table) writeRows(s *strings.Builder) {
	line := func(cells []string) { s.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
		if i > 0 && len(t.head) > 2 {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, r := range t.rows {
		line(r)
	}
}

// figure has three digits, and no more than three after the point.
func figure(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}

// spreadOf is the median with the smallest and the largest.
func spreadOf(s series) string {
	p := s.spread()
	return fmt.Sprintf("%s (%s to %s)", figure(p.median), figure(p.min), figure(p.max))
}

// ratioOf is the ratio of the medians, and in brackets those of the pairs.
func ratioOf(s, peer series) string {
	p := s.over(peer).spread()
	return fmt.Sprintf("%s (%s, %s, %s)", figure(ratio(s, peer)), figure(p.min), figure(p.median), figure(p.max))
}

func ratio(s, peer series) float64 { return s.spread().median / peer.spread().median }
