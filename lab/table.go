//go:build lab

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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

const failedMark = "FAILED "

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
		name = failedMark + name
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

// Between these two lines of the page stand the rows of the last runs.
const (
	tableBegins = "<!-- made by make lab -->"
	tableEnds   = "<!-- end -->"
)

// write puts the rows into a page between its two marks, each in the place of
// the row of that name, so that one scenario can be run again. What people
// wrote around them stays.
func (t table) write(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), tableBegins)
	old, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table: a line %q and a line %q", path, tableBegins, tableEnds)
	}
	var b bytes.Buffer
	b.WriteString(before + tableBegins + "\n")
	append(t, t.others(old)...).sorted().print(&b)
	b.WriteString(tableEnds + after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// others are the rows of an older table that this one does not have.
func (t table) others(old string) (rows table) {
	for _, l := range strings.Split(old, "\n") {
		cells := strings.Split(strings.Trim(l, "| "), " | ")
		if len(cells) != len(columns) || cells[0] == columns[0] {
			continue
		}
		r := row{name: strings.TrimPrefix(cells[0], failedMark), broken: cells[1], up: cells[2], reported: cells[3]}
		r.failed = r.name != cells[0]
		r.seconds, _ = strconv.ParseFloat(cells[4], 64) // what is no number was not written here
		if !slices.ContainsFunc(t, func(have row) bool { return have.name == r.name }) {
			rows = append(rows, r)
		}
	}
	return rows
}

// sorted puts the rows into the order of the scenarios, which are named like
// them or are the beginning of their name.
func (t table) sorted() table {
	rank := func(r row) int {
		best, length := len(t)+1000, 0
		for i, s := range scenarios() {
			for _, name := range s.rows {
				if (r.name == name || strings.HasPrefix(r.name, name+"-")) && len(name) > length {
					best, length = i, len(name)
				}
			}
		}
		return best
	}
	slices.SortStableFunc(t, func(a, b row) int { return cmp.Or(rank(a)-rank(b), number(a.name)-number(b.name)) })
	return t
}

// number is what a name ends with, "cut-12".
func number(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil {
		return 0
	}
	return n
}
