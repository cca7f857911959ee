package agent

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/verify"
)

// stories are the updates that are cut: how they end, undisturbed.
type story struct {
	name    string
	new     []byte
	pkg     func(old, new []byte) []byte
	isDiff  bool
	flip    bool // one byte of the package is another one than announced
	wantNew bool
	heard   string
	signed  func(*verify.Grant) // it has a manifest, and is announced with its MD5
}

func stories() []story {
	full := func(_, new []byte) []byte { return new }
	other := func(g *verify.Grant) { g.ImageSHA256 = otherSum }
	return []story{
		{"full good", image(2, "NEW"), full, false, false, true, "[1.0.0 100 2.0.0]", nil},
		{"full tampered", image(2, "NEW"), full, false, true, false, "[1.0.0 -3]", nil},
		{"full sick", image(2, "SICK"), full, false, false, false, "[1.0.0 -1 1.0.0]", nil},
		{"full that never starts", image(2, "DEAD"), full, false, false, false, "[1.0.0 -1 1.0.0]", nil},
		{"full that dies on trial", image(2, "DIES"), full, false, false, false, "[1.0.0 -1 1.0.0]", nil},
		{"diff good", edited("NEW"), patchOf, true, false, true, "[1.0.0 100 2.0.0]", nil},
		{"diff tampered", edited("NEW"), patchOf, true, true, false, "[1.0.0 -3]", nil},
		{"diff sick", edited("SICK"), patchOf, true, false, false, "[1.0.0 -1 1.0.0]", nil},
		{"native good", edited("NEW"), nativeOf, true, false, true, "[1.0.0 100 2.0.0]", nil},
		{"native of several frames", image(2, "NEW"), nativeOf, true, false, true, "[1.0.0 100 2.0.0]", nil},
		{"native tampered", image(2, "NEW"), nativeOf, true, true, false, "[1.0.0 -3]", nil},
		{"native sick", edited("SICK"), nativeOf, true, false, false, "[1.0.0 -1 1.0.0]", nil},
		{"native manifest", edited("NEW"), nativeOf, true, false, true, "[1.0.0 100 2.0.0]", func(*verify.Grant) {}},
		{"native manifest of another image", edited("NEW"), nativeOf, true, false, false, "[1.0.0 -3]", other},
		{"bundle native good", image(2, "NEW"), nativeOf, true, false, true, "[1.0.0 100 2.0.0]", func(*verify.Grant) {}},
		{"gzip good", image(2, "NEW"), gzipOf, false, false, true, "[1.0.0 100 2.0.0]", nil},
		{"mqtt good", image(2, "NEW"), full, false, false, true, "[1.0.0 100 2.0.0]", nil},
		{"manifest good", image(2, "NEW"), full, false, false, true, "[1.0.0 100 2.0.0]", func(*verify.Grant) {}},
		{"bundle good", image(2, "NEW"), full, false, false, true, "[1.0.0 100 2.0.0]", func(*verify.Grant) {}},
		{"bundle tampered", image(2, "NEW"), full, false, true, false, "[1.0.0 -3]", func(*verify.Grant) {}},
		{"bundle patch sick", edited("SICK"), patchOf, true, false, false, "[1.0.0 -1 1.0.0]", func(*verify.Grant) {}},
		{"manifest of another image", image(2, "NEW"), full, false, false, false, "[1.0.0 -3]", other},
		{"manifest of another patched image", edited("NEW"), patchOf, true, false, false, "[1.0.0 -4]", other},
	}
}

// edited is the old image with a few changes.
func edited(mark string) []byte {
	b := image(1, mark)
	rng := rand.New(rand.NewSource(3))
	for range 50 {
		rng.Read(b[1000+rng.Intn(len(b)-2000):][:200])
	}
	copy(b, mark)
	return b
}

func patchOf(old, new []byte) []byte {
	var b bytes.Buffer
	if err := diff.Make(context.Background(), &b, old, new, diff.Options{}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func nativeOf(old, new []byte) []byte {
	var b bytes.Buffer
	if err := diff.Make(context.Background(), &b, old, new, diff.Options{Format: diff.Native}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// prepared stories are packed once; each run gets a world of its own.
func (s story) world(t *testing.T, pkg []byte) *world {
	w := newWorld(t, pkg, s.new, s.isDiff)
	if strings.HasPrefix(s.name, "mqtt") {
		w.overMQTT()
	}
	if strings.HasPrefix(s.name, "bundle") {
		defer w.asBundle()
	}
	if s.signed != nil {
		w.signed(true, s.signed)
	}
	if s.flip {
		w.pkg = bytes.Clone(pkg)
		w.pkg[len(pkg)/2] ^= 1
	}
	return w
}

// TestPowerCut cuts the power before each outside effect of an update: each
// chunk to spool or slot, sync, save of the record, try, keep, restart and
// message; plainly, with torn writes, and with unsynced writes forgotten (W1,
// W7, W14, B10). The device must end with the old or the new system, whole, and
// the cloud must have heard what happened.
func TestPowerCut(t *testing.T) {
	var points atomic.Int64
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			pkg := s.pkg(image(1, "OLD"), s.new)
			whole := s.world(t, pkg)
			whole.live()
			if got := fmt.Sprint(whole.cloud.heard()); got != s.heard {
				t.Fatalf("undisturbed, the cloud heard %s, wanted %s (all: %s)", got, s.heard, whole.cloud.all())
			}
			if whole.lives() != s.wantNew {
				t.Fatalf("undisturbed, new runs: %v", !s.wantNew)
			}
			n := whole.cut.n
			for k := 1; k <= n; k++ {
				write := false
				for _, how := range []*cutter{{k: k}, {k: k, torn: true}, {k: k, loses: true, torn: true, rng: rand.New(rand.NewSource(int64(k)))}} {
					if how.torn && !how.loses && !write {
						continue // the same as the plain one before
					}
					points.Add(1)
					w := s.world(t, pkg)
					w.cut = how
					w.live()
					write = how.write
					w.check(s, fmt.Sprintf("cut %d of %d (torn %v, loses %v)", k, n, how.torn, how.loses))
					w.end() // thousands of them would fill the memory
				}
			}
		})
	}
	t.Cleanup(func() { fmt.Printf("TestPowerCut: %d cut points\n", points.Load()) })
}

// check compares what runs with what was said.
func (w *world) check(s story, what string) {
	w.t.Helper()
	heard := w.cloud.heard()
	if w.lives() != s.wantNew {
		w.t.Errorf("%s: new runs: %v; heard %v", what, !s.wantNew, heard)
	}
	last := ""
	for _, h := range heard {
		if h == "-1" || h == "-2" || h == "-3" || h == "-4" || h == "100" {
			last = h
		}
	}
	want := strings.Fields(strings.Trim(s.heard, "[]"))[1]
	if last != want {
		w.t.Errorf("%s: the cloud heard %v, wanted %s last (all: %s)", what, heard, want, w.cloud.all())
	}
	for _, h := range heard {
		if h == newVersion && !s.wantNew {
			w.t.Errorf("%s: the new version was reported, but the old one runs: %v", what, heard)
		}
	}
}

// TestW2W3RandomCuts cuts five times in one update, at random, which includes
// the way back from a sick system: it converges all the same, and what was
// reported is what runs.
func TestW2W3RandomCuts(t *testing.T) {
	for _, s := range stories() {
		pkg := s.pkg(image(1, "OLD"), s.new)
		for seed := range int64(20) {
			rng := rand.New(rand.NewSource(seed))
			w := s.world(t, pkg)
			w.cut = &cutter{torn: true, loses: true, rng: rng}
			for range 5 {
				w.cut.k = w.cut.n + 1 + rng.Intn(40)
				if !w.boot() {
					break
				}
			}
			w.cut.k = 0
			w.live()
			isNew, said := w.lives(), false
			for _, h := range w.cloud.heard() {
				said = said || h == newVersion
			}
			if isNew != said {
				t.Errorf("%s, seed %d: new runs: %v, the cloud heard %v", s.name, seed, isNew, w.cloud.heard())
			}
			if isNew && !s.wantNew {
				t.Errorf("%s, seed %d: a bad system stayed", s.name, seed)
			}
		}
	}
}
