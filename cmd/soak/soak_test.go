package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// TestSoakShort soaks the real program with a few devices for some seconds.
func TestSoakShort(t *testing.T) {
	program := filepath.Join(t.TempDir(), "otasim")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/leapslot/ota/cmd/otasim").CombinedOutput(); err != nil {
		t.Fatalf("building otasim: %v\n%s", err, out)
	}
	var out, progress bytes.Buffer
	p := plan{program: program, duration: 6 * time.Second, devices: 100, killEvery: 2 * time.Second, nextEvery: 2 * time.Second, settle: time.Minute}
	wrong, err := p.run(t.Context(), &out, &progress)
	if wrong > 0 || err != nil {
		t.Errorf("%d things are wrong, %v\n%s%s", wrong, err, out.String(), progress.String())
	}
	t.Logf("\n%s", out.String())
}

// TestExplain: a task that ended in a way that its device's history does not explain is
// noticed.
func TestExplain(t *testing.T) {
	t0 := time.Now()
	j := job{id: "j", version: "2.1", asked: t0}
	at := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Second) }
	fail := func(n int) sent { return sent{at: at(n), step: ota.StepDownloadFailed} }
	report := func(n int, v string) sent { return sent{at: at(n), version: v} }
	begin := func(n int) sent { return sent{at: at(n), step: 10} }
	for name, c := range map[string]struct {
		status, desc string
		history      []sent
		last, ok     bool
	}{
		"success":                  {"SUCCEEDED", "", []sent{begin(1), report(2, "2.1")}, true, true},
		"success without a report": {"SUCCEEDED", "", []sent{begin(1), report(2, "2.0")}, true, false},
		"success reported before":  {"SUCCEEDED", "", []sent{report(-1, "2.1")}, true, false},
		"failure":                  {"FAILED", "-2", []sent{fail(1), fail(2), report(3, "2.0")}, true, true},
		"failure too soon":         {"FAILED", "-2", []sent{fail(1), fail(2)}, true, false},
		"failure of another batch": {"FAILED", "-2", []sent{fail(-3), fail(-2), fail(-1)}, true, false},
		"busy":                     {"FAILED", "the device has not finished another upgrade", []sent{begin(-1)}, true, true},
		"busy with nothing":        {"FAILED", "the device has not finished another upgrade", nil, true, false},
		"cancelled by the next":    {"CANCELED", "overwritten", nil, false, true},
		"cancelled by nobody":      {"CANCELED", "overwritten", nil, true, false},
		"left over":                {"NOTIFIED", "", nil, true, false},
	} {
		d := &device{history: c.history}
		if why := explain(task{"d", c.status, c.desc, "2.1"}, j, d, c.last); (why == "") != c.ok {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// TestLost: an acknowledged report that the cloud has forgotten is noticed; one that was
// not acknowledged may be there or not.
func TestLost(t *testing.T) {
	acked := func(v string) sent { return sent{version: v, acked: true} }
	for name, c := range map[string]struct {
		history []sent
		stored  string
		ok      bool
	}{
		"there":                 {[]sent{acked("1"), acked("2"), {step: 10}}, "2", true},
		"forgotten":             {[]sent{acked("1"), acked("2")}, "1", false},
		"never acknowledged":    {[]sent{acked("1"), {version: "2"}}, "1", true},
		"taken in all the same": {[]sent{acked("1"), {version: "2"}}, "2", true},
		"made up":               {[]sent{acked("1"), {version: "2"}}, "3", false},
		"nothing was ever sent": {nil, "", true},
	} {
		if why := lost(&device{history: c.history}, c.stored); (why == "") != c.ok {
			t.Errorf("%s: %q", name, why)
		}
	}
}

// TestFlat: memory that grows is noticed.
func TestFlat(t *testing.T) {
	for grown, want := range map[int64]int{100 << 20: 0, 200 << 20: 0, 300 << 20: 1} {
		r := report{cloud: &cloud{resident: [][]int64{{50 << 20, 100 << 20}, nil, {grown}}}, fleet: &fleet{}, jobs: make([]job, 1)}
		if got := r.print(&bytes.Buffer{}); got != want {
			t.Errorf("from 100 to %d MiB: %d things are wrong, want %d", grown>>20, got, want)
		}
	}
}
