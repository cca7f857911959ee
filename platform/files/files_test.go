package files

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
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/platformtest"
)

func TestSlot(t *testing.T) {
	var path string
	var size int64
	again := func(t testing.TB) platform.Slot {
		s, err := NewSlot("b", path, size)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	platformtest.TestSlot(t, func(t testing.TB, n int64) platform.Slot {
		path, size = filepath.Join(t.TempDir(), "slot"), n
		return again(t)
	}, again)
}

func TestSlotSizes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "slot")
	if _, err := NewSlot("a", path, 0); err == nil {
		t.Error("a missing file without a size was accepted")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewSlot("a", path, 0); err == nil {
		t.Error("an empty file without a size was accepted")
	}
	s, err := NewSlot("a", path, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Open(true)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if st, _ := os.Stat(path); st.Size() != 10_000 {
		t.Errorf("the file has %d bytes", st.Size())
	}
	if s, err = NewSlot("a", path, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Size(); n != 10_000 || err != nil {
		t.Errorf("size %d, %v", n, err)
	}
	// A slot that is smaller than its file ends before the file does.
	if s, err = NewSlot("a", path, 100); err != nil {
		t.Fatal(err)
	}
	if m, err = s.Open(true); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.WriteAt([]byte("x"), 100); err == nil {
		t.Error("wrote beyond the slot into its file")
	}
}

func TestSlotRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, make([]byte, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{dir: "a directory", link: "a symbolic link", os.DevNull: "kind block"} {
		_, err := NewSlot("a", path, 10)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// The file is replaced by a link after the slot was described.
	s, err := NewSlot("a", file, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(true); err == nil {
		t.Error("opened through a link")
	}
}

var names = []string{"a", "b"}

// machine is a boot loader on a made-up disk that forgets, tears and reorders
// what was not synced.
type machine struct {
	disk   *forgetful.Disk
	choose forgetful.Choice
	on     bool
}

func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	if m.on && m.disk.Dead() {
		m.disk.PowerOn(m.choose)
	}
	m.on = true
	b, err := openOn(m.disk, "/boot", names, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.PowerOn(); err != nil {
		if !m.disk.Dead() {
			t.Fatalf("PowerOn: %v", err)
		}
		return nil
	}
	return b
}

func (m *machine) CutAt(n int) {
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
		m.on = false
	}
	m.disk.CutAt(n)
}

func (m *machine) Off() bool { return m.disk.Dead() }

func TestBootOnAForgetfulDisk(t *testing.T) {
	choices := map[string]func() forgetful.Choice{
		"nothing":    func() forgetful.Choice { return forgetful.Nothing },
		"everything": func() forgetful.Choice { return forgetful.Everything },
	}
	for seed := range uint64(10) {
		choices[fmt.Sprintf("random%d", seed)] = func() forgetful.Choice { return rand.New(rand.NewPCG(seed, 7)).IntN }
	}
	for name, choose := range choices {
		t.Run(name, func(t *testing.T) {
			platformtest.TestBoot(t, platformtest.Harness{
				Kept: "a", Spare: "b", Attempts: DefaultAttempts,
				New: func(testing.TB) platformtest.Machine {
					return &machine{disk: forgetful.New(), choose: choose()}
				},
			})
		})
	}
}

// real is a boot loader in real files, where a cut is not possible.
type real struct{ dir string }

func (r real) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	b, err := Open(r.dir, names, "a", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.PowerOn(); err != nil {
		t.Fatal(err)
	}
	return b
}
func (real) CutAt(int) {}
func (real) Off() bool { return false }

func TestBoot(t *testing.T) {
	platformtest.TestBoot(t, platformtest.Harness{
		Kept: "a", Spare: "b", Attempts: 2,
		NoCut: "the power of real files cannot be cut: see TestBootOnAForgetfulDisk",
		New:   func(t testing.TB) platformtest.Machine { return real{t.TempDir()} },
	})
}

func TestOpenChangesNothing(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(dir, names, "b", 0)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := b.Running()
	id, ierr := b.BootID()
	if slot != "b" || id != "0" || err != nil || ierr != nil {
		t.Errorf("Running %q, %v, BootID %q, %v", slot, err, id, ierr)
	}
	if b.Keep() == nil {
		t.Error("kept what was never started")
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("made %v", list)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, open := range map[string]func() (*Boot, error){
		"no directory":      func() (*Boot, error) { return Open(filepath.Join(dir, "none"), names, "a", 0) },
		"a file":            func() (*Boot, error) { return Open(os.Args[0], names, "a", 0) },
		"first unknown":     func() (*Boot, error) { return Open(dir, names, "c", 0) },
		"a slot twice":      func() (*Boot, error) { return Open(dir, []string{"a", "a"}, "a", 0) },
		"a nameless slot":   func() (*Boot, error) { return Open(dir, []string{"a", ""}, "a", 0) },
		"negative attempts": func() (*Boot, error) { return Open(dir, names, "a", -1) },
		"many attempts":     func() (*Boot, error) { return Open(dir, names, "a", MaxAttempts+1) },
	} {
		if _, err := open(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestW7BootID: who remembers the boot id knows whether the machine was
// started since.
func TestW7BootID(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]bool{}
	for range 5 {
		b := real{dir}.PowerOn(t)
		other, err := Open(dir, names, "a", 2) // another process that only looks
		if err != nil {
			t.Fatal(err)
		}
		id, err := b.(*Boot).BootID()
		same, serr := other.BootID()
		if err != nil || serr != nil || id != same || seen[id] {
			t.Fatalf("BootID %q, %v; seen by another process %q, %v; known %v", id, err, same, serr, seen)
		}
		seen[id] = true
		if err := b.Try("b"); err != nil {
			t.Fatal(err)
		}
		if again, _ := b.(*Boot).BootID(); again != id {
			t.Fatalf("BootID changed from %q to %q by a Try", id, again)
		}
	}
}

// TestB1: an environment that cannot be read is an error everywhere, and says
// what to do.
func TestB1(t *testing.T) {
	dir := t.TempDir()
	b := real{dir}.PowerOn(t).(*Boot)
	real{dir}.PowerOn(t)
	for i := range 2 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("boot.%d", i)), []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, rerr := b.Running()
	_, perr := b.PowerOn()
	_, ierr := b.BootID()
	_, serr := b.State()
	for name, err := range map[string]error{"Running": rerr, "PowerOn": perr, "BootID": ierr, "State": serr, "Try": b.Try("b"), "Keep": b.Keep()} {
		if err == nil || !strings.Contains(err.Error(), "remove both") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestB2: one bad copy is repaired by the next save.
func TestB2(t *testing.T) {
	dir := t.TempDir()
	r := real{dir}
	r.PowerOn(t)
	b := r.PowerOn(t)
	for i := range 2 {
		path := filepath.Join(dir, fmt.Sprintf("boot.%d", i))
		if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
		if slot, err := b.Running(); slot != "a" || err != nil {
			t.Fatalf("copy %d bad: %q, %v", i, slot, err)
		}
		r.PowerOn(t)
		if data, _ := os.ReadFile(path); bytes.Equal(data, []byte("junk")) {
			t.Fatalf("copy %d was not repaired", i)
		}
	}
}

// A slot that is no longer configured: on trial it is given up, kept it is an
// error.
func TestSlotGone(t *testing.T) {
	dir := t.TempDir()
	three := []string{"a", "b", "c"}
	b, err := Open(dir, three, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if err := b.Try("c"); err != nil {
		t.Fatal(err)
	}
	two := real{dir}.PowerOn(t)
	if slot, err := two.Running(); slot != "a" || err != nil {
		t.Errorf("runs %q, %v", slot, err)
	}
	if err := errors.Join(b.Try("c"), second(b.PowerOn()), b.Keep()); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Running(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("kept slot gone: %v", err)
	}
}

func second(_ string, err error) error { return err }

func FuzzEnvironment(f *testing.F) {
	b, err := openOn(forgetful.New(), "/boot", names, "a", 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"kept":"a","boots":1}`))
	f.Add([]byte(`{"kept":"b","trial":"a","left":3,"running":"b","boots":7}`))
	f.Add([]byte(`{"kept":"a","left":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := b.parse(data)
		if err != nil {
			return
		}
		if b.known(e.Kept) != nil || e.Left < 0 || e.Left > MaxAttempts {
			t.Fatalf("accepted %+v", e)
		}
	})
}
