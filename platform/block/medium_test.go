package block

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fill makes noise without blocks of zeros.
func fill(r *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(r.Uint32()) | 1
	}
}

func allocated(t testing.TB, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Blocks * 512
}

// TestMediumIsAFile does anything in any order and compares it with memory:
// writes of every size and place, zeros among them, reads, syncs, and closing
// and opening again in the middle of it.
func TestMediumIsAFile(t *testing.T) {
	modes(t, func(t *testing.T, direct bool, sector int) {
		const size = 5<<20 + 8192
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		l := newLoop(t, t.TempDir(), size, sector)
		s := newSlot(t, Config{Device: l.path, Direct: direct})
		want := make([]byte, size)
		m := openMedium(t, s, true)
		at := 0
		look := func(at, n int) {
			if got := read(t, m, n, int64(at)); !bytes.Equal(got, want[at:at+n]) {
				t.Fatalf("%d bytes at %d are not what was written", n, at)
			}
		}
		for range 300 {
			if r.IntN(3) == 0 {
				at = r.IntN(size)
			}
			n := min(r.IntN([]int{10, 5000, 300_000, 2_000_000}[r.IntN(4)]), size-at)
			switch r.IntN(9) {
			case 0:
				look(at, n)
			case 1:
				sync(t, m)
			case 2:
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
				m = openMedium(t, s, true)
			case 3:
				clear(want[at : at+n])
				write(t, m, want[at:at+n], int64(at))
				at = (at + n) % size
			case 4: // over what has just been read ahead
				look(at, n)
				fill(r, want[at:at+n/2])
				write(t, m, want[at:at+n/2], int64(at))
				look(at, n)
			default:
				fill(r, want[at:at+n])
				write(t, m, want[at:at+n], int64(at))
				at = (at + n) % size
			}
		}
		sync(t, m)
		if err := m.DropCache(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, m, size, 0); !bytes.Equal(got, want) {
			t.Fatal("the medium is not what was written")
		}
	})
}

// TestW9Resumes: a download is cut at a checkpoint that is no multiple of
// anything, and goes on there.
func TestW9Resumes(t *testing.T) {
	modes(t, func(t *testing.T, direct bool, sector int) {
		l := newLoop(t, t.TempDir(), 4<<20, sector)
		s := newSlot(t, Config{Device: l.path, Direct: direct})
		image := make([]byte, 3<<20+77)
		fill(rand.New(rand.NewPCG(2, 2)), image)
		old := bytes.Repeat([]byte{0xee}, 4<<20)
		m := openMedium(t, s, true)
		write(t, m, old, 0)
		write(t, m, image[:1<<20+333], 0)
		sync(t, m)
		// What the medium holds after the sync is what a power cut leaves.
		if got, err := os.ReadFile(l.backing); err != nil || !bytes.Equal(got[:1<<20+333], image[:1<<20+333]) || got[1<<20+333] != 0xee {
			t.Fatalf("after the checkpoint the medium holds something else (%v)", err)
		}
		m.Close()
		m = openMedium(t, s, true)
		for at := 1<<20 + 333; at < len(image); at += 12_345 {
			write(t, m, image[at:min(at+12_345, len(image))], int64(at))
		}
		sync(t, m)
		got, err := os.ReadFile(l.backing)
		if err != nil || !bytes.Equal(got[:len(image)], image) || !bytes.Equal(got[len(image):], old[len(image):]) {
			t.Errorf("the medium does not hold the image and, after it, what was there (%v)", err)
		}
	})
}

// TestS5ReadBackComesFromTheMedium changes the medium under the page cache.
func TestS5ReadBackComesFromTheMedium(t *testing.T) {
	modes(t, func(t *testing.T, direct bool, sector int) {
		l := newLoop(t, t.TempDir(), 4<<20, sector)
		s := newSlot(t, Config{Device: l.path, Direct: direct})
		w := openMedium(t, s, true)
		write(t, w, bytes.Repeat([]byte("good"), 1<<20), 0)
		sync(t, w)
		r := openMedium(t, s, false)
		if got := read(t, r, 4, 4096); string(got) != "good" {
			t.Fatalf("read %q", got)
		}
		f, err := os.OpenFile(l.backing, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("evil"), 4096); err != nil {
			t.Fatal(err)
		}
		if got := read(t, r, 4, 4096); string(got) != "good" {
			t.Fatalf("read %q: the page cache was expected, so that this test proves something", got)
		}
		for name, m := range map[string]*medium{"reader": r, "writer": w} {
			if err := m.DropCache(); err != nil {
				t.Fatal(err)
			}
			if got := read(t, m, 4, 4096); string(got) != "evil" {
				t.Errorf("the %s reads %q after DropCache, the medium holds evil", name, got)
			}
		}
		// Somebody fills the page cache again, after it was dropped.
		read(t, openMedium(t, s, false), 4, 3<<20)
		if _, err := f.WriteAt([]byte("evil"), 3<<20); err != nil {
			t.Fatal(err)
		}
		if got := read(t, r, 4, 3<<20); string(got) != "evil" {
			t.Errorf("read %q from a cache that others filled", got)
		}
		// A writer goes on after it looked.
		write(t, w, []byte("good"), 4096)
		sync(t, w)
		if got, _ := os.ReadFile(l.backing); string(got[4096:4100]) != "good" {
			t.Errorf("the medium holds %q", got[4096:4100])
		}
	})
}

// TestS4WriteError: the device fails in the middle. The error comes with Sync
// at the latest, and stays: no second Sync says that all is well.
func TestS4WriteError(t *testing.T) {
	modes(t, func(t *testing.T, direct bool, sector int) {
		// Where the backing file finds no room, the device has an I/O error.
		l := newLoop(t, mountOn(t, "tmpfs", "none", "size=6m"), 24<<20, sector)
		m := openMedium(t, newSlot(t, Config{Device: l.path, Direct: direct}), true)
		noise := make([]byte, 1<<20)
		fill(rand.New(rand.NewPCG(3, 3)), noise)
		var err error
		for at := int64(0); at < 24<<20 && err == nil; at += 1 << 20 {
			_, err = m.WriteAt(noise, at)
		}
		if serr := m.Sync(); err == nil {
			err = serr
		}
		if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("24 MiB on 6 MiB: %v", err)
		}
		if err := m.Sync(); err == nil {
			t.Error("the second Sync says that all is well")
		}
		if _, err := m.WriteAt([]byte("x"), 0); err == nil {
			t.Error("it goes on writing")
		}
		if err := m.Close(); err == nil {
			t.Error("Close says that all is well")
		}
	})
}

// TestZerosAreNotWritten: the device makes them, and they read as zeros.
func TestZerosAreNotWritten(t *testing.T) {
	modes(t, func(t *testing.T, direct bool, sector int) {
		const size = 8 << 20
		l := newLoop(t, t.TempDir(), size, sector)
		m := openMedium(t, newSlot(t, Config{Device: l.path, Direct: direct}), true)
		image := make([]byte, size)
		fill(rand.New(rand.NewPCG(4, 4)), image)
		write(t, m, image, 0)
		sync(t, m)
		before := allocated(t, l.backing)
		clear(image[1<<20+5 : 7<<20+5])
		write(t, m, image, 0)
		sync(t, m)
		if m.noPunch {
			t.Error("the device was taken for one that cannot make zeros")
		}
		if after := allocated(t, l.backing); after > before-5<<20 {
			t.Errorf("%d bytes are allocated, %d before 6 MiB of zeros", after, before)
		}
		if got, _ := os.ReadFile(l.backing); !bytes.Equal(got, image) {
			t.Error("the medium does not hold the image")
		}
	})
}

// TestZerosAreWrittenElsewhere: a device that cannot make zeros gets them.
func TestZerosAreWrittenElsewhere(t *testing.T) {
	l := newLoop(t, mountOn(t, "ramfs", "none", ""), 2<<20, 512)
	m := openMedium(t, newSlot(t, Config{Device: l.path}), true)
	write(t, m, bytes.Repeat([]byte{0xff}, 2<<20), 0)
	write(t, m, make([]byte, 1<<20), 100)
	sync(t, m)
	if !m.noPunch {
		t.Error("a loop device on ramfs can make zeros now: this test needs another one")
	}
	got, _ := os.ReadFile(l.backing)
	if !bytes.Equal(got[100:100+1<<20], make([]byte, 1<<20)) || got[99] != 0xff || got[100+1<<20] != 0xff {
		t.Error("the zeros are not there")
	}
}

// TestDirtyPagesAreBounded asks the kernel how much waits in the page cache.
func TestDirtyPagesAreBounded(t *testing.T) {
	l := newLoop(t, t.TempDir(), 64<<20, 512)
	for _, direct := range []bool{false, true} {
		m := openMedium(t, newSlot(t, Config{Device: l.path, Direct: direct}), true)
		noise := make([]byte, 128<<10)
		fill(rand.New(rand.NewPCG(5, 5)), noise)
		var most uint64
		for at := int64(0); at < 64<<20; at += int64(len(noise)) {
			write(t, m, noise, at)
			var c unix.Cachestat_t
			err := unix.Cachestat(uint(m.f.Fd()), &unix.CachestatRange{}, &c, 0)
			if errors.Is(err, unix.ENOSYS) {
				t.Skip("this kernel has no cachestat(2)")
			} else if err != nil {
				t.Fatal(err)
			}
			most = max(most, (c.Dirty+c.Writeback)*uint64(os.Getpagesize()))
		}
		limit := uint64(2*batch + window)
		if direct {
			limit = 0
		}
		if most > limit {
			t.Errorf("direct %v: up to %d bytes waited in the page cache, the limit is %d", direct, most, limit)
		}
		sync(t, m)
		m.Close()
	}
}

// TestReadsInOrderPastTheCache reads back as the agent does, and in other steps.
func TestReadsInOrderPastTheCache(t *testing.T) {
	l := newLoop(t, t.TempDir(), 3<<20+512, 512)
	want := make([]byte, 3<<20+512)
	fill(rand.New(rand.NewPCG(6, 6)), want)
	if err := os.WriteFile(l.backing, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m := openMedium(t, newSlot(t, Config{Device: l.path}), false)
	if err := m.DropCache(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{100_000, 128 << 10, 1<<20 + 1} {
		for at := 0; at < len(want); at += step {
			n := min(step, len(want)-at)
			if got := read(t, m, n, int64(at)); !bytes.Equal(got, want[at:at+n]) {
				t.Fatalf("%d bytes at %d are wrong", n, at)
			}
		}
	}
}
