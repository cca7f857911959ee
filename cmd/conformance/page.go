package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const head = `# What holds

Made by ` + "`make conformance`" + ` from a run of the tests; do not edit. A test counts when its name begins with the id or
its comment names it. What a row has besides tests comes from docs/conformance.map.

`

const (
	rulesTotal = 55
	sections   = 11
)

// faults are the families of the fault list.
var faults = []struct{ letter, title string }{
	{"N", "Network"}, {"S", "Storage"}, {"W", "Power and process"}, {"K", "Clock"},
	{"T", "Trust"}, {"B", "Boot loader"}, {"I", "Input"}, {"F", "Fleet and cloud"},
}

// write makes the page, and reports whether every rule has a test that passes.
func write(w io.Writer, src *source, rules map[string]string, known map[string]entry, results map[string]string) bool {
	io.WriteString(w, head)
	good := 0
	var rows strings.Builder
	for i := 1; i <= rulesTotal; i++ {
		id := "P" + strconv.Itoa(i)
		state, tests := judge(src.tests[id], results)
		if state == "pass" {
			good++
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", id, rules[id], state, places(src.where[id]), with(tests, known[id].note))
	}
	fmt.Fprintf(w, "## Rules: %d of %d\n\n| rule | | state | where | tests |\n|---|---|---|---|---|\n%s", good, rulesTotal, rows.String())

	fmt.Fprintf(w, "\n## Cloud API: %d actions\n\n| action | state | tests |\n|---|---|---|\n", len(src.actions))
	for _, a := range src.actions {
		state, tests := judge(src.tests[a], results)
		fmt.Fprintf(w, "| %s | %s | %s |\n", a, state, with(tests, known[a].note))
	}
	fmt.Fprint(w, "\n## Protocol\n\n| section | | state | tests |\n|---|---|---|---|\n")
	for i := 1; i <= sections; i++ {
		id := "section " + strconv.Itoa(i)
		state, tests := judge(src.tests[id], results)
		fmt.Fprintf(w, "| %d | %s | %s | %s |\n", i, known[id].title, state, with(tests, known[id].note))
	}
	fmt.Fprint(w, "\n## Faults\n")
	for _, f := range faults {
		fmt.Fprintf(w, "\n### %s\n\n| id | fault | state | tests |\n|---|---|---|---|\n", f.title)
		for _, id := range family(src, known, f.letter) {
			state, tests := judge(src.tests[id], results)
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", id, known[id].title, state, with(tests, known[id].note))
		}
	}
	return good == rulesTotal
}

// judge gives the worst of the tests' results, "none" when there is no test.
func judge(names []string, results map[string]string) (state, list string) {
	state = "none"
	var shown []string
	for _, n := range names {
		r, ran := results[n]
		switch {
		case !ran || r == "fail":
			state = "fail"
		case state == "none" || state == "skip" && r == "pass":
			state = r
		}
		shown = append(shown, "`"+n+"`")
	}
	return state, strings.Join(shown, ", ")
}

func places(files []string) string {
	if len(files) > 4 {
		return strings.Join(files[:4], ", ") + fmt.Sprintf(" and %d more", len(files)-4)
	}
	return strings.Join(files, ", ")
}

func with(tests, note string) string {
	switch {
	case note == "":
		return tests
	case tests == "":
		return note
	}
	return tests + "; " + note
}

// family are the ids of one letter that a test or the map knows, by number.
func family(src *source, known map[string]entry, letter string) []string {
	var ids []string
	for id := range known {
		ids = append(ids, id)
	}
	for id := range src.tests {
		ids = append(ids, id)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		_, err := strconv.Atoi(strings.TrimPrefix(id, letter))
		return !strings.HasPrefix(id, letter) || err != nil
	})
	slices.SortFunc(ids, func(a, b string) int { return number(a) - number(b) })
	return slices.Compact(ids)
}

func number(id string) int {
	n, _ := strconv.Atoi(id[1:])
	return n
}
