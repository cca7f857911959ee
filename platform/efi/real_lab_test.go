//go:build lab

package efi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLabOVMF is an update's life with a real firmware, OVMF, and a real efivarfs:
// two slots with a Linux kernel each, started by their boot entries.
//
//	go test -tags lab -run TestLab -v ./platform/efi
//
// Debian packages: qemu-system-x86 ovmf mtools dosfstools gdisk cpio, and the
// kernel image, which apt-get downloads. About three minutes.
func TestLabOVMF(t *testing.T) {
	dir := t.TempDir()
	kernel, module := fetchKernel(t, dir)
	initrd := makeInitrd(t, dir, module)
	disk := makeDisk(t, dir, kernel, initrd)

	// In the factory the system is started from outside, and the firmware has no
	// entry of ours.
	m := powerOn(t, dir, disk, "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet otad.slot=a")
	m.starts("a")
	m.fails("check")
	m.does("mend", "check")
	m.off()

	m = powerOn(t, dir, disk)
	defer m.off()
	m.starts("a")
	m.does("check", "try b", "reboot")
	m.starts("b") // and is not kept
	m.does("reboot")
	m.starts("a")
	m.does("check", "try b", "try a", "reboot") // taken back
	m.starts("a")
	m.does("try b", "crash") // a crash of the kept system: the trial is still next
	m.starts("b")
	m.does("try a", "reboot") // sick, and left
	m.starts("a")
	m.does("keep", "try b", "reboot")
	m.starts("b")
	m.does("keep", "check", "reboot")
	m.starts("b")
	m.does("drop a", "try a", "reboot") // B4, in a firmware that lives
	m.starts("a")
	m.does("reboot")
	m.starts("b")
	m.does("check")
}

// TestMain is the first process of the guest, too.
func TestMain(m *testing.M) {
	if os.Getpid() == 1 {
		guest()
	}
	os.Exit(m.Run())
}

// guest does what it is told on the console.
func guest() {
	check := func(what string, err error) {
		if err != nil {
			fmt.Println("guest:", what, err)
		}
	}
	check("proc", unix.Mount("proc", "/proc", "proc", 0, ""))
	check("sysfs", unix.Mount("sysfs", "/sys", "sysfs", 0, ""))
	f, err := os.Open("/efivarfs.ko")
	check("module", err)
	check("module", unix.FinitModule(int(f.Fd()), "", 0))
	check("efivarfs", unix.Mount("efivarfs", DefaultDir, "efivarfs", 0, ""))
	cmdline, err := os.ReadFile("/proc/cmdline")
	check("command line", err)
	slot := "?"
	for _, word := range strings.Fields(string(cmdline)) {
		if s, ok := strings.CutPrefix(word, "otad.slot="); ok {
			slot = s
		}
	}
	cfg := config(nil)
	cfg.Dir = ""
	for name, target := range cfg.Targets {
		target.Arguments = arguments(name)
		cfg.Targets[name] = target
	}
	b, err := New(cfg)
	check("New", err)
	if _, err := b.Running(); err != nil { // in the factory
		b.cfg.Running = func() (string, error) { return slot, nil }
	}
	running, err := b.Running()
	fmt.Printf("guest: runs %s, by its entry %s %v\n", slot, running, err)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, arg, _ := strings.Cut(strings.TrimSpace(in.Text()), " ")
		fmt.Printf("guest: done %s: %v\n", verb, obey(b, verb, arg))
	}
}

func obey(b *Boot, verb, arg string) error {
	switch verb {
	case "try":
		return b.Try(arg)
	case "keep":
		return b.Keep()
	case "check":
		return b.Check()
	case "mend":
		return b.Mend()
	case "drop":
		s, err := b.load()
		if err != nil {
			return err
		}
		return b.vars.Delete(entryVariable(s.of(arg)[0]), Global)
	case "reboot":
		fmt.Println("guest: done reboot: <nil>")
		return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	case "crash":
		fmt.Println("guest: done crash: <nil>")
		return os.WriteFile("/proc/sysrq-trigger", []byte("b"), 0)
	}
	return fmt.Errorf("no verb %q", verb)
}

func arguments(slot string) string {
	return `initrd=\initrd console=ttyS0 quiet otad.slot=` + slot
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
	return string(out)
}

func fetchKernel(t *testing.T, dir string) (kernel, module string) {
	t.Helper()
	name := ""
	for line := range strings.Lines(run(t, dir, "apt-cache", "depends", "linux-image-cloud-amd64")) {
		if _, dep, ok := strings.Cut(line, "Depends: "); ok && name == "" {
			name = strings.TrimSpace(dep)
		}
	}
	run(t, dir, "apt-get", "download", "-q", name)
	run(t, dir, "sh", "-c", "dpkg-deb -x linux-image-*.deb root")
	modules, err := filepath.Glob(dir + "/root/lib/modules/*/kernel/fs/efivarfs/efivarfs.ko")
	kernels, err2 := filepath.Glob(dir + "/root/boot/vmlinuz-*")
	if errors.Join(err, err2) != nil || len(modules) != 1 || len(kernels) != 1 {
		t.Fatalf("%s has kernels %v, modules %v", name, kernels, modules)
	}
	return kernels[0], modules[0]
}

// makeInitrd makes an initial file system of this test program and the module.
func makeInitrd(t *testing.T, dir, module string) string {
	t.Helper()
	root := filepath.Join(dir, "guest")
	for _, sub := range []string{"dev", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pkg, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	run(t, pkg, "go", "test", "-c", "-tags", "lab", "-ldflags", "-s -w", "-o", root+"/init", ".")
	run(t, dir, "cp", module, root+"/efivarfs.ko")
	run(t, dir, "mknod", root+"/dev/console", "c", "5", "1")
	run(t, root, "sh", "-c", "find . | cpio --quiet -o -H newc | gzip -1 > ../initrd")
	return dir + "/initrd"
}

func makeDisk(t *testing.T, dir, kernel, initrd string) string {
	t.Helper()
	const size = 64 << 20
	part, disk := filepath.Join(dir, "part"), filepath.Join(dir, "disk")
	run(t, dir, "mkfs.vfat", "-C", part, fmt.Sprint(size>>10))
	run(t, dir, "mmd", "-i", part, "::EFI", "::EFI/otad", "::EFI/otad/a", "::EFI/otad/b")
	run(t, dir, "mcopy", "-i", part, kernel, "::EFI/otad/a/linux.efi")
	run(t, dir, "mcopy", "-i", part, kernel, "::EFI/otad/b/linux.efi")
	run(t, dir, "mcopy", "-i", part, initrd, "::initrd")
	run(t, dir, "truncate", "-s", fmt.Sprint(size+(4<<20)), disk)
	run(t, dir, "sgdisk", "-n", fmt.Sprintf("1:%d:+%dM", esp.Start, size>>20), "-t", "1:ef00", "-u", "1:"+esp.UUID, disk)
	run(t, dir, "dd", "if="+part, "of="+disk, "bs=1M", fmt.Sprintf("seek=%d", esp.Start*512>>20), "conv=notrunc")
	run(t, dir, "cp", "/usr/share/OVMF/OVMF_VARS.fd", dir+"/vars")
	return disk
}

// guestMachine is a QEMU process.
type guestMachine struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	lines chan string
	log   []string
}

// patience is some times what a start takes on an idle machine.
const patience = 3 * time.Minute

func powerOn(t *testing.T, dir, disk string, more ...string) *guestMachine {
	t.Helper()
	m := &guestMachine{t: t, lines: make(chan string, 1024)}
	m.cmd = exec.Command("qemu-system-x86_64", append([]string{"-accel", "tcg", "-m", "512", "-nographic", "-net", "none",
		"-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd", "-drive", "if=pflash,format=raw,file=" + dir + "/vars",
		"-drive", "format=raw,file=" + disk}, more...)...)
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		m.in, err = m.cmd.StdinPipe()
	}
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			m.lines <- s.Text()
		}
		close(m.lines)
	}()
	return m
}

func (m *guestMachine) off() {
	m.cmd.Process.Kill() // this machine, by its own process
	m.cmd.Wait()
}

// wait waits for a line with the text and gives what comes after it.
func (m *guestMachine) wait(text string) string {
	m.t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, ok := <-m.lines:
			if !ok {
				m.t.Fatalf("the machine ended:\n%s", strings.Join(m.log, "\n"))
			}
			m.log = append(m.log, line)
			if _, rest, ok := strings.Cut(line, text); ok {
				return strings.TrimSpace(rest)
			}
		case <-late:
			m.t.Fatalf("no %q within %s:\n%s", text, patience, strings.Join(m.log[max(0, len(m.log)-40):], "\n"))
		}
	}
}

func (m *guestMachine) starts(slot string) {
	m.t.Helper()
	got := m.wait("guest: runs ")
	if want := fmt.Sprintf("%s, by its entry %s <nil>", slot, slot); got != want {
		m.t.Fatalf("runs %s, want %s", got, want)
	}
	m.t.Logf("%s runs", slot)
}

func (m *guestMachine) tell(command string) string {
	m.t.Helper()
	if _, err := io.WriteString(m.in, command+"\n"); err != nil {
		m.t.Fatal(err)
	}
	return m.wait("guest: done " + strings.Fields(command)[0] + ": ")
}

func (m *guestMachine) does(commands ...string) {
	m.t.Helper()
	for _, c := range commands {
		if got := m.tell(c); got != "<nil>" {
			m.t.Fatalf("%s: %s", c, got)
		}
		m.t.Log("  ", c)
	}
}

func (m *guestMachine) fails(command string) {
	m.t.Helper()
	if got := m.tell(command); slices.Contains([]string{"", "<nil>"}, got) {
		m.t.Fatalf("%s is all right", command)
	}
}
