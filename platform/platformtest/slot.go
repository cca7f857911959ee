package platformtest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/leapslot/ota/platform"
)

// TestSlot proves that a [platform.Slot] keeps its contract. open makes a slot
// that takes size bytes, or returns nil when a slot of that size cannot be
// made here; it is called with sizes of up to 5 GiB, which must be sparse, and
// for the same slot twice by again, which opens the slot of the last call anew.
func TestSlot(t *testing.T, open func(t testing.TB, size int64) platform.Slot, again func(t testing.TB) platform.Slot) {
	const size = 1 << 20
	t.Run("ReadsWhatWasWritten", func(t *testing.T) { readBack(t, open(t, size), again) })
	t.Run("S2EndsAtItsSize", func(t *testing.T) { endsAtSize(t, open(t, size), size) })
	t.Run("S6OneWriter", func(t *testing.T) { oneWriter(t, open(t, size), again) })
	t.Run("S11LargeOffsets", func(t *testing.T) { largeOffsets(t, open) })
}

func opened(t testing.TB, s platform.Slot, write bool) platform.Medium {
	t.Helper()
	m, err := s.Open(write)
	if err != nil {
		t.Fatalf("Open(%v): %v", write, err)
	}
	return m
}

// wantAt reads len(want) bytes at off.
func wantAt(t testing.TB, m platform.Medium, want []byte, off int64) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := m.ReadAt(got, off); n != len(got) || err != nil && err != io.EOF {
		t.Fatalf("ReadAt(%d): %d bytes, %v", off, n, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("ReadAt(%d): %.16x, want %.16x", off, got, want)
	}
}

func writeAt(t testing.TB, m platform.Medium, p []byte, off int64) {
	t.Helper()
	if n, err := m.WriteAt(p, off); n != len(p) || err != nil {
		t.Fatalf("WriteAt(%d): %d bytes, %v", off, n, err)
	}
}

func readBack(t *testing.T, s platform.Slot, again func(testing.TB) platform.Slot) {
	if s.Name() == "" {
		t.Error("the slot has no name")
	}
	m := opened(t, s, true)
	// Sizes and places that are no multiple of a sector of 512 or 4096.
	a, b := bytes.Repeat([]byte("abc"), 3001), bytes.Repeat([]byte("XY"), 77)
	writeAt(t, m, a, 0)
	writeAt(t, m, b, 4095)
	copy(a[4095:], b)
	wantAt(t, m, a, 0)
	if err := m.Sync(); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	if u, ok := m.(platform.Uncached); ok {
		if err := u.DropCache(); err != nil {
			t.Fatalf("DropCache: %v", err)
		}
		wantAt(t, m, a, 0)
	}
	if err := m.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for _, write := range []bool{false, true} { // opening for writing erases nothing
		m = opened(t, again(t), write)
		wantAt(t, m, a[5:], 5)
		if !write {
			if _, err := m.WriteAt([]byte("x"), 0); err == nil {
				t.Error("wrote to a slot that was opened for reading")
			}
		}
		if err := m.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

func endsAtSize(t *testing.T, s platform.Slot, size int64) {
	if got, err := s.Size(); got != size || err != nil {
		t.Fatalf("Size: %d, %v, want %d", got, err, size)
	}
	m := opened(t, s, true)
	defer m.Close()
	writeAt(t, m, []byte("tail"), size-4)
	for _, c := range []struct {
		n   int
		off int64
	}{{5, size - 4}, {1, size}, {1, size + 1}, {1, 1<<63 - 1}, {100, 1<<63 - 50}, {1, -1}} {
		if n, err := m.WriteAt(make([]byte, c.n), c.off); err == nil || n != 0 {
			t.Errorf("WriteAt of %d bytes at %d of %d: %d, %v", c.n, c.off, size, n, err)
		}
	}
	wantAt(t, m, []byte("tail"), size-4)
	if n, err := m.ReadAt(make([]byte, 8), size-4); n != 4 || err != io.EOF {
		t.Errorf("ReadAt over the end: %d, %v, want 4, EOF", n, err)
	}
	if n, err := m.ReadAt(make([]byte, 8), size); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the end: %d, %v, want 0, EOF", n, err)
	}
}

func oneWriter(t *testing.T, s platform.Slot, again func(testing.TB) platform.Slot) {
	m := opened(t, s, true)
	if other, err := again(t).Open(true); !errors.Is(err, platform.ErrBusy) {
		t.Errorf("second writer: %v, want ErrBusy", err)
		if err == nil {
			other.Close()
		}
	}
	if err := m.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	m = opened(t, again(t), true)
	if err := m.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func largeOffsets(t *testing.T, open func(testing.TB, int64) platform.Slot) {
	const size = 5 << 30
	s := open(t, size)
	if s == nil {
		t.Skip("no slot of 5 GiB can be made here")
	}
	m := opened(t, s, true)
	defer m.Close()
	places := []int64{0, 1<<31 - 3, 1<<31 + 512, 1<<32 - 3, 1<<32 + 4096, size - 5}
	mark := func(i int) []byte { return bytes.Repeat([]byte{byte('A' + i)}, 5) }
	for i, off := range places {
		writeAt(t, m, mark(i), off)
	}
	for i, off := range places {
		wantAt(t, m, mark(i), off)
	}
	if err := m.Sync(); err != nil {
		t.Fatalf("Sync: %v", err)
	}
}
