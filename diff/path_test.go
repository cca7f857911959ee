package diff

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// rebuild makes new of covers, as a patch does.
func rebuild(t interface{ Fatalf(string, ...any) }, old, new []byte, covers []cover) {
	at := 0
	for _, c := range covers {
		if c.newPos != at || c.diff < 0 || c.extra < 0 || c.diff > 0 && (c.oldPos < 0 || c.oldPos+c.diff > len(old)) {
			t.Fatalf("cover %+v at %d, old %d bytes", c, at, len(old))
		}
		at += c.diff + c.extra
	}
	if at != len(new) {
		t.Fatalf("covers end at %d of %d", at, len(new))
	}
}

func bothWays(t interface{ Fatalf(string, ...any) }, old, new []byte, segment, workers int) (greedy, path []cover) {
	s := search{old: old, new: new, segment: segment, workers: workers, tick: func(int) {}}
	greedy, lanes, err := s.greedy(context.Background(), newIndex(old, never), plain, true)
	if err != nil {
		t.Fatalf("%v", err)
	}
	path, err = s.cheapest(context.Background(), greedy, lanes)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return greedy, path
}

func TestPathCoversAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SliceOfN(rapid.ByteRange(0, 3), 1, 50)
		pieces := rapid.SliceOfN(unit, 1, 6).Draw(t, "pieces")
		image := func(name string) (out []byte) {
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(pieces)-1), 1, 12).Draw(t, name) {
				out = append(out, pieces[i]...)
			}
			for _, at := range rapid.SliceOfN(rapid.IntRange(0, 400), 0, 8).Draw(t, name+" changes") {
				if at < len(out) {
					out[at] ^= 0x11
				}
			}
			return out
		}
		old, new := image("old"), image("new")
		_, path := bothWays(t, old, new, rapid.IntRange(1, 200).Draw(t, "segment"), 2)
		rebuild(t, old, new, path)
	})
}

// program is something like code: words of four bytes, some of which are
// addresses that move with what is put in before them.
func program(seed uint64, words, inserted int) []byte {
	rng, moved := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(99, 2))
	var out []byte
	for i := range words {
		if inserted > 0 && i%5000 == 2500 {
			for range inserted {
				out = append(out, byte(moved.Uint32()), byte(moved.Uint32()), 0x40, 0xf9)
			}
		}
		if w := rng.Uint32(); w%7 == 0 {
			w = w>>12 + uint32(i/5000*inserted)
			out = append(out, byte(w), byte(w>>8), byte(w>>16), 0x94)
		} else {
			out = append(out, byte(w>>8)&31, byte(w>>16)&15, byte(w>>24)&3, 0xaa)
		}
	}
	return out
}

// TestPathCosts holds the path against the greedy covers it begins with, where there
// is little to choose: its costs are estimates, and may be 1 % off (Make keeps
// what packs smallest). Cut into many segments it may cost 0.1 % more.
func TestPathCosts(t *testing.T) {
	old, new := program(3, 200_000, 0), program(3, 200_000, 9)
	greedy, whole := bothWays(t, old, new, len(new), 1)
	_, cut := bothWays(t, old, new, len(new)/8+1, 1)
	_, shared := bothWays(t, old, new, len(new)/8+1, 3)
	pack := func(cs []cover) []byte {
		rebuild(t, old, new, cs)
		parts, err := packClassic(context.Background(), old, new, cs, 2)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Join(parts, nil)
	}
	g, w, c := len(pack(greedy)), len(pack(whole)), len(pack(cut))
	t.Logf("%d bytes greedily, %d by cost, %d in eight segments", g, w, c)
	if float64(w) > 1.01*float64(g) {
		t.Errorf("the path packs to %d bytes, and the greedy covers to %d", w, g)
	}
	if float64(c) > 1.001*float64(w) {
		t.Errorf("%d bytes in one segment, %d in eight", w, c)
	}
	if !bytes.Equal(pack(cut), pack(shared)) {
		t.Error("the patch depends on the number of workers")
	}
}
