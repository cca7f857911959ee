package agent

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/leapslot/ota/platform"
)

func TestS2ImageLargerThanTheSlot(t *testing.T) {
	w := newWorld(t, make([]byte, slotSize+1), nil, false)
	w.ends("[1.0.0 -4]", false, "takes 2097152")
	if b, err := os.ReadFile(w.path("b.img")); err != nil || !bytes.Equal(b, make([]byte, slotSize)) {
		t.Error("the slot was written all the same")
	}
	w = newWorld(t, make([]byte, slotSize+slotSize/archiveOverhead+1), nil, false)
	w.ends("[1.0.0 -4]", false, "takes 2097152")
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
	big := bytes.Repeat([]byte{7}, slotSize+1)
	w = newWorld(t, gzipOf(nil, big), nil, false)
	w.ends("[1.0.0 -4]", false, "too large")
}

// brokenMedium fails as a device does; a file cannot be made to.
type brokenMedium struct {
	platform.Medium
	after  int64
	errno  error
	rotten bool // what is read back is not what was written
}

func (m *brokenMedium) WriteAt(p []byte, off int64) (int, error) {
	if m.errno != nil && off+int64(len(p)) > m.after {
		return 0, m.errno
	}
	return m.Medium.WriteAt(p, off)
}

func (m *brokenMedium) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.Medium.ReadAt(p, off)
	if m.rotten && n > 0 {
		p[0] ^= 0x40
	}
	return n, err
}

type brokenSlot struct {
	platform.Slot
	m    brokenMedium
	open error
}

func (s *brokenSlot) Open(write bool) (platform.Medium, error) {
	if s.open != nil && write {
		return nil, s.open
	}
	m, err := s.Slot.Open(write)
	return &brokenMedium{m, s.m.after, s.m.errno, s.m.rotten}, err
}

func (w *world) breakSlot(i int, s brokenSlot) {
	w.change = func(c *Config) {
		broken := s
		broken.Slot = c.Slots[i]
		c.Slots[i] = &broken
	}
}

func TestS1S4WriteErrors(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, w := range []*world{goodWorld(t), patchWorld(t)} {
			w.breakSlot(1, brokenSlot{m: brokenMedium{after: 300000, errno: errno}})
			w.ends("[1.0.0 -4]", false, errno.Error())
		}
	}
}

func TestS3ReadErrorInTheSourceOfADiff(t *testing.T) {
	w := patchWorld(t)
	w.breakSlot(0, brokenSlot{m: brokenMedium{rotten: true}})
	w.ends("[1.0.0 -4]", false, "modified")
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
}

// The running slot goes bad between the check of the source and the patching.
func TestS3ReadErrorWhilePatching(t *testing.T) {
	w := cutAt(t, Write, patchWorld)
	w.change = func(c *Config) { c.Slots[0] = &unreadableSlot{c.Slots[0]} }
	w.ends("[1.0.0 -4 1.0.0]", false, "input/output error; send the full package")
}

type unreadableSlot struct{ platform.Slot }

func (s *unreadableSlot) Open(write bool) (platform.Medium, error) {
	m, err := s.Slot.Open(write)
	return unreadable{m}, err
}

type unreadable struct{ platform.Medium }

func (m unreadable) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > imageSize/2 {
		return 0, syscall.EIO
	}
	return m.Medium.ReadAt(p, off)
}

func TestS5ChangedOnTheMedium(t *testing.T) {
	w := goodWorld(t)
	w.breakSlot(1, brokenSlot{m: brokenMedium{rotten: true}})
	w.ends("[1.0.0 -4]", false, "does not hold what was written")
}

func TestS6SlotBusy(t *testing.T) {
	w := goodWorld(t)
	w.breakSlot(1, brokenSlot{open: fmt.Errorf("slot b is mounted: %w", platform.ErrBusy)})
	w.ends("[1.0.0 -4]", false, "mounted")
}

// sickStore cannot save from its n-th save on, like a file system that was
// remounted read-only.
type sickStore struct {
	Store
	left int
}

func (s *sickStore) Save(b []byte) error {
	if s.left--; s.left < 0 {
		return syscall.EROFS
	}
	return s.Store.Save(b)
}

func TestS7StateReadOnlyDuringAnUpdate(t *testing.T) {
	for n := range 7 {
		w := goodWorld(t)
		w.change = func(c *Config) { c.Store = &sickStore{c.Store, n} }
		w.boot()
		if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -1]" && got != "[-1 1.0.0]" && got != "[1.0.0 -2]" {
			t.Errorf("%d saves: the cloud heard %s (all: %s)", n, got, w.cloud.all())
		}
		if w.lives() {
			t.Error("new runs")
		}
	}
}

func TestS8RecordDamaged(t *testing.T) {
	w := goodWorld(t)
	w.write("record.0", []byte("garbage"))
	w.write("record.1", nil)
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

func TestS8RecordOfANewerAgent(t *testing.T) {
	w := goodWorld(t)
	if err := w.store().Save([]byte(`{"format":99}`)); err != nil {
		t.Fatal(err)
	}
	m := w.machine()
	if _, err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(w.config(m, "1")); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("error %v", err)
	}
}

func TestS9SourceModified(t *testing.T) {
	w := patchWorld(t)
	w.write("a.img", append(append([]byte("XXX"), w.old[3:]...), make([]byte, slotSize-len(w.old))...))
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -4]" {
		t.Errorf("heard %s", got)
	}
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
}

func TestS9SourceUnknown(t *testing.T) {
	w := patchWorld(t)
	os.Remove(w.path("record.0"))
	os.Remove(w.path("record.1"))
	w.ends("[1.0.0 -4]", false, "--record-slot")

	w = patchWorld(t)
	os.Remove(w.path("record.0"))
	os.Remove(w.path("record.1"))
	w.allow = true
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

// S9, T6: the running image is changed between the check of a patch's source
// and the patching.
func TestS9SourceModifiedAfterTheCheck(t *testing.T) {
	w := cutAt(t, Write, patchWorld)
	running, err := os.ReadFile(w.path("a.img"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 5000; i < 6000; i++ {
		running[i] ^= 0xff
	}
	w.write("a.img", running)
	w.old = running[:imageSize]
	w.ends("[1.0.0 -4 1.0.0]", false, "modified")
}

// S10: the slots were switched by hand in the middle of a download. What was
// the spare slot runs now, and is not written.
func TestS10SlotsSwitchedByHand(t *testing.T) {
	w := goodWorld(t)
	w.cut.k = 12
	if !w.boot() {
		t.Fatal("it was not cut")
	}
	w.write("b.img", append(bytes.Clone(w.new), make([]byte, slotSize-len(w.new))...))
	m := w.machine()
	if err := m.Try("b"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if err := m.Keep(); err != nil {
		t.Fatal(err)
	}
	w.ends("[1.0.0 -1 1.0.0]", true, "now slot b runs")
}
