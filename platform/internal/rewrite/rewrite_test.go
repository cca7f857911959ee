package rewrite

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/forgetful"
)

// put makes a file that is on the medium.
func put(t *testing.T, d disk.Disk, path string, data []byte) {
	t.Helper()
	if err := Replace(d, path, path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestW14SectorsChangeInOrder(t *testing.T) {
	old, next := bytes.Repeat([]byte("o"), 3*Sector), bytes.Repeat([]byte("n"), 3*Sector)
	for n := 1; ; n++ {
		d := forgetful.New()
		put(t, d, "/boot/env", old)
		d.CutAt(n)
		err := InPlace(d, "/boot/env", old, next)
		cut := d.Dead()
		d.PowerOn(forgetful.Nothing)
		got, rerr := Read(d, "/boot/env", 3*Sector)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if whole := bytes.Count(got, []byte("n")); whole%Sector != 0 || !bytes.HasPrefix(got, next[:whole]) {
			t.Fatalf("cut at step %d: %q", n, got)
		}
		if cut {
			continue
		}
		if err != nil || !bytes.Equal(got, next) {
			t.Fatalf("without a cut: %v, %q", err, got)
		}
		if n < 7 { // three writes, four syncs
			t.Errorf("only %d steps", n-1)
		}
		return
	}
}

// TestInPlaceKeepsTheFile: same inode, same blocks.
func TestInPlaceKeepsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	put(t, disk.OS{}, path, []byte("old"))
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := InPlace(disk.OS{}, path, []byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("another file, %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "new" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if InPlace(disk.OS{}, path, []byte("new"), []byte("longer")) == nil {
		t.Error("a longer content was written in place")
	}
	if InPlace(disk.OS{}, path+"x", []byte("new"), []byte("old")) == nil {
		t.Error("a file that is not there was written")
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	if _, err := Read(disk.OS{}, path, 3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	put(t, disk.OS{}, path, []byte("four"))
	if _, err := Read(disk.OS{}, path, 3); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if b, err := Read(disk.OS{}, path, 4); string(b) != "four" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	put(t, disk.OS{}, path, []byte("four and more"))
	if b, err := Head(disk.OS{}, path, 4); string(b) != "four" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Head(disk.OS{}, path, 99); err == nil {
		t.Error("a file that ends before was read")
	}
	if err := InPlace(disk.OS{}, path, []byte("four"), []byte("five")); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); string(b) != "five and more" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// liar takes writes and forgets them.
type liar struct{ disk.Disk }

func (l liar) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := l.Disk.OpenFile(path, flag, perm)
	return deaf{f}, err
}

type deaf struct{ disk.File }

func (deaf) Write(p []byte) (int, error) { return len(p), nil }

func TestS5ReadBackFindsALie(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	put(t, disk.OS{}, path, []byte("old"))
	if err := InPlace(liar{disk.OS{}}, path, []byte("old"), []byte("new")); err == nil {
		t.Error("a write that never happened was believed")
	}
	if err := Replace(liar{disk.OS{}}, path, path+".new", []byte("new"), 0o600); err == nil {
		t.Error("a file that was never written took the place of one")
	}
	if b, err := os.ReadFile(path); string(b) != "old" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestReplaceClearsWhatACutLeft(t *testing.T) {
	dir := t.TempDir()
	path, temp := filepath.Join(dir, "env"), filepath.Join(dir, "env.new")
	if err := os.WriteFile(temp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Replace(disk.OS{}, path, temp, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 || list[0].Name() != "env" {
		t.Errorf("%v, %v", list, err)
	}
}
