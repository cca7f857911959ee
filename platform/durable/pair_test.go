package durable

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/forgetful"
)

func open(t *testing.T, dir string) *Pair {
	t.Helper()
	p, err := OpenPair(dir, "record")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func save(t *testing.T, p *Pair, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := p.Save([]byte(v)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantValue(t *testing.T, p *Pair, want string) {
	t.Helper()
	got, err := p.Load()
	if err != nil || string(got) != want {
		t.Fatalf("Load: %q, %v, want %q", got, err, want)
	}
}

func TestPair(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	if _, err := p.Load(); !errors.Is(err, ErrNone) {
		t.Fatalf("Load of nothing: %v", err)
	}
	for i := range 20 {
		v := strings.Repeat("v", (i*37)%100) + fmt.Sprint(i)
		save(t, p, v)
		wantValue(t, p, v)
		wantValue(t, open(t, dir), v)
	}
	save(t, p, "")
	wantValue(t, p, "")
	if err := p.Save(make([]byte, MaxValue+1)); err == nil {
		t.Fatal("saved more than MaxValue")
	}
	wantValue(t, p, "")
	big := strings.Repeat("b", MaxValue)
	save(t, p, big)
	wantValue(t, open(t, dir), big)
	st, err := os.Stat(p.Path(0))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
}

func TestPairNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "/a", ".hidden"} {
		if _, err := OpenPair("/tmp", name); err == nil {
			t.Errorf("name %q accepted", name)
		}
	}
	if _, err := OpenPair("", "a"); err == nil {
		t.Error("no directory accepted")
	}
}

// damages are what may have happened to the newest copy.
func damages(whole []byte) map[string][]byte {
	m := map[string][]byte{
		"empty":   {},
		"zeros":   make([]byte, len(whole)),
		"garbage": bytes.Repeat([]byte("garbage!"), 20),
	}
	newer := bytes.Clone(whole)
	newer[8] = copyFormat + 1
	m["newer format"] = newer
	for i := range whole {
		m[fmt.Sprintf("torn at %d", i)] = whole[:i]
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		m[fmt.Sprintf("flipped at %d", i)] = flipped
		zeroed := append(bytes.Clone(whole[:i]), make([]byte, len(whole)-i)...)
		if !bytes.Equal(zeroed, whole) {
			m[fmt.Sprintf("zeros from %d", i)] = zeroed
		}
	}
	return m
}

// TestS8 damages the newest copy in every way: the other one is used, and the
// next save repairs the bad one.
func TestS8(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	save(t, p, "the first", "the second")
	newest, err := os.ReadFile(p.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(p.Path(0))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range damages(newest) {
		for i, b := range [2][]byte{first, bad} {
			if err := os.WriteFile(p.Path(i), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := open(t, dir)
		got, err := p.Load()
		if err != nil || string(got) != "the first" {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		save(t, p, "the third")
		wantValue(t, open(t, dir), "the third")
		if b, _ := os.ReadFile(p.Path(0)); !bytes.Equal(b, first) {
			t.Fatalf("%s: the whole copy was overwritten", name)
		}
	}
}

func TestS8BothDamaged(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	save(t, p, "the first", "the second")
	if err := os.WriteFile(p.Path(0), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Path(1), bytes.Repeat([]byte("junk"), 20), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p.Load()
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "record.0: empty") || !strings.Contains(err.Error(), "record.1: not a record") {
		t.Fatalf("Load: %v", err)
	}
	if err := os.Remove(p.Path(1)); err != nil {
		t.Fatal(err)
	}
	if _, err = p.Load(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("one damaged, one missing: %v", err)
	}
	save(t, p, "again")
	wantValue(t, open(t, dir), "again")
}

// A copy that cannot be read for a reason of ours is not a damaged one: a
// save that took it for damaged would overwrite it.
func TestPairUnreadableIsNotDamaged(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	save(t, p, "the first", "the second")
	if err := os.Rename(p.Path(1), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), p.Path(1)); err != nil {
		t.Fatal(err)
	}
	if v, err := p.Load(); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("Load: %q, %v", v, err)
	}
	if err := p.Save([]byte("x")); err == nil {
		t.Fatal("saved")
	}
}

// TestW14Pair cuts the power at every call of every save in a row of them, with
// every way to lose what was not synced, and again in the save after it.
func TestW14Pair(t *testing.T) {
	values := []string{"one", strings.Repeat("two ", 300), "three", strings.Repeat("four", 200), "five"}
	points := 0
	for name, choose := range choices() {
		for cut, whole := 1, false; !whole; cut++ {
			whole = cutPair(t, fmt.Sprintf("%s, cut %d", name, cut), values, cut, choose)
			points++
		}
	}
	t.Logf("%d cuts", points)
}

func modelPair(t *testing.T, d disk.Disk) *Pair {
	t.Helper()
	p, err := OpenPairOn(d, "/d", "record")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cutPair saves the values until the power fails, and tells whether it did not.
func cutPair(t *testing.T, name string, values []string, cut int, choose forgetful.Choice) bool {
	t.Helper()
	d := forgetful.New()
	d.CutAt(cut)
	p := modelPair(t, d)
	saved := 0
	for saved < len(values) && p.Save([]byte(values[saved])) == nil {
		saved++
	}
	whole := !d.Dead()
	d.PowerOn(choose)
	got, err := modelPair(t, d).Load()
	switch {
	case saved == 0 && errors.Is(err, ErrNone):
	case err != nil:
		t.Fatalf("%s: after %d saves: %v", name, saved, err)
	case saved > 0 && string(got) == values[saved-1]:
	case saved < len(values) && string(got) == values[saved]:
	default:
		t.Fatalf("%s: after %d saves: %.20q", name, saved, got)
	}
	save(t, modelPair(t, d), "next")
	d.PowerOn(forgetful.Nothing)
	wantValue(t, modelPair(t, d), "next")
	return whole
}

// TestW4PairKilledThenCut is the trap of two copies: a process is killed
// between writing the newest copy and syncing it, the next process sees that
// copy whole in the kernel's memory, and the power is cut while it overwrites
// the other one.
func TestW4PairKilledThenCut(t *testing.T) {
	for name, choose := range choices() {
		for kill := 1; kill < 12; kill++ {
			for cut := 1; cut < 12; cut++ {
				d := forgetful.New()
				save(t, modelPair(t, d), "one", "two")
				d.PowerOn(forgetful.Nothing)
				d.CutAt(kill)
				modelPair(t, d).Save([]byte("three"))
				d.Restart()
				d.CutAt(cut)
				seen, err := modelPair(t, d).Load()
				modelPair(t, d).Save([]byte("four"))
				d.PowerOn(choose)
				got, gerr := modelPair(t, d).Load()
				if gerr != nil {
					t.Fatalf("%s, kill %d, cut %d: %v", name, kill, cut, gerr)
				}
				if err == nil && string(got) != string(seen) && string(got) != "four" {
					t.Fatalf("%s, kill %d, cut %d: Load gave %q, later %q", name, kill, cut, seen, got)
				}
			}
		}
	}
}

// failing is a disk whose next sync of one file fails after the data has
// reached the kernel's memory.
type failing struct {
	*forgetful.Disk
	path string
}

func (f *failing) OpenFile(path string, flag int, perm os.FileMode) (disk.File, error) {
	file, err := f.Disk.OpenFile(path, flag, perm)
	if err == nil && path == f.path && flag&os.O_WRONLY != 0 {
		return &failingFile{file}, nil
	}
	return file, err
}

type failingFile struct{ disk.File }

func (*failingFile) Sync() error { return errors.New("I/O error") }

// A copy whose sync failed looks whole and may never reach the medium: it must
// not be taken for the newest.
func TestPairDoubtsACopyWhoseSyncFailed(t *testing.T) {
	d := &failing{Disk: forgetful.New()}
	p := modelPair(t, d)
	save(t, p, "one", "two")
	d.path = p.Path(0)
	if err := p.Save([]byte("three")); err == nil {
		t.Fatal("saved")
	}
	wantValue(t, p, "two")
	d.path = ""
	d.CutAt(2)
	p.Save([]byte("four"))
	d.PowerOn(forgetful.Nothing)
	wantValue(t, modelPair(t, d), "two")
}

func FuzzDecodeCopy(f *testing.F) {
	for _, v := range []string{"", "x", `{"stage":"fetch"}`} {
		f.Add(encodeCopy(1, []byte(v)))
		f.Add(append(encodeCopy(1<<40, []byte(v)), "rest"...))
	}
	f.Add([]byte("LeapPair"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		generation, value, err := decodeCopy(b)
		if err != nil {
			return
		}
		again := encodeCopy(generation, value)
		if len(value) > MaxValue || !bytes.HasPrefix(b, again) {
			t.Fatalf("decoded %d bytes of generation %d from something else", len(value), generation)
		}
	})
}
