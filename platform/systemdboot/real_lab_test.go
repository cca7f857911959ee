//go:build lab

package systemdboot

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLabSystemdBoot is the life of TestLife with the real systemd-boot, in the
// real firmware of a QEMU machine. What it starts is known from the console:
// slot a's kernel is an empty one, which says so, and slot b's is none.
//
//	go test -tags lab -run TestLab -v ./platform/systemdboot
//
// Debian packages: qemu-system-x86 ovmf systemd-boot mtools dosfstools. About
// two minutes.
func TestLabSystemdBoot(t *testing.T) {
	dir := t.TempDir()
	q := &qemu{t: t, esp: filepath.Join(dir, "esp.img"), vars: filepath.Join(dir, "vars.fd"), entries: filepath.Join(dir, "entries")}
	q.install()
	running := "a"
	cfg := config(func() (string, error) { return running, nil })
	cfg.Entries = q.entries
	b, err := New(cfg)
	must(t, err, b.Mend())
	boots := func(slots ...string) {
		t.Helper()
		for i, want := range slots {
			if running = q.boot(); running != want {
				t.Fatalf("boot %d runs %q, want %s: %v", i+1, running, want, q.names())
			}
			t.Logf("%s runs, and %v is left", running, q.names())
		}
	}
	boots("a", "a")
	must(t, b.Try("b"))
	boots("b", "b", "b", "a", "a")
	must(t, b.Check(), b.Try("b"))
	boots("b")
	must(t, b.Try("a"))
	boots("a")
	must(t, b.Keep(), b.Try("b"))
	boots("b")
	must(t, b.Keep())
	boots("b", "b")
	must(t, b.Check())
	if got := q.names(); !slices.Equal(got, []string{"otad-a.conf", "otad-b.conf"}) {
		t.Errorf("left %v", got)
	}
}

// qemu is a machine with a partition that systemd-boot is on. Its directory of
// entries is copied out after each start, and in again before the next.
type qemu struct {
	t                  *testing.T
	esp, vars, entries string
}

const (
	espEntries = "::loader/entries"
	loaderDir  = "/usr/lib/systemd/boot/efi/"
	ovmf       = "/usr/share/OVMF/OVMF_"
	// patience is some times what a start takes on an idle machine.
	patience = 90 * time.Second
)

func (q *qemu) run(program string, args ...string) {
	q.t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		q.t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
}

func (q *qemu) install() {
	q.t.Helper()
	q.run("mkfs.vfat", "-C", q.esp, "65536")
	q.run("mmd", "-i", q.esp, "::EFI", "::EFI/BOOT", "::loader", espEntries, "::otad", "::otad/a", "::otad/b")
	q.run("mcopy", "-i", q.esp, loaderDir+"systemd-bootx64.efi", "::EFI/BOOT/BOOTX64.EFI")
	q.run("mcopy", "-i", q.esp, loaderDir+"linuxx64.efi.stub", "::otad/a/linux")
	none := q.vars + ".none"
	write(q.t, none, "no kernel")
	for _, path := range []string{"::otad/b/linux", "::otad/a/initrd", "::otad/b/initrd"} {
		q.run("mcopy", "-i", q.esp, none, path)
	}
	data, err := os.ReadFile(ovmf + "VARS.fd")
	must(q.t, err, os.WriteFile(q.vars, data, 0o600), os.Mkdir(q.entries, 0o700))
}

func (q *qemu) names() []string {
	names, err := osDirectory{}.List(q.entries)
	must(q.t, err)
	return names
}

// boot starts the machine and says which slot's kernel systemd-boot has loaded.
func (q *qemu) boot() string {
	q.t.Helper()
	q.run("mdeltree", "-i", q.esp, espEntries)
	q.run("mmd", "-i", q.esp, espEntries)
	for _, name := range q.names() {
		q.run("mcopy", "-i", q.esp, filepath.Join(q.entries, name), espEntries+"/")
	}
	slot := q.watch()
	must(q.t, os.RemoveAll(q.entries), os.Mkdir(q.entries, 0o700))
	q.run("mcopy", "-i", q.esp, espEntries+"/*", q.entries)
	return slot
}

// watch runs the machine until its console says what was started.
func (q *qemu) watch() string {
	q.t.Helper()
	cmd := exec.Command("qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-nographic", "-net", "none", "-no-reboot",
		"-drive", "if=pflash,format=raw,readonly=on,file="+ovmf+"CODE.fd", "-drive", "if=pflash,format=raw,file="+q.vars,
		"-drive", "format=raw,cache=writethrough,file="+q.esp)
	console, err := cmd.StdoutPipe()
	must(q.t, err, cmd.Start())
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	var all bytes.Buffer
	slot := ""
	for buf := make([]byte, 4096); slot == "" && err == nil; {
		var n int
		n, err = console.Read(buf)
		all.Write(buf[:n])
		switch text := all.String(); {
		case strings.Contains(text, "embedded .linux section"):
			slot = "a"
		case strings.Contains(text, "Error loading"):
			slot = "b"
		}
	}
	cmd.Process.Kill() // this machine, by its own process
	cmd.Wait()
	if slot == "" {
		q.t.Fatalf("nothing was started within %s (%v):\n%s", patience, err, &all)
	}
	return slot
}
