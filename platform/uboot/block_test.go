package uboot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/platformtest"
)

// loop makes a loop device of 1 MiB of 0x5a, or says why it cannot.
func loop(t testing.TB) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "disk")
	write(t, image, bytes.Repeat([]byte{0x5a}, 1<<20))
	out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device can be made here (root and losetup are needed): %v: %s", err, bytes.TrimSpace(out))
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return dev
}

// TestRealBlockDevice: beside Debian's tools, with an offset from the start and
// one from the end, and through a symbolic link as udev makes them.
func TestRealBlockDevice(t *testing.T) {
	if nativeBig {
		t.Skip("this is a big-endian machine, emulated: the environment that it makes is none for the tools of its host")
	}
	dev, dir := loop(t), t.TempDir()
	link, config := filepath.Join(dir, "by-partlabel"), filepath.Join(dir, "config")
	if err := os.Symlink(dev, link); err != nil {
		t.Fatal(err)
	}
	write(t, config, fmt.Appendf(nil, "%s 0x4200 0x2000\n%s -0x2200 0x2000\n", link, link))
	b, err := New(Config{EnvConfig: config, Slots: names, Running: func() (string, error) { return "b", nil }, Default: "bootcmd=x\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Check of junk: %v", err)
	}
	if err := errors.Join(b.Mend(), b.Check(), b.Try("a")); err != nil {
		t.Fatal(err)
	}
	if got := printenv(t, config); got[varTrial] != "a" || got[varSlot] != "b" || got["bootcmd"] != "x" {
		t.Errorf("fw_printenv: %v", got)
	}
	tool(t, "libubootenv-tool", "fw_setenv", "-c", config, varTrial)
	e, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := e.Get(varTrial); ok {
		t.Errorf("otad_trial is %q after fw_setenv has removed it", v)
	}
	disk, err := os.ReadFile(dev)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range disk {
		inside := i >= 0x4200 && i < 0x6200 || i >= 1<<20-0x2200 && i < 1<<20-0x200
		if !inside && got != 0x5a {
			t.Fatalf("byte %#x was changed", i)
		}
	}
}

// board is a board whose environment lies in real files or on a real device,
// where the power cannot be cut. Its U-Boot counts as boot.cmd does, with the code
// under test.
type board struct{ config string }

func (b board) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	e, err := Open(b.config)
	if err != nil {
		t.Fatal(err)
	}
	v := e.All()
	slot := v["otad_slot"]
	if count := number(v["bootcount"]); v["upgrade_available"] == "1" && count < number(v["bootlimit"]) {
		set(t, b.config, "bootcount", fmt.Sprint(count+1))
		slot = v["otad_trial"]
	}
	boot, err := New(Config{EnvConfig: b.config, Slots: names, Attempts: 2, Running: func() (string, error) { return slot, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return boot
}
func (board) CutAt(int) {}
func (board) Off() bool { return false }

const initial = "otad_slot=a\nupgrade_available=0\nbootcount=0\nbootlimit=2\n"

func TestBootInRealFiles(t *testing.T) {
	for copies := 1; copies <= 2; copies++ {
		t.Run(fmt.Sprint(copies), func(t *testing.T) {
			platformtest.TestBoot(t, platformtest.Harness{
				Kept: "a", Spare: "b", Attempts: 2,
				NoCut: "the power of real files cannot be cut: see TestBootOnAForgetfulDisk",
				New: func(t testing.TB) platformtest.Machine {
					config, _ := realEnv(t, copies, initial)
					return board{config}
				},
			})
		})
	}
}

// TestBootOnAPlainBlockDevice: one copy, which no order of writes makes atomic.
func TestBootOnAPlainBlockDevice(t *testing.T) {
	dev, dir := loop(t), t.TempDir()
	config := filepath.Join(dir, "config")
	write(t, config, fmt.Appendf(nil, "%s 0x1000 0x2000\n", dev))
	platformtest.TestBoot(t, platformtest.Harness{
		Kept: "a", Spare: "b", Attempts: 2,
		NoCut: "a single copy on a block device is overwritten in place: a cut there loses it, as the package says",
		New: func(t testing.TB) platformtest.Machine {
			b, err := New(Config{EnvConfig: config, Slots: names, Attempts: 2, Running: func() (string, error) { return "a", nil }, Default: initial})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Mend(); err != nil {
				t.Fatal(err)
			}
			return board{config}
		},
	})
	if _, err := os.Stat(backup(dev)); err == nil {
		t.Error("a second file was made beside a device")
	}
}

// TestW13PlainFile: the second file is made beside the first, with the same
// content and no other file left.
func TestW13PlainFile(t *testing.T) {
	config, files := realEnv(t, 1, initial)
	dir := filepath.Dir(files[0])
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	set(t, config, "x", "y")
	after, err := os.ReadDir(dir)
	if err != nil || len(after) != len(before)+1 {
		t.Errorf("%v, %v", after, err)
	}
	one, err1 := os.ReadFile(files[0])
	two, err2 := os.ReadFile(backup(files[0]))
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("the copies differ: %v, %v", err1, err2)
	}
}

// TestToolsLock: a lock that somebody holds delays, and does not stop.
func TestToolsLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	start := time.Now()
	time.AfterFunc(200*time.Millisecond, lock(path))
	lock(path)()
	if d := time.Since(start); d < 150*time.Millisecond {
		t.Errorf("it was not waited for: %v", d)
	}
	lock(filepath.Join(path, "nowhere"))()
	lock("")()
}

// TestNotMounted: where the partition is missing no file is made in its place.
func TestNotMounted(t *testing.T) {
	dir := t.TempDir()
	config, env := filepath.Join(dir, "config"), filepath.Join(dir, "uboot.env")
	for path, why := range map[string]string{env: "mount the boot partition", "/dev/no-such-disk": "there is no device"} {
		write(t, config, []byte(path+" 0 4000\n"))
		b, err := New(Config{EnvConfig: config, Slots: names, Running: func() (string, error) { return "a", nil }, Default: initial})
		if err == nil {
			b.c.onRoot = func(path string) bool { return filepath.Dir(path) == dir }
			err = b.Mend()
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", path, err, why)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
	write(t, config, []byte(env+" 0 4000\n"))
	b, err := New(Config{EnvConfig: config, Slots: names, Running: func() (string, error) { return "a", nil }, Default: initial})
	if err != nil {
		t.Fatal(err)
	}
	b.c.onRoot = func(string) bool { return false }
	if err := errors.Join(b.Mend(), b.Check()); err != nil {
		t.Errorf("mounted: %v", err)
	}
	if !onRoot("/x") || onRoot("/proc/x") {
		t.Error("the root file system is not known")
	}
}
