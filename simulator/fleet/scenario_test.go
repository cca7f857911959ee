package fleet

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const scenarios = "../../testdata/fleet"

// TestScenarios reads every scenario that comes with the project.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(scenarios + "/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := ReadScenario(f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Name != strings.TrimSuffix(filepath.Base(name), ".toml") {
			t.Errorf("%s has the name %q", name, s.Name)
		}
	}
}

func TestScenarioRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "0 behaviours",
		"[[behaviour]]\nname='a'\nshar=1":    "shar",
		"[[behaviour]]\nname='a'":            "share",
		"[[behaviour]]\nname='a'\nshare='x'": "line 3",
		"[[behaviour]]\nname='a'\nshare=1\nfail=-5":                          "fail is -5",
		"[[behaviour]]\nname='a'\nshare=1\nfail_times=1":                     "fail_times",
		"[[behaviour]]\nname='a'\nshare=1\noffline_for='1s'":                 "offline_for",
		"[[behaviour]]\nname='a'\nshare=1\nlatency='-1s'":                    "negative",
		"[[behaviour]]\nname='a'\nshare=1\nbandwidth='3 cows'":               "no size",
		"[[behaviour]]\nname='a'\nshare=1\nclient='agent'\nflood=3":          "real agent",
		"[[behaviour]]\nname='a'\nshare=1\nmodules=['default']":              "default",
		"[[behaviour]]\nname='a'\nshare=1\n[[behaviour]]\nname='a'\nshare=1": "one of its own",
		"version='a b'\n[[behaviour]]\nname='a'\nshare=1":                    "version",
		"backoff='1h'\n[[behaviour]]\nname='a'\nshare=1":                     "backoff_most",
		"[[behaviour]]\nname='a'\nshare=1\nsubs=2\nhang_at=3":                "gateway",
		"[[behaviour]]\nname='a'\nshare=1\nsubs=2\nsubs_fail=1.5":            "subs_fail",
		"[[behaviour]]\nname='a'\nshare=1\nsubs_fail=0.5":                    "subs_fail",
		"[[behaviour]]\nname='a'\nshare=1\nwave='1s'\noffline_for='2s'\n":    "longer",
		"[[behaviour]]\nname='a'\nshare=1\nhang_at=100\n":                    "hang_at",
		"[[behaviour]]\nname='a'\nshare=nan\n":                               "share",
		strings.Repeat("#", MaxScenario+1):                                   "longer than",
	} {
		if _, err := ReadScenario(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want something of %q", text, err, want)
		}
	}
}

func FuzzReadScenario(f *testing.F) {
	f.Add("name='a'\nseed=3\n[[behaviour]]\nname='a'\nshare=1\nbandwidth='64KiB'\nlatency='3ms'\nmodules=['MCU']")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadScenario(strings.NewReader(text))
		if err != nil {
			return
		}
		dealt := s.deal(50)
		for _, b := range dealt {
			if int(b) >= len(s.Behaviours) {
				t.Errorf("behaviour %d of %d", b, len(s.Behaviours))
			}
		}
	})
}

// TestDeal: the same seed gives the same fleet, another one another fleet; each behaviour
// has its share.
func TestDeal(t *testing.T) {
	s := Scenario{Seed: 3, Behaviours: []Behaviour{{Share: 70}, {Share: 20}, {Share: 10}}}
	one, two := s.deal(1000), s.deal(1000)
	if !slices.Equal(one, two) {
		t.Error("the same seed gives two fleets")
	}
	s.Seed = 4
	if slices.Equal(one, s.deal(1000)) {
		t.Error("another seed gives the same fleet")
	}
	var count [3]int
	for _, b := range one {
		count[b]++
	}
	if count != [3]int{700, 200, 100} {
		t.Errorf("shares are %v", count)
	}
}

// TestShards: each device is in exactly one shard.
func TestShards(t *testing.T) {
	for i := range 100 {
		n := 0
		for k := range 7 {
			if (Shard{k, 7}).has(i) {
				n++
			}
		}
		if n != 1 || !(Shard{}).has(i) {
			t.Errorf("device %d is in %d shards", i, n)
		}
	}
}

// TestPacers: times do not go back, the hits up to a time are the integral of the rate,
// and the answer depends on nothing but the arguments.
func TestPacers(t *testing.T) {
	integral := map[string]func(float64) float64{
		"50/s":               func(s float64) float64 { return 50 * s },
		"step:10/s+10/s@2s":  func(s float64) float64 { k := math.Floor(s / 2); return 2*(10*k+10*k*(k-1)/2) + (s-2*k)*(10+10*k) },
		"sine:100/s~50/s@4s": func(s float64) float64 { w := math.Pi / 2; return 100*s + 50/w*(1-math.Cos(w*s)) },
		"knee:10/s+5/s@1s":   func(s float64) float64 { k := math.Floor(s); return 10*k + 5*k*(k-1)/2 + (s-k)*(10+5*k) },
	}
	for text, sum := range integral {
		p, err := ParseRamp(text)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			hits := rapid.IntRange(0, 20_000).Draw(t, "hits")
			due, stop := p.Pace(0, hits)
			later, _ := p.Pace(0, hits+1)
			if stop || due < 0 || later < due {
				t.Fatalf("%s: hit %d at %v, the next at %v", text, hits, due, later)
			}
			if got := sum(due.Seconds()); math.Abs(got-float64(hits)) > 0.01 {
				t.Fatalf("%s: %v hits by %v, want %d", text, got, due, hits)
			}
			if wait, _ := p.Pace(3*time.Second, hits); wait != due-3*time.Second {
				t.Fatalf("%s: after 3 s hit %d is due in %v, it was in %v", text, hits, wait, due)
			}
		})
	}
}

func TestRampRefused(t *testing.T) {
	for _, text := range []string{"", "5", "0/s", "-1/s", "nan/s", "2000000/s", "step:1/s", "step:1/s+1/s", "step:1/s+1/s@0s",
		"sine:1/s~2/s@1s", "sine:1/s+1/s@1s", "saw:1/s", "knee:1/s+1/s@1s,p98=1s", "knee:1/s+1/s@1s,errors=0%", "knee:1/s+1/s@1s,p99=-1s"} {
		if p, err := ParseRamp(text); err == nil {
			t.Errorf("%q is %+v", text, p)
		}
	}
}

func FuzzParseRamp(f *testing.F) {
	for _, s := range []string{"500/s", "step:100/s+100/s@10s", "sine:300/s~200/s@1m", "knee:100/s+100/s@10s,p99=1s,errors=1%"} {
		f.Add(s, 100)
	}
	f.Fuzz(func(t *testing.T, text string, hits int) {
		p, err := ParseRamp(text)
		if err != nil || hits < 0 || hits > MaxDevices {
			return
		}
		if wait, _ := p.Pace(0, hits); wait < 0 {
			t.Errorf("%q: hit %d was due %v before the beginning", text, hits, -wait)
		}
	})
}

func TestHostSaysShards(t *testing.T) {
	h := Host{Files: 20_000, Ports: 10_000}
	if err := h.Check(18_000, 1000, 2); err != nil {
		t.Error(err)
	}
	err := h.Check(50_000, 1000, 10)
	if err == nil || !strings.Contains(err.Error(), "start 3 shards") {
		t.Errorf("50,000 devices: %v", err)
	}
	err = h.Check(18_000, 1000, 1)
	if err == nil || !strings.Contains(err.Error(), "--source") {
		t.Errorf("18,000 devices from one address with 10,000 ports: %v", err)
	}
}
