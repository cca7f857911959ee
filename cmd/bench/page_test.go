package main

import (
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		s    series
		want spread
	}{
		{series{3}, spread{3, 3, 3}},
		{series{5, 1, 2}, spread{1, 2, 5}},
		{series{4, 1, 2, 3}, spread{1, 2.5, 4}},
	} {
		if got := c.s.spread(); got != c.want {
			t.Errorf("%v: got %v, want %v", c.s, got, c.want)
		}
	}
	s := series{5, 1}
	s.spread()
	if s[0] != 5 {
		t.Error("a series lost its order, and with it its pairs")
	}
}

func TestRatio(t *testing.T) {
	us, peer := series{2, 4, 9}, series{1, 4, 3}
	if got, want := ratioOf(us, peer), "1.33 (1.00, 2.00, 3.00)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFigure(t *testing.T) {
	for f, want := range map[float64]string{0.0419: "0.042", 1.254: "1.25", 12.34: "12.3", 817.4: "817"} {
		if got := figure(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}

func TestUpdateTable(t *testing.T) {
	u := func(ms int, peak int64) usage {
		return usage{CPU: time.Duration(ms) * time.Millisecond, Wall: time.Second, Peak: peak * mb}
	}
	ways := []contender{
		{"us", []usage{u(900, 20), u(1000, 25), u(1100, 20)}},
		{"pipe", []usage{u(500, 10), u(500, 10), u(500, 10)}},
		{"openssl", []usage{u(500, 10), u(800, 10), u(2000, 10)}},
		{"twice", []usage{u(1000, 10), u(1000, 10), u(1000, 10)}},
	}
	got := updateTable(ways)
	want := [][]string{
		{"us", "1.00 (0.900 to 1.10)", "1", "20.0 (20.0 to 25.0)", "268 (268 to 268)"},
		{"pipe", "0.500 (0.500 to 0.500)", "2.00 (1.80, 2.00, 2.20)", "10.0 (10.0 to 10.0)", "268 (268 to 268)"},
		{"openssl", "0.800 (0.500 to 2.00)", "1.25 (0.550, 1.25, 1.80)", "10.0 (10.0 to 10.0)", "268 (268 to 268)"},
		{"twice", "1.00 (1.00 to 1.00)", "1.00 (0.900, 1.00, 1.10)", "10.0 (10.0 to 10.0)", "268 (268 to 268)"},
	}
	if d := gocmp.Diff(want, got.rows); d != "" {
		t.Error(d)
	}
	for _, g := range got.goals {
		if g.reached() {
			t.Errorf("%s: %v is taken for at most %v", g.what, g.measured, g.limit)
		}
	}
}

func TestMarkdown(t *testing.T) {
	p := page{Made: "make bench", Runs: 5, LoadAfter: "1 2 3", Tables: []table{
		{title: "First", about: []string{"Why."}, commands: []string{"one", "two"}, head: []string{"", "a"}, rows: [][]string{{"x", "1"}},
			goals: []goal{{"small", 12, 10.5, " MB", false}, {"quick", 1.5, 1.51, "", false}, {"large", 0.8, 0.79, "", true}, {"full", 0.8, 0.8, "", true}}},
		{title: "Second", head: []string{"", "a", "b"}, rows: [][]string{{"x", "1", "2"}}},
	}}
	got := p.markdown()
	if got != p.markdown() {
		t.Error("the same page gave other bytes")
	}
	_, got, _ = strings.Cut(got, "| runs of each | 5 |\n")
	want := `
## Goals

| goal | limit | measured | reached |
| --- | ---: | ---: | ---: |
| small | at most 12.0 MB | 10.5 MB | yes |
| quick | at most 1.50 | 1.51 | **no** |
| large | at least 0.800 | 0.790 | **no** |
| full | at least 0.800 | 0.800 | yes |

## First

Why.

    one
    two

| | a |
| --- | --- |
| x | 1 |

| goal | limit | measured | reached |
| --- | ---: | ---: | ---: |
| small | at most 12.0 MB | 10.5 MB | yes |
| quick | at most 1.50 | 1.51 | **no** |
| large | at least 0.800 | 0.790 | **no** |
| full | at least 0.800 | 0.800 | yes |

## Second

| | a | b |
| --- | ---: | ---: |
| x | 1 | 2 |
`
	if d := gocmp.Diff(want, strings.ReplaceAll(got, "|  |", "| |")); d != "" {
		t.Error(d)
	}
}

func TestParseBench(t *testing.T) {
	got := parseBench(`goos: linux
BenchmarkSHA256/simd-2 	 300	 1290000 ns/op	 812.85 MB/s	 0 B/op	 0 allocs/op
BenchmarkSHA256/simd-2 	 300	 1310000 ns/op	 800.00 MB/s	 0 B/op	 0 allocs/op
PASS
`)
	want := map[string]series{"ns/op": {1290000, 1310000}, "MB/s": {812.85, 800}, "B/op": {0, 0}, "allocs/op": {0, 0}}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
