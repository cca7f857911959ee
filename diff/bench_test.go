package diff_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/leapslot/ota/diff"
)

// images are two versions of something like a program: structure, scattered
// small changes, a part that moved and a part that is new.
func images(size int) (old, new []byte) {
	rng := rand.New(rand.NewPCG(7, 8))
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = make([]byte, 4+rng.IntN(20))
		for j := range words[i] {
			words[i][j] = byte(rng.ExpFloat64() * 30)
		}
	}
	for len(old) < size {
		old = append(old, words[int(rng.ExpFloat64()*600)%len(words)]...)
	}
	old = old[:size]
	cut := size / 3
	new = join(old[:cut], randomBytes(9, size/50), old[cut+size/20:], old[cut:cut+size/20])
	for i := 0; i < len(new); i += 50 + rng.IntN(400) {
		new[i] += 4
	}
	return old, new
}

const benchSize = 8 << 20

func BenchmarkMake(b *testing.B) {
	old, new := images(benchSize)
	b.SetBytes(int64(len(new)))
	b.ReportAllocs()
	for b.Loop() {
		if err := diff.Make(context.Background(), io.Discard, old, new, diff.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	old, new := images(benchSize)
	patch := makePatch(b, old, new)
	b.SetBytes(int64(len(new)))
	b.ReportMetric(float64(len(patch))/float64(len(new)), "patch/new")
	b.ReportAllocs()
	for b.Loop() {
		r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), int64(len(patch)))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(new)) {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkApplyNative(b *testing.B) {
	old, new := images(benchSize)
	patch := nativePatch(b, old, new, false)
	b.SetBytes(int64(len(new)))
	b.ReportMetric(float64(len(patch))/float64(len(new)), "patch/new")
	b.ReportAllocs()
	for b.Loop() {
		r, err := diff.NewNativeReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch))
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(new)) {
			b.Fatal(n, err)
		}
	}
}
