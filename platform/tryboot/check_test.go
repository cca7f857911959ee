package tryboot

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

func TestB1Damaged(t *testing.T) {
	for name, file := range map[string]string{
		"empty":              "",
		"zeros":              string(make([]byte, len(example))),
		"too long":           example + strings.Repeat("#", MaxFile),
		"no flag":            strings.Replace(example, "tryboot_a_b=1\n", "", 1),
		"flag 0":             strings.Replace(example, "a_b=1", "a_b=0", 1),
		"no [tryboot]":       example[:strings.Index(example, "[tryboot]")],
		"no [all]":           strings.Replace(example, "[all]", "[none]", 1),
		"other filter":       strings.Replace(example, "[tryboot]", "[pi4]", 1),
		"no number":          strings.Replace(example, "=2", "=", 1),
		"octal":              strings.Replace(example, "=2", "=02", 1),
		"no slot's":          strings.Replace(example, "=2", "=7", 1),
		"[tryboot] first":    "[tryboot]\nboot_partition=3\n[all]\ntryboot_a_b=1\nboot_partition=2\n",
		"partition twice":    example + "boot_partition=2\n",
		"flag in [tryboot]":  "[all]\nboot_partition=2\n[tryboot]\ntryboot_a_b=1\nboot_partition=3\n",
		"everything in none": "[none]\n" + strings.ReplaceAll(strings.ReplaceAll(example, "[all]\n", ""), "[tryboot]\n", ""),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, forgetful.Nothing, file)
			m.running = "b"
			b := m.open(t)
			for verb, err := range map[string]error{"Try": b.Try("b"), "Keep": b.Keep(), "Check": b.Check()} {
				if err == nil {
					t.Errorf("%s finds nothing", verb)
				}
			}
			if got, _ := rewrite.Read(m.disk, filePath, 2*MaxFile); string(got) != file {
				t.Errorf("changed into %q", got)
			}
			if err := errors.Join(b.Mend(), b.Check()); err != nil {
				t.Fatal(err)
			}
			m.disk.PowerOn(m.choose)
			if m.start(t, ""); m.running != "b" {
				t.Errorf("starts %s, mended in b", m.running)
			}
			if m.start(t, Argument); m.running != "a" {
				t.Errorf("tries %s, mended in b", m.running)
			}
		})
	}
}

// TestMendAfterACut: whatever a cut left of the file and of its replacement,
// mending comes to the same end.
func TestMendAfterACut(t *testing.T) {
	for name, choose := range choices() {
		for n := 1; ; n++ {
			m := newMachine(t, choose(), "")
			m.running = "b"
			m.CutAt(n)
			err := m.open(t).Mend()
			cut := m.Off()
			m.CutAt(0)
			m.disk.PowerOn(m.choose)
			if err := errors.Join(m.open(t).Mend(), m.open(t).Check()); err != nil {
				t.Fatalf("%s, cut at step %d: %v", name, n, err)
			}
			for _, f := range m.disk.Names() {
				if strings.HasSuffix(f, ".NEW") {
					t.Errorf("%s, cut at step %d: left %s", name, n, f)
				}
			}
			if m.start(t, ""); m.running != "b" {
				t.Fatalf("%s, cut at step %d: starts %s", name, n, m.running)
			}
			if !cut {
				if err != nil || n < 5 {
					t.Fatalf("%d steps, %v", n-1, err)
				}
				break
			}
		}
	}
}

func TestB1NoFile(t *testing.T) {
	dir := t.TempDir()
	b, err := New(Config{Path: dir + "/autoboot.txt", Slots: names, Dir: dir, Running: func() (string, error) { return "a", nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "mending makes the file") {
		t.Errorf("Check: %v", err)
	}
	if b.Try("b") == nil || b.Keep() == nil {
		t.Error("marked what is not there")
	}
	if err := errors.Join(b.Mend(), b.Check()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir + "/autoboot.txt"); string(got) != example || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCheckChangesNothing: nor does a cut in it, and a trial stays asked for.
func TestCheckChangesNothing(t *testing.T) {
	for n := 1; ; n++ {
		m := newMachine(t, forgetful.Nothing, example)
		m.running = "a"
		b := m.open(t)
		if err := b.Try("b"); err != nil {
			t.Fatal(err)
		}
		m.CutAt(n)
		err := b.Check()
		cut := m.Off()
		m.CutAt(0)
		if got, _ := rewrite.Read(m.disk, filePath, MaxFile); string(got) != example {
			t.Fatalf("cut at step %d: %q", n, got)
		}
		if cut {
			if err := m.open(t).Check(); err != nil {
				t.Fatalf("cut at step %d, then: %v", n, err)
			}
			continue
		}
		if said, aerr := b.RebootArgument(); err != nil || said != Argument || aerr != nil || n < 4 {
			t.Fatalf("%d steps, %v, says %q, %v", n-1, err, said, aerr)
		}
		return
	}
}

// TestB2DamagedNote: a wish that cannot be read is none, and can be had again.
func TestB2DamagedNote(t *testing.T) {
	dir := t.TempDir()
	b, err := New(Config{Path: dir + "/autoboot.txt", Slots: names, Dir: dir, Running: func() (string, error) { return "a", nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Mend(), b.Try("b")); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := os.WriteFile(b.note.Path(i), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := b.RebootArgument(); said != "" || err != nil {
		t.Errorf("says %q, %v", said, err)
	}
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	if said, err := b.RebootArgument(); said != Argument || err != nil {
		t.Errorf("says %q, %v", said, err)
	}
}

// TestRebootArgumentLooksFirst: somebody else changed autoboot.txt since Try.
func TestRebootArgumentLooksFirst(t *testing.T) {
	m := newMachine(t, forgetful.Everything, example)
	m.running = "a"
	b := m.open(t)
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(example, "=3", "=4", 1)
	if err := rewrite.InPlace(m.disk, filePath, []byte(example), []byte(changed)); err != nil {
		t.Fatal(err)
	}
	if said, err := b.RebootArgument(); said != "" || err == nil {
		t.Errorf("says %q, %v", said, err)
	}
	if b.Check() == nil {
		t.Error("Check finds nothing")
	}
}

// FuzzAutoboot: what is understood can be changed, keeps its other lines, and
// says what it was told.
func FuzzAutoboot(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("# x\r\n[all]\r\ntryboot_a_b=1\r\nboot_partition=12\r\n[none]\nboot_partition=4\n[tryboot]\n boot_partition=3"))
	f.Add([]byte("[all]\ntryboot_a_b=1\n[tryboot]\nboot_partition=3\n[all]\nboot_partition=2\n"))
	f.Add([]byte("boot_partition=2\nboot_partition=\n=\n[\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parse(data)
		if err != nil {
			return
		}
		if same := a.with(a.all.number, a.try.number); string(same) != string(data) {
			t.Fatalf("%q came back as %q", data, same)
		}
		next := a.with(7, 128)
		if len(next) > MaxFile {
			return
		}
		n, err := parse(next)
		if err != nil || n.all.number != 7 || n.try.number != 128 {
			t.Fatalf("%q became %q: %+v, %v", data, next, n, err)
		}
		if strings.Count(string(next), "\n") != strings.Count(string(data), "\n") {
			t.Fatalf("%q became %q", data, next)
		}
	})
}

// TestPackagedFile: what the image builder copies is what Mend would make.
func TestPackagedFile(t *testing.T) {
	got, err := os.ReadFile("../../packaging/tryboot/autoboot.txt")
	if err != nil || string(got) != string(fresh(2, 3)) || string(got) != example {
		t.Errorf("%q, %v", got, err)
	}
}
