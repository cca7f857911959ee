package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota/simulator"
)

// TestSamples: what changed is kept and what did not is not; those since a moment come
// with the one that held then; many versions are counted together; and what is older than
// a week is thinned out to one a day.
func TestSamples(t *testing.T) {
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "ota.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add := func(product string, at int64, counts ...simulator.VersionCount) {
		t.Helper()
		if err := s.AddSample(t.Context(), product, Sample{simulator.Stamp(at), counts}); err != nil {
			t.Fatal(err)
		}
	}
	times := func(product string, since int64) (out []int64) {
		t.Helper()
		list, err := s.Samples(t.Context(), product, simulator.Stamp(since))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			out = append(out, int64(x.At))
		}
		return out
	}
	old := simulator.VersionCount{Module: "default", Version: "1.0", Devices: 5}
	newer := simulator.VersionCount{Module: "default", Version: "2.0", Devices: 5}
	add("p", 100) // nothing, and nothing before it
	add("p", 200, old)
	add("p", 300, old)
	add("p", 400, newer, old)
	add("p", 500, old, newer)
	add("p", 600)
	add("q", 450, old)
	if diff := cmp.Diff([]int64{200, 400, 600}, times("p", 0)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{400, 600}, times("p", 450)); diff != "" {
		t.Errorf("since 450 (-want +got):\n%s", diff)
	}
	var many []simulator.VersionCount
	for i := range MaxSampled + 5 {
		many = append(many, simulator.VersionCount{Module: "mcu", Version: fmt.Sprint("v", i), Devices: 100 - i})
	}
	add("r", 1, append(many, old)...)
	list, err := s.Samples(t.Context(), "r", 0)
	if err != nil || len(list) != 1 || len(list[0].Counts) != 1+MaxSampled+1 {
		t.Fatalf("%+v, %v", list, err)
	}
	rest := 0
	for _, c := range many[MaxSampled:] {
		rest += c.Devices
	}
	if got := list[0].Counts[1+MaxSampled]; got != (simulator.VersionCount{Module: "mcu", Version: OtherVersion, Devices: rest}) {
		t.Errorf("the others are %+v, want %d devices", got, rest)
	}
	for hour := range 24 * 20 { // twenty days
		add("s", int64(hour)*3600_000+1, simulator.VersionCount{Module: "default", Version: "1.0", Devices: hour + 1})
	}
	kept := times("s", 0)
	if n := len(kept); n > 24*7+14 || n < 24*7+12 {
		t.Errorf("%d samples are kept of 20 days", n)
	}
	add("s", 3*365*day, old)
	if n := len(times("s", 0)); n != 1 {
		t.Errorf("%d samples after three years", n)
	}
}
