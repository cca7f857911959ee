package grub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform/internal/rewrite"
)

// TestW14MovingIn: another tool wrote our variables behind all others, across
// sectors. A cut at any step of the first Try or Keep leaves the kept slot of
// before or the new one, with the trial of before or none, and the next Try
// works.
func TestW14MovingIn(t *testing.T) {
	for name, choose := range choices() {
		for from := 300; from < 520; from += 7 {
			was, keep := prepared(t, "x="+strings.Repeat("x", from), "y=1", "otad_trial=b", "otad_left=2"), from%2 == 0
			for n := 1; ; n++ {
				m := newMachine(t, choose(), was)
				m.running = "b"
				next := state{kept: "b"}
				m.CutAt(n)
				b, err := m.boot(t, 0), error(nil)
				if keep {
					err = b.Keep()
				} else {
					next = state{kept: "a"}
					err = b.Try("a")
				}
				cut := m.Off()
				m.CutAt(0)
				m.disk.PowerOn(m.choose)
				e, lerr := m.boot(t, 0).load()
				torn := cut && (e.kept == "a" || keep && e.kept == "b") && (e.left == 0 || e.left == 2 && e.trial == "b")
				if lerr != nil || e.state != next && !torn {
					t.Fatalf("%s, x of %d, cut at step %d: %+v, %v: %q", name, from, n, e.state, lerr, e.data)
				}
				if err := m.boot(t, 0).Try("b"); err != nil {
					t.Fatal(err)
				}
				if err := m.boot(t, 0).Check(); err != nil {
					t.Fatalf("%s, x of %d, cut at step %d, then Try: %v", name, from, n, err)
				}
				if !cut {
					if err != nil || n < 4 {
						t.Fatalf("%d steps, %v", n-1, err)
					}
					break
				}
			}
		}
	}
}

// TestW14GRUBReadsTornBlocks: what a cut leaves of a move GRUB understands as we
// do.
func TestW14GRUBReadsTornBlocks(t *testing.T) {
	needEmulator(t)
	p, seen := newPC(t), map[string]bool{}
	for _, choose := range choices() {
		for step := range 26 {
			var others []string
			for i := range 40 {
				others = append(others, fmt.Sprintf("v%d=%s", i, strings.Repeat("w", (i+step/2)*(step+1)%13)))
			}
			for n := 1; n < 5; n++ {
				m := newMachine(t, choose(), prepared(t, append(others[:len(others):len(others)], "otad_trial=b", "otad_left=2")...))
				m.running = "b"
				m.CutAt(n)
				_ = m.boot(t, 0).Keep() // which is what is cut
				m.CutAt(0)
				m.disk.PowerOn(m.choose)
				data, err := rewrite.Read(m.disk, envPath, Size)
				if err != nil {
					t.Fatal(err)
				}
				k, err := parse(data)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(k.lines, func(l line) bool { return l.junk }) || seen[string(data)] {
					continue // not torn: other tests run it
				}
				seen[string(data)] = true
				write(t, p.env(), data)
				p.PowerOn(t)
				if want := m.script(t); p.started != want {
					t.Errorf("GRUB starts %s, we would have started %s: %q", p.started, want, data)
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d torn blocks were made", len(seen))
	}
}
