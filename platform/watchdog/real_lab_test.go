//go:build lab

package watchdog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
)

// TestLabSoftdog is a real watchdog, Linux' softdog, in a QEMU machine: kicked,
// disarmed, and then left alone, by a keeper whose work hangs and by a process
// that leaves it armed. What counts is that the machine restarts, or does not.
//
//	go test -tags lab -run TestLab -v ./platform/watchdog
//
// Debian packages: qemu-system-x86 cpio, and the kernel image, which apt-get
// downloads. About a minute.
func TestLabSoftdog(t *testing.T) {
	dir := t.TempDir()
	kernel, initrd := makeGuest(t, dir)
	for _, do := range []string{"hang", "leave"} {
		// With -no-reboot QEMU ends when the machine restarts, and with panic=0
		// the end of the first process does not restart it.
		cmd := exec.Command("qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-nographic", "-net", "none", "-no-reboot",
			"-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=0 do="+do)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() }) // this machine, by its own process
		last := ""
		for s := bufio.NewScanner(out); s.Scan(); {
			if _, line, ok := strings.Cut(s.Text(), "guest: "); ok {
				t.Logf("%s: %s", do, line)
				last = strings.TrimSpace(line)
			}
		}
		cmd.Wait()
		if !late.Stop() {
			t.Errorf("%s: the machine did not restart within %s", do, patience)
		}
		if last != do+" now, all was well" {
			t.Errorf("%s: the last word was %q", do, last)
		}
	}
}

// patience is some times what the test takes on an idle machine.
const patience = 3 * time.Minute

// TestMain is the first process of the guest, too.
func TestMain(m *testing.M) {
	if os.Getpid() == 1 {
		if err := guest(); err != nil {
			fmt.Println("guest: failed:", err)
		}
		for { // until the watchdog restarts the machine, if it does
			time.Sleep(time.Hour)
		}
	}
	os.Exit(m.Run())
}

func guest() error {
	const timeout = 3 * time.Second
	if err := errors.Join(unix.Mount("proc", "/proc", "proc", 0, ""), unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, "")); err != nil {
		return err
	}
	for _, module := range []string{"/watchdog.ko", "/softdog.ko"} {
		f, err := os.Open(module)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
	}
	d, err := Open("")
	if err != nil {
		return err
	}
	info, err := d.Info()
	got, terr := d.SetTimeout(timeout - time.Second/2) // rounded up
	fmt.Printf("guest: %+v %v, timeout %s %v\n", info, err, got, terr)
	if _, err := Open(""); !errors.Is(err, platform.ErrBusy) || got != timeout || !info.StaysArmed {
		return fmt.Errorf("opened twice: %v, timeout %s", err, got)
	}
	k, err := NewKeeper(timeout, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*timeout)
	defer cancel()
	work := time.NewTicker(time.Second)
	defer work.Stop()
	go func() {
		for range work.C {
			k.Alive(time.Now())
		}
	}()
	if err := errors.Join(k.Run(ctx, d, timeout), d.Disarm()); err != nil {
		return err
	}
	fmt.Println("guest: kicked, and disarmed")
	time.Sleep(2 * timeout)
	work.Stop()
	if d, err = Open(""); err != nil {
		return err
	}
	if cmdline, err := os.ReadFile("/proc/cmdline"); err != nil || strings.Contains(string(cmdline), "do=leave") {
		if err := errors.Join(err, d.Leave()); err != nil {
			return err
		}
		fmt.Println("guest: leave now, all was well")
		return nil
	}
	fmt.Println("guest: hang now, all was well")
	return k.Run(context.Background(), d, timeout) // the work has stopped
}

// makeGuest makes an initial file system of this test program and softdog.
func makeGuest(t *testing.T, dir string) (kernel, initrd string) {
	t.Helper()
	pkg, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	const script = `set -e; cd "$1"; mkdir -p guest/dev guest/proc
apt-get download -q "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)"
dpkg-deb -x linux-image-*.deb root
cp root/lib/modules/*/kernel/drivers/watchdog/watchdog.ko root/lib/modules/*/kernel/drivers/watchdog/softdog.ko guest/
cp root/boot/vmlinuz-* kernel
mknod guest/dev/console c 5 1
cd "$2"; CGO_ENABLED=0 go test -c -tags lab -ldflags '-s -w' -o "$1/guest/init" .
cd "$1/guest"; find . | cpio --quiet -o -H newc | gzip -1 > ../initrd`
	if out, err := exec.Command("sh", "-c", script, "sh", dir, pkg).CombinedOutput(); err != nil {
		t.Fatalf("the guest is not made: %v: %s", err, out)
	}
	return filepath.Join(dir, "kernel"), filepath.Join(dir, "initrd")
}
