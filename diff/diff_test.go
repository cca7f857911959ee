package diff_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/leapslot/ota/diff"
	"pgregory.net/rapid"
)

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func makePatch(t fataler, old, new []byte) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := diff.Make(context.Background(), &w, old, new, diff.Options{}); err != nil {
		t.Fatalf("Make: %v", err)
	}
	return w.Bytes()
}

func apply(old, patch []byte, opts ...diff.Option) ([]byte, error) {
	r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), int64(len(patch)), opts...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// roundTrip makes a patch, applies it, and holds Info against both.
func roundTrip(t fataler, old, new []byte) []byte {
	t.Helper()
	patch := makePatch(t, old, new)
	got, err := apply(old, patch, diff.MaxNewSize(int64(len(new))))
	if err != nil || !bytes.Equal(got, new) {
		t.Fatalf("old %d, new %d bytes: applied to %d bytes, equal %v, error %v", len(old), len(new), len(got), bytes.Equal(got, new), err)
	}
	s, err := diff.Info(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	if s.NewSize != int64(len(new)) || s.DiffBytes+s.ExtraBytes != s.NewSize || s.OldAtLeast > int64(len(old)) || s.Size != int64(len(patch)) {
		t.Fatalf("old %d, new %d bytes: Info says %+v", len(old), len(new), s)
	}
	return patch
}

func randomBytes(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 99))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

type pair struct {
	name     string
	old, new []byte
}

// pairs are the edge cases of the format.
func pairs() []pair {
	a, b, c := randomBytes(1, 20_000), randomBytes(2, 30_000), randomBytes(3, 5_000)
	patched := bytes.Clone(b)
	for i := 100; i < len(patched); i += 777 {
		patched[i]++
	}
	moved := bytes.Repeat([]byte("a line of text that is there more than once\n"), 400)
	return []pair{
		{"both empty", nil, nil},
		{"from empty", nil, a},
		{"to empty", a, nil},
		{"one byte", []byte{1}, []byte{1}},
		{"one byte changed", []byte{1}, []byte{2}},
		{"one byte from many", a, a[7:8]},
		{"equal", a, a},
		{"unrelated", a, b},
		{"all zero", make([]byte, 100_000), make([]byte, 100_000)},
		{"all zero grows", make([]byte, 1000), make([]byte, 1_000_000)},
		{"all zero shrinks", make([]byte, 1_000_000), make([]byte, 1000)},
		{"zeros to random", make([]byte, 20_000), a},
		{"shrink", join(a, b, c), join(a, c)},
		{"grow", join(a, c), join(a, b, c)},
		{"swap", join(a, b, c), join(c, a, b)},
		{"begins in the middle of old", join(a, b), b},
		{"begins in the middle of old, a little", join(a[:20], b), b},
		{"small changes", join(a, b, c), join(c, patched, a)},
		{"repeats", moved, join(moved[500:], c, moved[:900])},
		{"period", bytes.Repeat([]byte("abab"), 5000), bytes.Repeat([]byte("baba"), 5001)},
		{"sparse", join(a, make([]byte, 300_000), b), join(b, make([]byte, 200_000), c, make([]byte, 90_000), a)},
	}
}

func TestRoundTripEdgeCases(t *testing.T) {
	for _, p := range pairs() {
		t.Run(p.name, func(t *testing.T) { roundTrip(t, p.old, p.new) })
	}
}

func TestRoundTripSameTwice(t *testing.T) {
	for _, p := range pairs() {
		if !bytes.Equal(makePatch(t, p.old, p.new), makePatch(t, p.old, p.new)) {
			t.Errorf("%s: two patches of the same images differ", p.name)
		}
	}
}

func TestRoundTripAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange(0, 4), 0, 60), 1, 6).Draw(t, "pieces")
		image := func(name string) []byte {
			var out []byte
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(pieces)-1), 0, 12).Draw(t, name) {
				out = append(out, pieces[i]...)
			}
			for _, at := range rapid.SliceOfN(rapid.IntRange(0, 700), 0, 6).Draw(t, name+" changes") {
				if at < len(out) {
					out[at] ^= 0x5a
				}
			}
			return out
		}
		roundTrip(t, image("old"), image("new"))
	})
}

// TestReadInAnyPortions reads with buffers of every awkward size.
func TestReadInAnyPortions(t *testing.T) {
	for _, p := range pairs() {
		patch := makePatch(t, p.old, p.new)
		r, err := diff.NewReader(bytes.NewReader(p.old), int64(len(p.old)), bytes.NewReader(patch), int64(len(patch)))
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != int64(len(p.new)) {
			t.Errorf("%s: Size is %d, not %d", p.name, r.Size(), len(p.new))
		}
		if err := iotest.TestReader(r, p.new); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

func TestMakeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	a, b := randomBytes(1, 50_000), randomBytes(2, 50_000)
	var w bytes.Buffer
	stopAt := func(done int64) diff.Options {
		return diff.Options{Progress: func(d, _ int64) {
			if d >= done {
				cancel()
			}
		}}
	}
	for _, done := range []int64{0, 50_001, 100_000} {
		ctx, cancel = context.WithCancel(context.Background())
		err := diff.Make(ctx, &w, a, b, stopAt(done))
		if done < 100_000 && (!errors.Is(err, context.Canceled) || w.Len() > 0) {
			t.Errorf("stopped at %d: %v, %d bytes written", done, err, w.Len())
		}
		if done == 100_000 && err != nil {
			t.Errorf("too late to stop: %v", err)
		}
	}
	cancel()
}

func TestMakeTellsProgress(t *testing.T) {
	old, new := randomBytes(1, 50_000), randomBytes(2, 60_000)
	var seen []int64
	o := diff.Options{Progress: func(done, total int64) {
		if total != 110_000 || len(seen) > 0 && done < seen[len(seen)-1] {
			t.Errorf("progress %d of %d after %v", done, total, seen)
		}
		seen = append(seen, done)
	}}
	if err := diff.Make(context.Background(), io.Discard, old, new, o); err != nil {
		t.Fatal(err)
	}
	if len(seen) < 5 || seen[len(seen)-1] != 110_000 {
		t.Errorf("progress was %v", seen)
	}
}

func TestMakeSaysWhenWritingFails(t *testing.T) {
	full := errors.New("disk full")
	r, w := io.Pipe()
	r.CloseWithError(full)
	err := diff.Make(context.Background(), w, []byte("a"), []byte("b"), diff.Options{})
	if !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
}

func TestDetect(t *testing.T) {
	for head, want := range map[string]diff.Format{
		"": "", "BSDIFF4": "", "BSDIFF40": diff.BSDIFF40, "BSDIFF40 and more": diff.BSDIFF40, "BSDIFF43": "",
		"OTADELTA": diff.Native, "OTADELT": "", "ENDSLEY/BSDIFF43": diff.BSDIFF43, "bsdiff40": "",
	} {
		if got, ok := diff.Detect([]byte(head)); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", head, got, ok)
		}
	}
}

func TestNegativeSizes(t *testing.T) {
	if _, err := diff.NewReader(bytes.NewReader(nil), -1, bytes.NewReader(nil), 0); err == nil {
		t.Error("an old image of -1 bytes was taken")
	}
	if _, err := diff.Info(bytes.NewReader(nil), -1); !errors.Is(err, diff.ErrFormat) {
		t.Errorf("a patch of -1 bytes: %v", err)
	}
}

// classic gives the path of one of the classic tools.
func classic(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if testing.Short() {
		t.Skipf("not checked against the classic tools in a short run: %v (apt-get install bsdiff)", err)
	}
	t.Fatalf("%v: this test needs the classic tools (apt-get install bsdiff)", err)
	return ""
}

func run(t *testing.T, path string, args ...string) {
	t.Helper()
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", filepath.Base(path), err, out)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClassicAppliesOurs(t *testing.T) {
	bspatch := classic(t, "bspatch")
	dir := t.TempDir()
	old, patch, out := filepath.Join(dir, "old"), filepath.Join(dir, "patch"), filepath.Join(dir, "new")
	for _, p := range pairs() {
		for _, best := range []bool{false, true} {
			var w bytes.Buffer
			if err := diff.Make(context.Background(), &w, p.old, p.new, diff.Options{Best: best}); err != nil {
				t.Fatal(err)
			}
			write(t, old, p.old)
			write(t, patch, w.Bytes())
			run(t, bspatch, old, out, patch)
			got, err := os.ReadFile(out)
			if err != nil || !bytes.Equal(got, p.new) {
				t.Errorf("%s, best %v: the classic bspatch made %d bytes of it, not the %d bytes of the new image (%v)", p.name, best, len(got), len(p.new), err)
			}
		}
	}
}

func TestOursAppliesClassic(t *testing.T) {
	bsdiff := classic(t, "bsdiff")
	dir := t.TempDir()
	old, new, patch := filepath.Join(dir, "old"), filepath.Join(dir, "new"), filepath.Join(dir, "patch")
	for _, p := range pairs() {
		if len(p.old) == 0 || len(p.new) == 0 {
			t.Logf("%s: left out, the classic bsdiff cannot map an empty file", p.name)
			continue
		}
		write(t, old, p.old)
		write(t, new, p.new)
		run(t, bsdiff, old, new, patch)
		raw, err := os.ReadFile(patch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := apply(p.old, raw)
		if err != nil || !bytes.Equal(got, p.new) {
			t.Errorf("%s: %d bytes of %d, %v", p.name, len(got), len(p.new), err)
		}
		if s, err := diff.Info(bytes.NewReader(raw), int64(len(raw))); err != nil || s.NewSize != int64(len(p.new)) {
			t.Errorf("%s: Info: %+v, %v", p.name, s, err)
		}
	}
}
