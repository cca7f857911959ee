package ubi

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/block"
	"github.com/leapslot/ota/platform/platformtest"
)

const testLEB = 126_976 // of a NAND with pages of 2 KiB

// chip is a made-up flash: the kernel of the development machine has no MTD.
// The real one is written to by TestRealVolume, which the lab runs on nandsim.
// It keeps UBI's promise, that a change of an eraseblock happens or does not,
// and can lose its power at one of them.
type chip struct {
	lebs    map[int32][]byte
	writer  bool
	left    int // changes until the power fails; negative: it does not
	changes int
}

var errOff = errors.New("the power is off")

// handle is the chip, opened.
type handle struct {
	*chip
	write bool
}

func (c *chip) open(_ Volume, write bool) (flash, error) {
	if write && c.writer {
		return nil, platform.ErrBusy
	}
	c.writer = c.writer || write
	return handle{c, write}, nil
}

func (h handle) ReadAt(p []byte, off int64) (int, error) {
	for i := 0; i < len(p); {
		leb, at := int32((off+int64(i))/testLEB), int((off+int64(i))%testLEB)
		data, ok := h.lebs[leb]
		n := min(len(p)-i, testLEB-at)
		if ok {
			copy(p[i:i+n], data[at:])
		} else {
			copy(p[i:i+n], bytes.Repeat([]byte{0xff}, n))
		}
		i += n
	}
	return len(p), nil
}

func (h handle) change(leb int32, data []byte) error {
	if h.left == 0 || !h.write || len(data) != testLEB {
		return errOff
	}
	h.left--
	h.changes++
	h.lebs[leb] = bytes.Clone(data)
	return nil
}

func (h handle) empty() error { clear(h.lebs); return nil }
func (h handle) Sync() error  { return nil }
func (h handle) Close() error {
	h.writer = h.writer && !h.write
	return nil
}

// newSlot makes a slot of a made-up volume of at least size bytes.
func newSlot(t testing.TB, size int64, change func(dir string)) (*Slot, *chip) {
	t.Helper()
	tables := block.Tables{Sys: t.TempDir(), Proc: t.TempDir(), Dev: t.TempDir()}
	volume(t, tables, "ubi0_1", "slot b", (size+testLEB-1)/testLEB)
	put(t, "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", tables.Proc, "self/mountinfo")
	if change != nil {
		change(filepath.Join(class(tables), "ubi0_1"))
	}
	s, err := New(Config{Name: "b", Volume: "ubi0:slot b", Tables: tables})
	if err != nil {
		t.Fatal(err)
	}
	c := &chip{lebs: map[int32][]byte{}, left: -1}
	s.open = c.open
	return s, c
}

func volume(t testing.TB, tables block.Tables, node, name string, count int64) {
	for attr, text := range map[string]string{
		"type": "dynamic", "upd_marker": "0", "name": name, "dev": "250:2",
		"usable_eb_size": fmt.Sprint(testLEB), "reserved_ebs": fmt.Sprint(count),
	} {
		put(t, text+"\n", class(tables), node, attr)
	}
}

func put(t testing.TB, text string, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// exact is a slot whose size is no multiple of an eraseblock, which the suite
// asks for and a volume cannot have.
type exact struct {
	*Slot
	size int64
}

func (e exact) Size() (int64, error) { return e.size, nil }

func (e exact) Open(write bool) (platform.Medium, error) {
	m, err := e.Slot.Open(write)
	if err == nil {
		m.(*medium).size = e.size
	}
	return m, err
}

func TestSlot(t *testing.T) {
	var s exact
	again := func(t testing.TB) platform.Slot { return s }
	platformtest.TestSlot(t, func(t testing.TB, size int64) platform.Slot {
		s.size = size
		s.Slot, _ = newSlot(t, size, nil)
		return s
	}, again)
}

// TestRealVolume runs the suite on a real volume, whose content is lost:
// UBI_TEST_VOLUME=/dev/ubi0_0, of 1 MiB or more.
func TestRealVolume(t *testing.T) {
	path := os.Getenv("UBI_TEST_VOLUME")
	if path == "" {
		t.Skip("UBI_TEST_VOLUME names no volume: the lab does, on nandsim")
	}
	real, err := New(Config{Name: "b", Volume: path})
	if err != nil {
		t.Fatal(err)
	}
	most, err := real.Size()
	if err != nil {
		t.Fatal(err)
	}
	s := exact{Slot: real}
	platformtest.TestSlot(t, func(t testing.TB, size int64) platform.Slot {
		if s.size = size; size > most {
			return nil
		}
		return s
	}, func(testing.TB) platform.Slot { return s })
	t.Run("W9Resumes", func(t *testing.T) { resumes(t, real) })
	t.Run("S6Reader", func(t *testing.T) {
		w, r := open(t, real, true), open(t, real, false)
		if _, err := w.WriteAt(make([]byte, most), 0); !errors.Is(err, platform.ErrBusy) {
			t.Errorf("a write while another reads: %v, want ErrBusy", err)
		}
		r.Close()
	})
}

// TestRealMounted looks at a real volume that is mounted:
// UBI_TEST_MOUNTED=/dev/ubi0_0, as a UBIFS or through its ubiblock device.
func TestRealMounted(t *testing.T) {
	path := os.Getenv("UBI_TEST_MOUNTED")
	if path == "" {
		t.Skip("UBI_TEST_MOUNTED names no volume: the lab does, on nandsim")
	}
	s, err := New(Config{Name: "a", Volume: path})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(true)
	if err == nil {
		m.Close()
	}
	if !errors.Is(err, platform.ErrBusy) || !strings.Contains(err.Error(), "is mounted at") {
		t.Errorf("open of a mounted volume: %v, want ErrBusy, and where", err)
	}
}

func open(t testing.TB, s platform.Slot, write bool) platform.Medium {
	t.Helper()
	m, err := s.Open(write)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// resumes writes an image up to an uneven checkpoint and goes on there.
func resumes(t *testing.T, s platform.Slot) {
	image := make([]byte, 700_001)
	for i := range image {
		image[i] = byte(rand.Uint32())
	}
	m := open(t, s, true)
	step := func(from, to int) {
		for at := from; at < to; at += 10_007 {
			if _, err := m.WriteAt(image[at:min(at+10_007, to)], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(0, 300_003)
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
	m.Close()
	m = open(t, s, true)
	step(300_003, len(image))
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(image))
	if _, err := m.ReadAt(got, 0); err != nil || !bytes.Equal(got, image) {
		t.Errorf("the volume does not hold the image (%v)", err)
	}
	m.Close()
}

func TestW9Resumes(t *testing.T) {
	s, _ := newSlot(t, 1<<20, nil)
	resumes(t, s)
}

// TestW1CutAtEveryChange: whatever eraseblock the power fails at, the ones
// before are new and the rest is old, and the next update ends well.
func TestW1CutAtEveryChange(t *testing.T) {
	const lebs = 6
	image := bytes.Repeat([]byte("new!"), lebs*testLEB/4)
	for cut := range lebs {
		s, c := newSlot(t, lebs*testLEB, nil)
		old := bytes.Repeat([]byte("old."), testLEB/4)
		for i := range int32(lebs) {
			c.lebs[i] = old
		}
		c.left = cut
		m := open(t, s, true)
		_, err := m.WriteAt(image, 0)
		if !errors.Is(err, errOff) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if err := m.Sync(); err == nil {
			t.Error("Sync after a failed write says that all is well")
		}
		if err := m.Close(); err == nil {
			t.Error("Close after a failed write says that all is well")
		}
		for i := range lebs {
			want := map[bool]string{true: "new!", false: "old."}[i < cut]
			if !bytes.Equal(c.lebs[int32(i)], bytes.Repeat([]byte(want), testLEB/4)) {
				t.Errorf("cut at %d: eraseblock %d is not %q", cut, i, want)
			}
		}
		c.left = -1
		resumes(t, s)
	}
}

// TestOneChangeForEachEraseblock: an image written in small pieces wears the
// flash once, and each sync at most once more.
func TestOneChangeForEachEraseblock(t *testing.T) {
	s, c := newSlot(t, 8*testLEB, nil)
	m := open(t, s, true)
	for at := int64(0); at < 8*testLEB; at += 4096 {
		if _, err := m.WriteAt(make([]byte, min(4096, 8*testLEB-at)), at); err != nil {
			t.Fatal(err)
		}
		if at == 5*testLEB/4096*4096 {
			m.Sync()
			m.Sync()
		}
	}
	m.Sync()
	if c.changes != 9 {
		t.Errorf("8 eraseblocks and a sync in the middle were %d changes, want 9", c.changes)
	}
}

// TestMediumIsAFile does anything in any order and compares it with memory.
func TestMediumIsAFile(t *testing.T) {
	const size = 6 * testLEB
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	s, _ := newSlot(t, size, nil)
	want, at := bytes.Repeat([]byte{0xff}, size), 0
	m := open(t, s, true)
	for range 500 {
		if r.IntN(3) == 0 {
			at = r.IntN(size)
		}
		n := min(r.IntN([]int{10, 5000, 300_000}[r.IntN(3)]), size-at)
		switch r.IntN(5) {
		case 0:
			got := make([]byte, n)
			if _, err := m.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:at+n]) {
				t.Fatalf("%d bytes at %d are not what was written (%v)", n, at, err)
			}
		case 1:
			m.Close()
			m = open(t, s, true)
		default:
			for i := range n {
				want[at+i] = byte(r.Uint32())
			}
			if _, err := m.WriteAt(want[at:at+n], int64(at)); err != nil {
				t.Fatal(err)
			}
			at = (at + n) % size
		}
	}
}
