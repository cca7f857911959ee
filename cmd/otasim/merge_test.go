package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator/fleet/report"
)

// writeShard writes the result of a shard that saw the given times to connect.
func writeShard(t *testing.T, dir string, i, n int, invalid string, took ...time.Duration) string {
	t.Helper()
	began := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	r := report.New(began)
	r.Describe(report.Run{Title: "lamps", Scenario: "good.toml", Seed: 1, Endpoint: "mqtt://cloud", Shard: fmt.Sprintf("%d/%d", i, n)})
	r.Devices(len(took))
	b := r.Behaviour("good")
	b.Devices(len(took))
	b.Expect(report.Succeeded, len(took))
	for _, d := range took {
		r.Observe(report.Connect, d)
		r.Move(report.Waiting, report.Updated)
		b.Ended(report.Succeeded)
	}
	if invalid != "" {
		r.Invalid(invalid)
	}
	var out bytes.Buffer
	if err := r.Result(began.Add(10 * time.Second)).WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%d.json", i))
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func merge(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), append([]string{"merge"}, args...), &o, &e)
	return code, o.String(), e.String()
}

func TestMergeWritesEverything(t *testing.T) {
	dir := t.TempDir()
	a := writeShard(t, dir, 0, 2, "", 10*time.Millisecond, 20*time.Millisecond)
	b := writeShard(t, dir, 1, 2, "", 30*time.Millisecond, 900*time.Millisecond)
	page, file, junit := filepath.Join(dir, "out.html"), filepath.Join(dir, "out.json"), filepath.Join(dir, "out.xml")
	code, out, errs := merge(t, a, b, "--report", page, "--json", file, "--junit", junit, "--threshold", "connect.max<=900ms", "--threshold", "success>=100%")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "lamps: 4 devices, 4 updated, 0 failed in 10.0 s\n") || !strings.Contains(out, "ok      connect.max<=900ms (900 ms)") {
		t.Errorf("exit code %d, %q on stderr, on stdout:\n%s", code, errs, out)
	}
	html, err := os.ReadFile(page)
	if err != nil || !bytes.HasPrefix(html, []byte("<!DOCTYPE html>")) || !bytes.Contains(html, []byte("lamps")) {
		t.Errorf("the page: %v, %.80q", err, html)
	}
	r, err := readResult(file)
	if err != nil || r.Measures[report.Connect].Count() != 4 || r.Measures[report.Connect].Max() != 900_000 || len(r.Parts) != 2 {
		t.Errorf("the result: %v", err)
	}
	text, err := os.ReadFile(junit)
	if err != nil || xml.Unmarshal(text, new(struct {
		XMLName xml.Name `xml:"testsuites"`
	})) != nil {
		t.Errorf("JUnit: %v, %s", err, text)
	}
	// What was merged can be merged again, and shown as JSON.
	if code, out, _ := merge(t, file, "-o", "json"); code != 0 || !strings.HasPrefix(out, `{"format":"otasim-fleet"`) {
		t.Errorf("exit code %d: %.80s", code, out)
	}
	if code, _, errs := merge(t, file, a); code != exitFailure || !strings.Contains(errs, "is given twice (merge only shards of one run)") {
		t.Errorf("twice the same shard: exit code %d, %q", code, errs)
	}
	if code, out, _ := merge(t, b); code != 0 || !strings.Contains(out, "note: 1 of 2 shards are merged here") {
		t.Errorf("one shard: exit code %d\n%s", code, out)
	}
}

func TestMergeExitCodes(t *testing.T) {
	dir := t.TempDir()
	good := writeShard(t, dir, 0, 2, "", time.Second)
	invalid := writeShard(t, dir, 1, 2, "it ran out of ports", time.Second)
	for _, c := range []struct {
		args []string
		code int
		errs string
	}{
		{[]string{good, "--threshold", "connect.p99<500ms"}, exitFailure, "otasim: a threshold is broken: 1 of 2\n"},
		{[]string{good, invalid}, exitInvalid, "otasim: the run is invalid: shard 1/2: it ran out of ports\n"},
		{[]string{good, invalid, "--threshold", "connect.p99<500ms"}, exitInvalid, "invalid"},
		{[]string{good, "--threshold", "connect.p77<500ms"}, exitUsage, "none of p50"},
		{[]string{good, "--report", filepath.Join(dir, "none", "x.html")}, exitFailure, "none"},
	} {
		code, out, errs := merge(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.errs) {
			t.Errorf("%q: exit code %d, %q", c.args, code, errs)
		}
		if c.code == exitInvalid && !strings.HasPrefix(out, "INVALID") {
			t.Errorf("%q: the table does not begin with it:\n%s", c.args, out)
		}
	}
}
