//go:build lab

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	name     string
	broken   string // what was cut or broken
	up       string // what came up afterwards
	reported string // what the cloud's API says
	seconds  float64
	failed   bool // it is not what it should be
}

// fill says whose row it is, where the scenario has not said it.
func (r *row) fill(s scenario, began time.Time) {
	if r.name == "" {
		r.name = s.name
	}
	if r.broken == "" {
		r.broken = s.broken
	}
	if r.seconds == 0 {
		r.seconds = time.Since(began).Seconds()
	}
}

type table []row

var columns = []string{"scenario", "what was cut or broken", "what came up", "what was reported", "s"}

func (t table) failures() (n int) {
	for _, r := range t {
		if r.failed {
			n++
		}
	}
	return n
}

func (r row) cells() []string {
	name := r.name
	if r.failed {
		name = "FAILED " + name
	}
	cells := []string{name, r.broken, r.up, r.reported, fmt.Sprintf("%.0f", r.seconds)}
	for i, c := range cells {
		cells[i] = strings.NewReplacer("\n", " ", "|", "/").Replace(c)
	}
	return cells
}

func (t table) print(w io.Writer) {
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, r := range t {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r.cells(), " | "))
	}
	fmt.Fprintln(w)
}

// Between these two lines of the page stands what the last run made.
const (
	tableBegins = "<!-- made by make lab -->"
	tableEnds   = "<!-- end -->"
)

// write puts the table into a page between its two marks. What people wrote
// around it stays.
func (t table) write(path string, full bool, took time.Duration) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), tableBegins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table: a line %q and a line %q", path, tableBegins, tableEnds)
	}
	what := "The core"
	if full {
		what = "Everything"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n\n%s, %s, in %.0f minutes:\n", before, tableBegins, what, time.Now().UTC().Format("2006-01-02"), took.Minutes())
	t.print(&b)
	b.WriteString(tableEnds + after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}
