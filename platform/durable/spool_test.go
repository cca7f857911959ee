package durable

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/leapslot/ota/platform"
)

func TestSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s, err := OpenSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteAt([]byte("hello"), 3); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Sync(), s.Sync(), s.Close()); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	if s, err = OpenSpool(path); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Size(); n != 8 || err != nil {
		t.Fatalf("size %d, %v", n, err)
	}
	b := make([]byte, 5)
	if _, err := s.ReadAt(b, 3); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
	if err := s.Truncate(4); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.Size(); n != 4 {
		t.Fatalf("size %d after Truncate", n)
	}
	if free, err := s.Free(); err != nil || free <= 0 {
		t.Fatalf("free %d, %v", free, err)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("still there: %v", err)
	}
}

// TestT6Spool: what was verified is what is written, so the spool is a regular
// file of one name.
func TestT6Spool(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]func(path string) error{
		"symbolic link":           func(p string) error { return os.Symlink(file, p) },
		"link to nothing":         func(p string) error { return os.Symlink(file+".none", p) },
		"hard link":               func(p string) error { return os.Link(file, p) },
		"directory":               func(p string) error { return os.Mkdir(p, 0o700) },
		"FIFO":                    func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"in a directory not here": func(p string) error { return nil },
	}
	for name, do := range cases {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if strings.HasPrefix(name, "in a") {
			path = filepath.Join(path, "spool")
		}
		if err := do(path); err != nil {
			t.Fatal(err)
		}
		if s, err := OpenSpool(path); err == nil {
			t.Errorf("%s: opened", name)
			s.Close()
		}
		os.Remove(path)
	}
	if _, err := os.Stat(file + ".none"); err == nil {
		t.Error("a file was made through a link")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	l, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, platform.ErrBusy) {
		t.Fatalf("second lock: %v", err)
	}
	// Another process, which is what the lock is for.
	cmd := exec.Command("flock", "-n", dir, "true")
	if _, err := exec.LookPath("flock"); err != nil {
		t.Log("no flock(1) here: another process was not tried")
	} else if cmd.Run() == nil {
		t.Fatal("another process took the lock")
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if l, err = Lock(dir); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	if _, err := Lock(filepath.Join(dir, "none")); err == nil || errors.Is(err, platform.ErrBusy) {
		t.Fatalf("lock of nothing: %v", err)
	}
}
