package diff_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/leapslot/ota/diff"
)

// flow hides everything but Read, and gives a few bytes at a time.
func flow(p []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(p)) }

func applyNative(old, patch []byte, opts ...diff.Option) ([]byte, error) {
	r, err := diff.NewNativeReader(bytes.NewReader(old), int64(len(old)), flow(patch), opts...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func nativePatch(t fataler, old, new []byte, best bool) []byte {
	t.Helper()
	var w bytes.Buffer
	if err := diff.Make(context.Background(), &w, old, new, diff.Options{Format: diff.Native, Best: best}); err != nil {
		t.Fatalf("Make: %v", err)
	}
	return w.Bytes()
}

func TestNativeRoundTrip(t *testing.T) {
	for _, p := range pairs() {
		for _, patch := range [][]byte{nativePatch(t, p.old, p.new, false), nativePatch(t, p.old, p.new, true), diff.MakeNative(p.old, p.new, 900, 1500)} {
			checkNative(t, p, patch)
		}
	}
}

func checkNative(t fataler, p pair, patch []byte) {
	t.Helper()
	got, err := applyNative(p.old, patch, diff.MaxNewSize(int64(len(p.new))))
	if err != nil || !bytes.Equal(got, p.new) {
		t.Fatalf("%s: %d bytes of %d, %v", p.name, len(got), len(p.new), err)
	}
	if got, err = apply(p.old, patch); err != nil || !bytes.Equal(got, p.new) {
		t.Fatalf("%s: NewReader: %d bytes of %d, %v", p.name, len(got), len(p.new), err)
	}
	s, err := diff.Info(bytes.NewReader(patch), int64(len(patch)))
	if err != nil || s.Format != diff.Native || s.NewSize != int64(len(p.new)) || s.DiffBytes+s.ExtraBytes != s.NewSize || s.OldAtLeast != int64(len(p.old)) {
		t.Fatalf("%s: Info: %+v, %v", p.name, s, err)
	}
}

func TestNativeInAnyPortions(t *testing.T) {
	for _, p := range pairs() {
		patch := diff.MakeNative(p.old, p.new, 2000, 9000)
		r, err := diff.NewNativeReader(bytes.NewReader(p.old), int64(len(p.old)), iotest.OneByteReader(bytes.NewReader(patch)))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, p.new); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// TestW4ResumeAtEveryFrame stops after every few bytes of output, and goes on
// in a new reader that knows only the text of the last checkpoint.
func TestW4ResumeAtEveryFrame(t *testing.T) {
	old, new := images(300_000)
	patch := diff.MakeNative(old, new, 5000, 20_000)
	slot := make([]byte, len(new))
	r, err := diff.NewNativeReader(bytes.NewReader(old), int64(len(old)), flow(patch))
	if err != nil {
		t.Fatal(err)
	}
	var frames []uint32
	for stop := 0; ; stop += 7013 {
		out := int(r.Checkpoint().Out)
		n, err := io.ReadFull(r, slot[out:min(len(slot), max(out, stop))])
		if err != nil {
			t.Fatalf("after %d bytes: %v", out+n, err)
		}
		c := r.Checkpoint()
		if c.Out > int64(out+n) || int64(out+n)-c.Out > 20_000 {
			t.Fatalf("the checkpoint is at %d, and %d were given", c.Out, out+n)
		}
		frames = append(frames, c.Frame)
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		clear(slot[c.Out:]) // what was written behind the checkpoint is lost
		if c = (diff.Checkpoint{}); json.Unmarshal(text, &c) != nil {
			t.Fatalf("%s is not read", text)
		}
		if r, err = diff.ResumeNative(bytes.NewReader(old), int64(len(old)), flow(patch[c.In:]), c, diff.MaxNewSize(int64(len(new)))); err != nil {
			t.Fatal(err)
		}
		if c.Out == int64(len(new)) {
			break
		}
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF || !bytes.Equal(slot, new) {
		t.Fatalf("the image is right: %v, %v", bytes.Equal(slot, new), err)
	}
	if !slices.IsSorted(frames) || len(slices.Compact(frames)) < 10 {
		t.Errorf("frames: %v", frames)
	}
}

func TestW4CheckpointIsChecked(t *testing.T) {
	old, new := images(100_000)
	r, err := diff.NewNativeReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(diff.MakeNative(old, new, 5000, 20_000)))
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, r, 50_000)
	good, _ := r.Checkpoint().MarshalText()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		var c diff.Checkpoint
		if err := c.UnmarshalText(bad); err == nil {
			t.Fatalf("a checkpoint with character %d changed was taken", i)
		}
	}
	for _, bad := range []string{"", "AAAA", string(good[:200]), string(bytes.Repeat(good, 4))} {
		var c diff.Checkpoint
		if err := c.UnmarshalText([]byte(bad)); !errors.Is(err, diff.ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := diff.ResumeNative(bytes.NewReader(old), int64(len(old)), nil, diff.Checkpoint{}); !errors.Is(err, diff.ErrFormat) {
		t.Errorf("the zero checkpoint: %v", err)
	}
	// The bytes of another place are no frame.
	c := r.Checkpoint()
	r, err = diff.ResumeNative(bytes.NewReader(old), int64(len(old)), bytes.NewReader(make([]byte, 1000)), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, diff.ErrFormat) {
		t.Errorf("from the wrong place: %v", err)
	}
}

func TestS9OldImageIsAnother(t *testing.T) {
	old, new := images(100_000)
	patch := nativePatch(t, old, new, false)
	other := bytes.Clone(old)
	other[70_000]++
	check := func(old []byte) error {
		r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), int64(len(patch)))
		if err != nil {
			return err
		}
		return r.CheckOld()
	}
	if err := check(old); err != nil {
		t.Errorf("the right one: %v", err)
	}
	if err := check(append(bytes.Clone(old), "the rest of its slot"...)); err != nil {
		t.Errorf("the right one in a larger slot: %v", err)
	}
	for _, bad := range [][]byte{other, old[:99_999], nil} {
		if err := check(bad); !errors.Is(err, diff.ErrOtherOld) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	// Who does not ask finds out at the end, never with io.EOF.
	if got, err := apply(other, patch); !errors.Is(err, diff.ErrFormat) {
		t.Errorf("applied to %d bytes: %v", len(got), err)
	}
}

func TestS3NativeReadErrors(t *testing.T) {
	old, new := images(400_000)
	patch := diff.MakeNative(old, new, 50_000, 100_000)
	broken := errors.New("input/output error")
	for _, from := range []string{diff.FromOld, diff.FromPatch} {
		var src io.ReaderAt = bytes.NewReader(old)
		var in io.Reader = bytes.NewReader(patch)
		if from == diff.FromOld {
			src = badDisk{src, 150_000, broken}
		} else {
			in = io.MultiReader(bytes.NewReader(patch[:len(patch)/2]), iotest.ErrReader(broken))
		}
		r, err := diff.NewNativeReader(src, int64(len(old)), in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		var re *diff.ReadError
		if !errors.As(err, &re) || re.From != from || !errors.Is(err, broken) || errors.Is(err, diff.ErrFormat) || !bytes.Equal(got, new[:len(got)]) {
			t.Errorf("%s: %v after %d bytes", from, err, len(got))
		}
	}
}

// TestNativeMemoryDoesNotGrow is the promise of the package for the format.
func TestNativeMemoryDoesNotGrow(t *testing.T) {
	const limit = 5_500_000
	noise := randomBytes(5, 3_000_000)
	var used []uint64
	for _, size := range []int{6_000_000, 24_000_000} {
		old := make([]byte, size)
		new := join(old, noise, old[:size/2])
		patch := nativePatch(t, old, new, false)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := diff.NewNativeReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 32<<10)); err != nil || n != int64(len(new)) {
			t.Fatal(n, err)
		}
		runtime.ReadMemStats(&after)
		used = append(used, after.TotalAlloc-before.TotalAlloc)
	}
	t.Logf("allocated in all: %v bytes", used)
	if max(used[0], used[1]) > limit || used[1] > used[0]+200_000 {
		t.Errorf("allocated %v bytes, %d are allowed, the same for both", used, limit)
	}
}
