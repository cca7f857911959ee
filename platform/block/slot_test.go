package block

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/platformtest"
)

// TestSlot runs the contract of a slot on real block devices, with sectors of
// both sizes and up to 5 GiB (S2, S6, S11).
func TestSlot(t *testing.T) {
	modes(t, func(t *testing.T, direct bool, sector int) {
		var l loop
		again := func(t testing.TB) platform.Slot { return newSlot(t, Config{Device: l.path, Direct: direct}) }
		platformtest.TestSlot(t, func(t testing.TB, size int64) platform.Slot {
			l = newLoop(t, t.TempDir(), size, sector)
			return again(t)
		}, again)
	})
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{
		{Name: "", Device: "/dev/x"}, {Name: "a"}, {Name: "a", Device: "sda1"}, {Name: "a", Device: "/dev/x", MinSize: -1},
		{Name: "a", Device: "UUID=1234"}, {Name: "a", Device: "LABEL=root"}, {Name: "a", Device: "PARTLABEL="},
		{Name: "a", Device: "DISK=1"}, {Name: "a", Device: "/" + strings.Repeat("x", maxSpec)}, {Name: "a", Device: "/dev/\x00"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}

// TestS2TooSmall is a device that cannot be the slot.
func TestS2TooSmall(t *testing.T) {
	l := newLoop(t, t.TempDir(), 1<<20, 512)
	s := newSlot(t, Config{Device: l.path, MinSize: 1<<20 + 1})
	if _, err := s.Size(); err == nil {
		t.Error("an undersized device has a size")
	}
	if _, err := s.Open(true); err == nil {
		t.Error("an undersized device was opened")
	}
	if n, err := newSlot(t, Config{Device: l.path, MinSize: 1 << 20}).Size(); n != 1<<20 || err != nil {
		t.Errorf("size %d, %v", n, err)
	}
}

// TestSizeIsWholeSectors: what is left over at the end of the device belongs to
// no sector and cannot be written.
func TestSizeIsWholeSectors(t *testing.T) {
	l := newLoop(t, t.TempDir(), 1<<20+512, 4096)
	if n, err := newSlot(t, Config{Device: l.path}).Size(); n != 1<<20 || err != nil {
		t.Errorf("size %d, %v, want %d", n, err, 1<<20)
	}
}

func TestRefusesWhatIsNoDevice(t *testing.T) {
	for _, path := range []string{t.TempDir(), os.DevNull, "/nonexistent"} {
		s := newSlot(t, Config{Device: path})
		if _, err := s.Size(); err == nil {
			t.Errorf("%s has a size", path)
		}
		if _, err := s.Open(true); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
}

func TestS4WriteProtected(t *testing.T) {
	l := newLoop(t, t.TempDir(), 1<<20, 512, "-r")
	if _, err := newSlot(t, Config{Device: l.path}).Open(true); err == nil || !strings.Contains(err.Error(), "write-protected") {
		t.Errorf("open of a write-protected device: %v", err)
	}
}

func wantBusy(t *testing.T, device, why string) {
	t.Helper()
	m, err := newSlot(t, Config{Device: device}).Open(true)
	if err == nil {
		m.Close()
	}
	if !errors.Is(err, platform.ErrBusy) || !strings.Contains(err.Error(), why) {
		t.Errorf("open of %s: %v, want ErrBusy, %q", device, err, why)
	}
}

// TestS6Mounted: the device, a partition of it, or the disk of it is mounted.
func TestS6Mounted(t *testing.T) {
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("no mkfs.ext4 here (package e2fsprogs)")
	}
	l := newLoop(t, t.TempDir(), 16<<20, 512, "-P")
	p1, p2 := l.addPartition(t, 1, 1<<20, 4<<20), l.addPartition(t, 2, 8<<20, 4<<20)
	mustRun(t, "mkfs.ext4", "-q", p1)
	dir := mountOn(t, "ext4", p1, "")
	wantBusy(t, p1, dir)
	wantBusy(t, l.path, dir)
	// Its neighbour is free, and can be read and written.
	s := newSlot(t, Config{Device: p2})
	if n, err := s.Size(); n != 4<<20 || err != nil {
		t.Errorf("size %d, %v", n, err)
	}
	m := openMedium(t, s, true)
	write(t, m, []byte("here"), 0)
	sync(t, m)
	// A mounted device can be read: it is the source of a patch.
	m = openMedium(t, newSlot(t, Config{Device: p1}), false)
	read(t, m, 100, 0)

	whole := newLoop(t, t.TempDir(), 4<<20, 512)
	mustRun(t, "mkfs.ext4", "-q", whole.path)
	wantBusy(t, whole.path, mountOn(t, "ext4", whole.path, ""))
}

// TestS6Held: a process that is no mount holds the device.
func TestS6Held(t *testing.T) {
	l := newLoop(t, t.TempDir(), 16<<20, 512, "-P")
	p1 := l.addPartition(t, 1, 1<<20, 4<<20)
	f, err := os.OpenFile(l.path, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantBusy(t, l.path, "held")
	wantBusy(t, p1, "held")
	f.Close()
	openMedium(t, newSlot(t, Config{Device: p1}), true)
}

// TestS10RealRoot tries to write to what this very machine runs from.
func TestS10RealRoot(t *testing.T) {
	root, err := Tables{}.Root()
	if err != nil || len(root.Devices) == 0 {
		t.Skipf("/ is on no block device here: %+v, %v", root, err)
	}
	text, err := os.ReadFile(filepath.Join("/sys/dev/block", root.Devices[0].String(), "uevent"))
	if err != nil {
		t.Skipf("%s: %v", root.Devices[0], err)
	}
	path := "/dev/" + parseUevent(string(text)).node
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the root device has no node here: %v", err)
	}
	m, err := newSlot(t, Config{Device: path}).Open(true)
	if err == nil {
		m.Close()
	}
	if !errors.Is(err, platform.ErrRunning) {
		t.Errorf("open of the root device %s: %v, want ErrRunning", path, err)
	}
}

// TestS10Running is a made-up table of mounts that says that / is on the slot,
// a partition of it, or an overlay above it.
func TestS10Running(t *testing.T) {
	l := newLoop(t, t.TempDir(), 16<<20, 512, "-P")
	p1, p2 := l.addPartition(t, 1, 1<<20, 4<<20), l.addPartition(t, 2, 8<<20, 4<<20)
	number := func(path string) string {
		d, err := Tables{}.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		return d.Number.String()
	}
	for name, c := range map[string]struct {
		mounts  string
		running []string
		free    []string
	}{
		"ByNumber": {"1 0 " + number(p1) + " / / rw - ext4 /dev/root rw\n", []string{p1, l.path}, []string{p2}},
		"BySource": {"1 0 0:30 /@ / rw - btrfs " + p1 + " rw\n", []string{p1, l.path}, []string{p2}},
		"Disk":     {"1 0 " + number(l.path) + " / / rw - ext4 x rw\n", []string{p1, p2, l.path}, nil},
		"Covered": {"1 0 0:1 / / rw - rootfs rootfs rw\n2 1 " + number(p2) + " / / rw - ext4 x rw\n",
			[]string{p2, l.path}, []string{p1}},
		"Overlay": {"1 0 0:30 / / rw - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/rw/up\n" +
			"2 1 " + number(p1) + " / /media/root-ro ro - ext4 x ro\n3 1 0:31 / /media/rw rw - tmpfs tmpfs rw\n",
			[]string{p1, l.path}, []string{p2}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, c.mounts, dir, "self", "mountinfo")
			open := func(path string) error {
				m, err := newSlot(t, Config{Device: path, Tables: Tables{Proc: dir}}).Open(true)
				if err == nil {
					m.Close()
				}
				return err
			}
			for _, path := range c.running {
				if err := open(path); !errors.Is(err, platform.ErrRunning) {
					t.Errorf("%s: %v, want ErrRunning", path, err)
				}
			}
			for _, path := range c.free {
				if err := open(path); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
}

// TestS6UnknownMounts: without the table of mounts nothing is written.
func TestS6UnknownMounts(t *testing.T) {
	l := newLoop(t, t.TempDir(), 1<<20, 512)
	for _, tables := range []Tables{{Proc: t.TempDir()}, {Sys: t.TempDir()}} {
		if _, err := newSlot(t, Config{Device: l.path, Tables: tables}).Open(true); err == nil {
			t.Errorf("opened for writing without %+v", tables)
		}
	}
}

// TestT6Exchanged: the node becomes another device after it was looked at.
func TestT6Exchanged(t *testing.T) {
	l := newLoop(t, t.TempDir(), 1<<20, 512)
	s := newSlot(t, Config{Device: l.path})
	d, err := s.Device()
	if err != nil {
		t.Fatal(err)
	}
	d.Number.Minor++
	for _, write := range []bool{false, true} {
		if _, err := s.open(d, write); err == nil || write == false && !strings.Contains(err.Error(), "exchanged") {
			t.Errorf("open of another device, write %v: %v", write, err)
		}
	}
}

// TestTrim gives back what lies beyond the image, and leaves the image alone.
func TestTrim(t *testing.T) {
	l := newLoop(t, t.TempDir(), 8<<20, 4096)
	m := openMedium(t, newSlot(t, Config{Device: l.path}), true)
	noise := make([]byte, 8<<20)
	fill(rand.New(rand.NewPCG(1, 1)), noise)
	write(t, m, noise, 0)
	sync(t, m)
	before := allocated(t, l.backing)
	if err := m.Trim(1<<20 + 1); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, 1<<20+1, 0); string(got) != string(noise[:1<<20+1]) {
		t.Error("the image was trimmed too")
	}
	if after := allocated(t, l.backing); after > before-6<<20 {
		t.Errorf("%d bytes are allocated after the trim, %d before", after, before)
	}
	for _, from := range []int64{-1, 8<<20 + 1} {
		if err := m.Trim(from); err == nil {
			t.Errorf("trimmed from %d", from)
		}
	}
	if err := m.Trim(8 << 20); err != nil {
		t.Errorf("trim of nothing: %v", err)
	}
}
