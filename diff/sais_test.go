package diff

import (
	"bytes"
	"math/rand/v2"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

func never() bool { return false }

func checkSuffixes(t interface{ Fatalf(string, ...any) }, text []byte) {
	sa := make([]int32, len(text))
	if !sortSuffixes(text, sa, never) {
		t.Fatalf("gave up")
	}
	seen := make([]bool, len(text))
	for i, s := range sa {
		if seen[s] {
			t.Fatalf("suffix %d twice in %q", s, text)
		}
		seen[s] = true
		if i > 0 && bytes.Compare(text[sa[i-1]:], text[s:]) >= 0 {
			t.Fatalf("order wrong at %d in %q: %v", i, text, sa)
		}
	}
}

func TestSuffixesOfSmallTexts(t *testing.T) {
	// All texts of up to 9 letters out of three.
	for n := range 10 {
		total := 1
		for range n {
			total *= 3
		}
		text := make([]byte, n)
		for k := range total {
			for i, v := 0, k; i < n; i, v = i+1, v/3 {
				text[i] = byte("ab\xff"[v%3])
			}
			checkSuffixes(t, text)
		}
	}
}

func TestSuffixesOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SliceOfN(rapid.ByteRange(0, 3), 1, 40).Draw(t, "unit")
		text := bytes.Repeat(unit, rapid.IntRange(1, 30).Draw(t, "times"))
		text = append(text, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "tail")...)
		checkSuffixes(t, text)
	})
}

func TestSuffixesOfRepeats(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fib := []byte("a")
	for a := []byte("b"); len(fib) < 20_000; {
		fib, a = append(bytes.Clone(fib), a...), fib
	}
	random := make([]byte, 20_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	texts := [][]byte{fib, random, append(bytes.Clone(random), random...)}
	for _, text := range texts {
		checkSuffixes(t, text)
	}
	zeros := make([]byte, 100_000)
	sa := make([]int32, len(zeros))
	sortSuffixes(zeros, sa, never)
	if !sort.SliceIsSorted(sa, func(i, j int) bool { return sa[i] > sa[j] }) {
		t.Fatal("the shortest of equal suffixes must come first")
	}
}

func TestSuffixSortingStops(t *testing.T) {
	text := []byte("mississippi mississippi mississippi")
	for after := range 3 {
		n := 0
		stop := func() bool { n++; return n > after }
		if sortSuffixes(text, make([]int32, len(text)), stop) {
			t.Fatalf("did not stop at question %d", after)
		}
	}
}
