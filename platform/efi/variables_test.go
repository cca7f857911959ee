package efi

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlainDirectory: the same files in a plain directory, where no firmware
// cuts an old value's tail.
func TestPlainDirectory(t *testing.T) {
	dir := t.TempDir()
	v := OpenVariables(dir)
	for _, value := range []string{"a longer value", "short", "short"} {
		if err := v.Write("Some", Own, []byte(value)); err != nil {
			t.Fatal(err)
		}
		attributes, got, err := v.Read("Some", Own)
		if attributes != 7 || string(got) != value || err != nil {
			t.Errorf("%d, %q, %v", attributes, got, err)
		}
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "Some-"+Own)); string(data) != "\x07\x00\x00\x00short" {
		t.Errorf("%q", data)
	}
	if err := errors.Join(v.Delete("Some", Own), v.Delete("Some", Own)); err != nil {
		t.Error(err)
	}
	if _, _, err := v.Read("Some", Own); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if v.Write("Some", Own, nil) == nil || v.Write("Some", Own, make([]byte, MaxVariable)) == nil {
		t.Error("wrote nothing, or too much")
	}
	for _, bad := range [][]byte{nil, {7, 0, 0}, make([]byte, MaxVariable+1)} {
		if err := os.WriteFile(filepath.Join(dir, "Some-"+Own), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.Read("Some", Own); err == nil {
			t.Errorf("read a file of %d bytes", len(bad))
		}
	}
}

// TestImmutable: Linux marks what it does not know so that nobody removes it by
// accident.
func TestImmutable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "Some-"+Own)
	if err := os.WriteFile(path, []byte("\x07\x00\x00\x00old"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock := func() {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
			t.Skipf("this file system or user makes no file immutable (%v): run it as root on ext4", err)
		}
		t.Cleanup(func() { OpenVariables(dir).unlock("Some", Own) })
	}
	lock()
	if os.Remove(path) == nil {
		t.Fatal("the file is not immutable")
	}
	v := OpenVariables(dir)
	if err := v.Write("Some", Own, []byte("new")); err != nil {
		t.Fatal(err)
	}
	lock()
	if err := v.Delete("Some", Own); err != nil {
		t.Fatal(err)
	}
}

func TestNoVariables(t *testing.T) {
	cfg := config(func() (string, error) { return "a", nil })
	cfg.Dir = filepath.Join(t.TempDir(), "none")
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Try": b.Try("b"), "Keep": b.Keep(), "Check": b.Check(), "Mend": b.Mend()} {
		if err == nil || !strings.Contains(err.Error(), "efivarfs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEfibootmgr: Debian's tool reads in our entries what we wrote, and we in its
// order what it wrote.
func TestEfibootmgr(t *testing.T) {
	tool, err := exec.LookPath("efibootmgr")
	if err != nil {
		t.Skip("efibootmgr is not installed (make test installs it)")
	}
	cfg := config(func() (string, error) { return "a", nil })
	cfg.Dir = t.TempDir()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(tool, args...)
		cmd.Env = append(os.Environ(), "LIBEFIVAR_OPS=efivarfs", "EFIVARFS_PATH="+cfg.Dir+"/")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("efibootmgr %v: %v\n%s", args, err, &out)
		}
		return out.String()
	}
	if err := errors.Join(b.Mend(), b.Try("b")); err != nil {
		t.Fatal(err)
	}
	got := run("-v")
	for _, want := range []string{
		"BootNext: 0001", "BootOrder: 0000,0001", "Boot0000* otad a", "Boot0001* otad b",
		"HD(1,GPT,3b0f6e35-0e0c-4f0f-8c75-9d40d1b0c5e1,0x800,0x10000)/File(\\EFI\\otad\\b\\linux.efi)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("efibootmgr does not see %q:\n%s", want, got)
		}
	}
	run("-o", "1,0")
	run("-N") // deletes BootNext
	run("-b", "1", "-A")
	if err := b.Check(); err == nil {
		t.Error("does not see what efibootmgr did")
	}
	if err := errors.Join(b.Mend(), b.Check()); err != nil {
		t.Fatal(err)
	}
	if got := run(); !strings.Contains(got, "BootOrder: 0000,0001") || !strings.Contains(got, "Boot0001* otad b") {
		t.Errorf("mended:\n%s", got)
	}
}
