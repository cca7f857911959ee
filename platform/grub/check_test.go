package grub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

func TestB1NeverPrepared(t *testing.T) {
	plain := prepared(t)
	for name, data := range map[string][]byte{
		"empty":          {},
		"short":          plain[:1023],
		"long":           append(append([]byte{}, plain...), '#'),
		"zeros":          make([]byte, Size),
		"never prepared": []byte(strings.Replace(string(plain), "otad_slot=a\n", "############", 1)),
		"unknown slot":   []byte(strings.Replace(string(plain), "otad_slot=a\n", "otad_slot=c\n", 1)),
		"torn":           append(append([]byte{}, plain[:105]...), make([]byte, Size-105)...),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, forgetful.Nothing, data)
			m.running = "b"
			b := m.boot(t, 0)
			for verb, err := range map[string]error{"Try": b.Try("b"), "Keep": b.Keep(), "Check": b.Check()} {
				if err == nil || !strings.Contains(err.Error(), "mending") {
					t.Errorf("%s: %v", verb, err)
				}
			}
			if err := b.Mend(); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(); err != nil {
				t.Errorf("mended: %v", err)
			}
			m.disk.PowerOn(m.choose)
			if m.PowerOn(t); m.running != "b" {
				t.Errorf("starts %s, mended in b", m.running)
			}
		})
	}
}

func TestB1NoFile(t *testing.T) {
	dir := t.TempDir()
	b, err := New(Config{Path: filepath.Join(dir, "grubenv"), Slots: names, Running: func() (string, error) { return "b", nil }})
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("New made %v", list)
	}
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "mending makes it anew") {
		t.Errorf("Check: %v", err)
	}
	if b.Try("a") == nil || b.Keep() == nil {
		t.Error("marked what is not there")
	}
	if err := b.Mend(); err != nil {
		t.Fatal(err)
	}
	if e, err := b.load(); err != nil || e.kept != "b" || e.left != 0 {
		t.Errorf("%+v, %v", e.state, err)
	}
}

// TestB1Sparse: GRUB has nothing to write to in a hole.
func TestB1Sparse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grubenv")
	b, err := New(Config{Path: path, Slots: names, Running: func() (string, error) { return "a", nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, Size); err != nil {
		t.Fatal(err)
	}
	if err := b.place(); err == nil || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("sparse: %v", err)
	}
	if err := b.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// TestCheckChangesNothing: nor does Mend take what belongs to others.
func TestCheckChangesNothing(t *testing.T) {
	m := newMachine(t, forgetful.Nothing, prepared(t, "saved_entry=1"))
	m.running = "a"
	b := m.boot(t, 0)
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	before, _ := rewrite.Read(m.disk, envPath, Size)
	for n := 1; ; n++ {
		m.CutAt(n)
		err := b.Check()
		cut := m.Off()
		m.CutAt(0)
		e, lerr := m.boot(t, 0).load()
		if lerr != nil || e.kept != "a" || e.trial != "b" || e.left != DefaultAttempts {
			t.Fatalf("cut at step %d of Check: %+v, %v", n, e.state, lerr)
		}
		if b = m.boot(t, 0); cut {
			continue
		}
		if err != nil || n < 4 {
			t.Fatalf("%d steps, %v", n-1, err)
		}
		break
	}
	if after, _ := rewrite.Read(m.disk, envPath, Size); string(after) != string(before) {
		t.Errorf("Check left %q", after)
	}
	if err := b.Mend(); err != nil {
		t.Fatal(err)
	}
	e, err := b.load()
	if v, _ := e.block.get("saved_entry"); v != "1" || e.left != 0 || err != nil {
		t.Errorf("mended: saved_entry=%s, %d left, %v", v, e.left, err)
	}
}

func TestCheckFindsATrialOfNothing(t *testing.T) {
	m := newMachine(t, forgetful.Nothing, prepared(t, "otad_trial=zz", "otad_left=2"))
	m.running = "a"
	b := m.boot(t, 0)
	if err := b.Check(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Check: %v", err)
	}
	if err := errors.Join(b.Mend(), b.Check()); err != nil {
		t.Error(err)
	}
}

// TestCheckFindsJunk: it does not stop an update, which drops it.
func TestCheckFindsJunk(t *testing.T) {
	data := strings.Replace(string(prepared(t, "saved_entry=1", "x=1")), "x=1\n", "x*1\n", 1)
	m := newMachine(t, forgetful.Nothing, []byte(data))
	m.running = "a"
	b := m.boot(t, 0)
	// GRUB reads on to the next "=": our own variable is lost in the junk.
	if err := b.Check(); err == nil {
		t.Error("Check finds nothing")
	}
	if err := b.Mend(); err != nil {
		t.Fatal(err)
	}
	torn := string(prepared(t, "saved_entry=1")) // its filling begins with a torn line
	torn = strings.Replace(torn, "otad_slot=a\n##", "otad_slot=a\nxy", 1)
	m = newMachine(t, forgetful.Nothing, []byte(torn))
	m.running = "a"
	b = m.boot(t, 0)
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), `"xy"`) {
		t.Errorf("Check: %v", err)
	}
	if err := errors.Join(b.Try("b"), b.Check()); err != nil {
		t.Errorf("after Try: %v", err)
	}
}

// TestLeftAsTheScriptReadsIt: TestScriptCountsDown shows the same of GRUB.
func TestLeftAsTheScriptReadsIt(t *testing.T) {
	for left, want := range map[string]int{"": 0, "0": 0, "1": 1, "9": 9, "10": 0, "03": 0, "-1": 0, "x": 0, ":": 0, "/": 0} {
		m := newMachine(t, forgetful.Nothing, prepared(t, "otad_trial=b", "otad_left="+left))
		if e, err := m.boot(t, 0).load(); e.left != want || err != nil {
			t.Errorf("otad_left=%q is %d, want %d, %v", left, e.left, want, err)
		}
	}
}
