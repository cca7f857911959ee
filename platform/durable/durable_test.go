package durable

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leapslot/ota/platform/internal/forgetful"
)

// The disk of these tests is a made-up one: see platform/internal/forgetful.

// choices are the ways a disk loses what was not synced.
func choices() map[string]forgetful.Choice {
	m := map[string]forgetful.Choice{"nothing": forgetful.Nothing, "everything": forgetful.Everything}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		m[fmt.Sprintf("random %d", seed)] = r.IntN
	}
	return m
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, want := range []string{"one", "a longer one", "", "end"} {
		if err := WriteFile(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o640 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
}

func TestWriteFileLeavesNothingOnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.MkdirAll(filepath.Join(path, "a directory that is not empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("replaced a directory")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("left %v, %v", names, err)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "f"), nil, 0o600); err == nil {
		t.Fatal("wrote into a directory that is not there")
	}
}

func TestWriteFileReplacesALink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "f")
	if err := os.WriteFile(target, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The place of the temporary file is a link, too.
	for _, name := range []string{path, filepath.Join(dir, ".f.tmp")} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(path, []byte("ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, _ := os.ReadFile(target)
	ours, _ := os.ReadFile(path)
	if string(theirs) != "theirs" || string(ours) != "ours" {
		t.Fatalf("theirs %q, ours %q", theirs, ours)
	}
}

// readModel gives the content of a file on a made-up disk.
func readModel(d *forgetful.Disk, path string) ([]byte, error) {
	f, err := d.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

// TestW13W14WriteFile cuts the power at every call of a write, with every way
// to lose what was not synced.
func TestW13W14WriteFile(t *testing.T) {
	old, new := bytes.Repeat([]byte("old "), 500), bytes.Repeat([]byte("new "), 700)
	points := 0
	for name, choose := range choices() {
		for cut := 1; ; cut++ {
			d := forgetful.New()
			if err := writeFile(d, "/d/f", old, 0o600); err != nil {
				t.Fatal(err)
			}
			d.PowerOn(forgetful.Nothing)
			d.CutAt(cut)
			err := writeFile(d, "/d/f", new, 0o600)
			whole := !d.Dead()
			d.PowerOn(choose)
			got, rerr := readModel(d, "/d/f")
			if rerr != nil {
				t.Fatalf("%s, cut %d: %v", name, cut, rerr)
			}
			if !bytes.Equal(got, old) && !bytes.Equal(got, new) {
				t.Fatalf("%s, cut %d: neither old nor new", name, cut)
			}
			if err == nil && !bytes.Equal(got, new) {
				t.Fatalf("%s, cut %d: said it was written", name, cut)
			}
			if err := writeFile(d, "/d/f", new, 0o600); err != nil {
				t.Fatalf("%s, cut %d: next write: %v", name, cut, err)
			}
			if names := d.Names(); !slices.Equal(names, []string{"/d/f"}) {
				t.Fatalf("%s, cut %d: left %v", name, cut, names)
			}
			points++
			if whole {
				break
			}
		}
	}
	t.Logf("%d cuts", points)
}

// A write that forgets to sync the directory must fail here, or the model
// proves nothing.
func TestModelFindsAMissingSync(t *testing.T) {
	d := forgetful.New()
	if err := create(d, "/d/t", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Rename("/d/t", "/d/f"); err != nil {
		t.Fatal(err)
	}
	d.PowerOn(forgetful.Nothing)
	if _, err := readModel(d, "/d/f"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an unsynced name survived: %v", err)
	}
}
