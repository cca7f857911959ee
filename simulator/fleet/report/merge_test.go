package report

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// allPercents are more percentiles than any report shows.
var allPercents = []float64{0, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100}

func percentsOf(h *Histogram) []int64 {
	out := []int64{h.Count(), h.Max(), h.sum}
	for _, p := range allPercents {
		out = append(out, h.At(p))
	}
	return out
}

// throughFile writes a result and reads it back.
func throughFile(t testing.TB, r *Result) *Result {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestMergedShardsAreExact plays one run in one process and in four: the merged
// files say the same, to the last bucket of every histogram.
func TestMergedShardsAreExact(t *testing.T) {
	world := newTown(2000)
	one := New(start)
	describeTown(one, "")
	whole := one.Result(world.play(one))

	shards := make([]*Recorder, 4)
	for i := range shards {
		shards[i] = New(start)
		describeTown(shards[i], []string{"0/4", "1/4", "2/4", "3/4"}[i])
	}
	end := world.play(shards...)
	var files []*Result
	for _, s := range shards {
		files = append(files, throughFile(t, s.Result(end)))
	}
	merged, err := Merge(files...)
	if err != nil {
		t.Fatal(err)
	}
	merged = throughFile(t, merged)
	for m := range measures {
		if m == Lateness { // each generator has its own
			continue
		}
		if diff := cmp.Diff(percentsOf(whole.Measures[m]), percentsOf(merged.Measures[m])); diff != "" {
			t.Errorf("%s (-one +merged):\n%s", m, diff)
		}
		if whole.Measures[m].Count() > 0 && !whole.Measures[m].counts.Equals(merged.Measures[m].counts) {
			t.Errorf("%s: the histograms differ", m)
		}
	}
	if whole.Counters != merged.Counters || whole.States != merged.States || whole.Devices != merged.Devices {
		t.Error("the counts differ")
	}
	if diff := cmp.Diff(whole.Total(), merged.Total()); diff != "" {
		t.Errorf("outcomes (-one +merged):\n%s", diff)
	}
	for i := range states {
		if !slices.Equal(whole.series.states[i], merged.series.states[i]) {
			t.Errorf("%s over time differs", i)
		}
	}
	for i := range counters {
		if !slices.Equal(whole.series.counters[i], merged.series.counters[i]) {
			t.Errorf("%s over time differs", i)
		}
	}
	if whole.PushedPerMinute() != merged.PushedPerMinute() {
		t.Errorf("pushed per minute: %d and %d", whole.PushedPerMinute(), merged.PushedPerMinute())
	}
	if len(merged.Health) != 4 || len(merged.Parts) != 4 || len(merged.Notes) != 0 || !slices.Equal(merged.Marks, whole.Marks) || len(whole.Marks) != 2 {
		t.Errorf("%d generators, %d parts, notes %q, marks %v", len(merged.Health), len(merged.Parts), merged.Notes, merged.Marks)
	}
}

// TestPropertyMerge splits any values between any shards.
func TestPropertyMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-5, 2*highest), 1, 200).Draw(t, "values")
		n := rapid.IntRange(1, 6).Draw(t, "shards")
		whole, parts := New(start), make([]*Recorder, n)
		for i := range parts {
			parts[i] = New(start.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "late")) * time.Second))
		}
		for _, v := range values {
			whole.observe(Connect, v)
			parts[rapid.IntRange(0, n-1).Draw(t, "shard")].observe(Connect, v)
		}
		end := start.Add(30 * time.Second)
		var files []*Result
		for _, p := range parts {
			var b bytes.Buffer
			if err := p.Result(end).WriteJSON(&b); err != nil {
				t.Fatal(err)
			}
			f, err := Read(&b)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		merged, err := Merge(files...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(percentsOf(whole.Result(end).Measures[Connect]), percentsOf(merged.Measures[Connect])); diff != "" {
			t.Fatalf("(-one +merged):\n%s", diff)
		}
	})
}

// TestMergeAlignsSeries puts a shard that began later, or ran longer than
// one-second buckets hold, where it belongs on the clock.
func TestMergeAlignsSeries(t *testing.T) {
	early, late := New(start), New(start.Add(10*time.Second))
	for i, r := range []*Recorder{early, late} {
		r.Describe(Run{Shard: []string{"0/3", "1/3"}[i]})
		r.Devices(5)
		for second := range 5 {
			r.Move(Waiting, Online)
			r.Add(Connects, 1)
			r.Tick(r.Began().Add(time.Duration(second+1)*time.Second), Sample{Sockets: second})
		}
	}
	merged, err := Merge(early.Result(start.Add(5*time.Second)), late.Result(start.Add(15*time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := merged.series.states[Online], []int64{1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
		t.Errorf("online is %v, not %v", got, want)
	}
	if got := merged.series.states[Waiting]; got[0] != 9 || got[14] != 0 {
		t.Errorf("waiting is %v", got)
	}
	if merged.Duration() != 15*time.Second || !slices.Equal(merged.Notes, []string{"2 of 3 shards are merged here"}) {
		t.Errorf("it took %v, notes %q", merged.Duration(), merged.Notes)
	}

	long := New(start)
	long.Add(Connects, 7)
	for second := range 3 * maxBuckets {
		long.Tick(start.Add(time.Duration(second+1)*time.Second), Sample{})
	}
	end := start.Add(3 * maxBuckets * time.Second)
	if merged, err = Merge(early.Result(end), long.Result(end)); err != nil {
		t.Fatal(err)
	}
	if merged.series.step != 4 || merged.series.len() > maxBuckets {
		t.Errorf("%d buckets of %d s", merged.series.len(), merged.series.step)
	}
	if sum := sumOf(merged.series.counters[Connects]); sum != 12 {
		t.Errorf("%v connects over time, not 12", sum)
	}
}

// TestMergeRefuses what must not be added up.
func TestMergeRefuses(t *testing.T) {
	result := func(run Run) *Result {
		r := New(start)
		r.Describe(run)
		return r.Result(start.Add(time.Second))
	}
	a := result(Run{Scenario: "a", Seed: 1, Endpoint: "x"})
	both, err := Merge(a, result(Run{Scenario: "a", Seed: 1, Endpoint: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	far := New(start.Add(48 * time.Hour))
	far.Describe(a.Run)
	for want, all := range map[string][]*Result{
		"nothing to merge":     {},
		"given twice":          {a, a},
		"is given twice":       {both, a},
		"the scenarios differ": {a, result(Run{Scenario: "b", Seed: 1, Endpoint: "x"})},
		"the seeds differ":     {a, result(Run{Scenario: "a", Seed: 2, Endpoint: "x"})},
		"the endpoints differ": {a, result(Run{Scenario: "a", Seed: 1, Endpoint: "y"})},
		"apart":                {a, far.Result(start.Add(49 * time.Hour))},
	} {
		if _, err := Merge(all...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q was wanted, not %v", want, err)
		}
	}
}

// TestMergeKeepsInvalid: one saturated shard makes the whole invalid, by name.
func TestMergeKeepsInvalid(t *testing.T) {
	good, bad := New(start), New(start)
	good.Describe(Run{Shard: "0/2"})
	bad.Describe(Run{Shard: "1/2"})
	bad.Invalid("it ran out of ports")
	merged, err := Merge(good.Result(start.Add(time.Second)), bad.Result(start.Add(time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	if merged.Valid() || !slices.Equal(merged.Invalid, []string{"shard 1/2: it ran out of ports"}) {
		t.Errorf("invalid is %q", merged.Invalid)
	}
	if back := throughFile(t, merged); !slices.Equal(back.Invalid, merged.Invalid) {
		t.Errorf("read back it is %q", back.Invalid)
	}
}

// TestReadRefuses files that are something else, or that lie.
func TestReadRefuses(t *testing.T) {
	r := New(start)
	r.Observe(Connect, time.Second)
	r.Tick(start.Add(time.Second), Sample{})
	var b bytes.Buffer
	if err := r.Result(start.Add(time.Second)).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	for _, change := range [][2]string{
		{`"format":"otasim-fleet"`, `"format":"vegeta"`},
		{`"version":1`, `"version":2`},
		{`"devices":0`, `"devices":-1`},
		{`"count":1`, `"count":2`},
		{`"step_seconds":1`, `"step_seconds":3`},
		{`"sockets":[0]`, `"sockets":[0,0]`},
		{`"sockets":[0]`, `"sockets":[-1]`},
		{`"waiting":[0]`, `"sleeping":[0]`},
		{`"hdr":"`, `"hdr":"x`},
		{`"parts":[{`, `"more":1,"parts":[{`},
		{`"ended":"2026`, `"ended":"2025`},
		{whole[len(whole)/2:], ""},
	} {
		text := strings.Replace(whole, change[0], change[1], 1)
		if text == whole {
			t.Fatalf("%s is not in the file", change[0])
		}
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
	if _, err := Read(strings.NewReader(whole)); err != nil {
		t.Error(err)
	}
}

// FuzzRead: whatever a file says, it is refused or can be shown and written again.
func FuzzRead(f *testing.F) {
	r := New(start)
	r.Observe(Connect, time.Second)
	r.Behaviour("good").Expect(Succeeded, 1)
	r.Devices(1)
	r.Tick(start.Add(time.Second), Sample{CPU: time.Second})
	var b bytes.Buffer
	if err := r.Result(start.Add(time.Second)).WriteJSON(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"format":"otasim-fleet","version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrFile) {
				t.Fatal(err)
			}
			return
		}
		var page, text, again bytes.Buffer
		for _, err := range []error{r.WriteHTML(&page, r.Judge(nil)), r.WriteText(&text, r.Judge(nil)), r.WriteJUnit(&text, nil), r.WriteJSON(&again)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(page.String(), "<script") {
			t.Error("the page has a script")
		}
		if back := throughFile(t, r); !slices.Equal(percentsOf(back.Measures[Connect]), percentsOf(r.Measures[Connect])) {
			t.Error("written again, the values differ")
		}
	})
}

// TestReadsVersion1 reads a file that was written by the first program that wrote
// version 1: what was measured once can be merged later.
func TestReadsVersion1(t *testing.T) {
	file, err := os.Open("testdata/version1.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	was, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	now := small()
	for m := range measures {
		if diff := cmp.Diff(percentsOf(now.Measures[m]), percentsOf(was.Measures[m])); diff != "" {
			t.Errorf("%s (-now +then):\n%s", m, diff)
		}
	}
	if was.Counters != now.Counters || was.States != now.States || was.Run.Title != "Four lamps" || !was.Began.Equal(start) || was.Duration() != now.Duration() {
		t.Errorf("%+v", was)
	}
	if diff := cmp.Diff(now.Behaviours, was.Behaviours); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(was.series.states[Updated], now.series.states[Updated]) || !slices.Equal(was.series.pushed(), now.series.pushed()) {
		t.Error("the series differ")
	}
}
