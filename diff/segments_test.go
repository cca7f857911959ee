package diff

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
)

// TestSegmentsCostNothing covers an image in one piece and in eight: the patch
// may be 0.1 % larger.
func TestSegmentsCostNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	old := make([]byte, 4<<20)
	for i := range old {
		old[i] = byte(rng.ExpFloat64() * 20)
	}
	new := append(append([]byte(nil), old[1<<20:]...), old[:1<<20]...)
	for i := 0; i < len(new); i += 20 + rng.IntN(200) {
		new[i]++
	}
	size := func(segment int) int {
		s := search{old: old, new: new, segment: segment, workers: 3, tick: func(int) {}}
		cs, lanes, err := s.greedy(context.Background(), newSeeds(old, func() bool { return false }), plain, true)
		if err != nil {
			t.Fatal(err)
		}
		cs, err = s.cheapest(context.Background(), cs, lanes)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := packClassic(context.Background(), old, new, cs, 2)
		if err != nil {
			t.Fatal(err)
		}
		return sizeOf(parts)
	}
	whole, eight := size(len(new)), size(len(new)/8)
	t.Logf("%d bytes in one piece, %d in eight", whole, eight)
	if float64(eight) > 1.001*float64(whole) {
		t.Errorf("%d bytes in one piece, %d in eight", whole, eight)
	}
}

// TestSegmentsOfZeros is an image that is mostly a long run of zeros, between two
// pieces that are dense: no segment may take them for part of its zeros.
func TestSegmentsOfZeros(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	old := bytes.Join([][]byte{noise, make([]byte, 8<<20), noise}, nil)
	new := bytes.Join([][]byte{noise, noise[:1000], make([]byte, 8<<20), noise}, nil)
	for _, segment := range []int{len(new), 1 << 20} {
		s := search{old: old, new: new, segment: segment, workers: 2, tick: func(int) {}}
		cs, _, err := s.greedy(context.Background(), newSeeds(old, func() bool { return false }), quick, false)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := packClassic(context.Background(), old, new, cs, 2)
		if err != nil {
			t.Fatal(err)
		}
		if n := sizeOf(parts); n > 5000 {
			t.Errorf("segments of %d bytes: a patch of %d", segment, n)
		}
	}
}
