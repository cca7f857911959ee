//go:build lab

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// The unit tests, on processors that are not this machine's: another word size,
// another byte order, another way to align.

// emulated is a processor that qemu-user plays, as an ELF file names it.
type emulated struct {
	arch, qemu, what string
	class, data      byte // 1 is 32 bits, 2 is 64; 1 is little-endian, 2 is big
	machine          byte
	without          string // a test that cannot be run for it
	why              string
	leave            string // a package
}

func machines() (all []scenario) {
	for _, e := range []emulated{
		{arch: "arm64", qemu: "aarch64", what: "arm64", class: 2, data: 1, machine: 0xb7},
		{arch: "arm", qemu: "arm", what: "arm, 32 bits", class: 1, data: 1, machine: 0x28},
		{arch: "mips", qemu: "mips", what: "mips, 32 bits and big-endian", class: 1, data: 2, machine: 0x08,
			without: "^TestRooms$", leave: "agent/gateway", why: "without TestRooms and agent/gateway: the simulator that they look at does not build for mips"},
		{arch: "riscv64", qemu: "riscv64", what: "riscv64", class: 2, data: 1, machine: 0xf3},
	} {
		all = append(all, scenario{name: "tests-" + e.arch, broken: "nothing: the unit tests on " + e.what,
			run: func(ctx context.Context, l *lab, _ scenario) ([]row, error) { return e.unitTests(ctx, l) }})
	}
	return all
}

var (
	testedRooms = []string{".", "./diff/...", "./verify/...", "./platform/...", "./agent/..."}

	okLine     = regexp.MustCompile(`(?m)^ok  \t`)
	failedLine = regexp.MustCompile(`(?m)^(?:--- FAIL: (\S+)|(panic:|fatal error:).*|FAIL\t(\S+))`)
)

func (e emulated) unitTests(ctx context.Context, l *lab) ([]row, error) {
	emulator := "qemu-" + e.qemu + "-static"
	if err := l.need(ctx, emulator+":qemu-user-static", "mkenvimage:u-boot-tools", "fw_printenv:libubootenv-tool",
		"grub-editenv:grub-common", "bsdiff:bsdiff", "mke2fs:e2fsprogs"); err != nil {
		return nil, err
	}
	undo, err := e.known(emulator)
	if err != nil {
		return nil, err
	}
	defer undo()
	rooms, err := e.rooms(ctx)
	if err != nil {
		return nil, err
	}
	log := l.path("tests-" + e.arch + ".log")
	out, err := e.test(ctx, log, append([]string{"-p", "2"}, rooms...)...)
	r := row{up: fmt.Sprintf("%d packages pass", len(okLine.FindAllString(out, -1))), reported: "-"}
	if e.why != "" {
		r.up += " (" + e.why + ")"
	}
	if err == nil {
		return []row{r}, nil
	}
	// An emulator is slow, and some tests are about time. What fails is run once
	// more, alone; what passes then is named all the same.
	var again, failed []string
	for _, f := range failures(out) {
		if _, err := e.test(ctx, log+".again", "-p", "1", "-run", f.pattern(), f.pkg); err == nil && f.tests != nil {
			again = append(again, f.tests...)
		} else {
			failed = append(failed, fmt.Sprintf("%s %v", f.pkg, f.tests))
		}
	}
	if again != nil {
		r.up += "; only when run again, alone: " + strings.Join(again, ", ")
	}
	if failed != nil {
		r.failed, r.reported = true, strings.Join(failed, ", ")
	}
	return []row{r}, nil
}

// test runs go test in the emulator and keeps what it prints.
func (e emulated) test(ctx context.Context, log string, args ...string) (out string, err error) {
	all := []string{"test", "-vet=off", "-timeout", "15m", "-exec", "qemu-" + e.qemu + "-static"}
	if e.without != "" {
		all = append(all, "-skip", e.without)
	}
	cmd := command(ctx, "go", append(all, args...)...)
	cmd.Env = e.environ()
	b, err := cmd.CombinedOutput()
	if werr := os.WriteFile(log, b, 0o644); werr != nil {
		return "", werr
	}
	return string(b), err
}

// failure is a package whose tests failed. Without tests it has broken off.
type failure struct {
	pkg   string
	tests []string
}

// pattern runs the tests that failed, or all.
func (f failure) pattern() string {
	if f.tests == nil {
		return "."
	}
	return "^(" + strings.Join(f.tests, "|") + ")$"
}

// failures reads the output of go test, which names the tests before their package.
func failures(out string) (all []failure) {
	var f failure
	for _, m := range failedLine.FindAllStringSubmatch(out, -1) {
		switch {
		case m[1] != "":
			f.tests = append(f.tests, m[1])
		case m[2] != "":
			f.tests = nil // which of them is not known
		default:
			f.pkg = m[3]
			all = append(all, f)
			f = failure{}
		}
	}
	return all
}

// environ is what go test is run with. The emulator of a 32-bit processor now and
// then shows pages in use as zeros when the runtime gives memory back at once;
// under an emulated kernel that does not happen.
func (e emulated) environ() []string {
	return append(os.Environ(), "GODEBUG=madvdontneed=0", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+e.arch, "GOARM=7", "GOMIPS=softfloat")
}

// rooms lists the packages, without the one that is left out.
func (e emulated) rooms(ctx context.Context) (list []string, err error) {
	cmd := command(ctx, "go", append([]string{"list"}, testedRooms...)...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for _, p := range strings.Fields(string(out)) {
		if e.leave == "" || !strings.HasSuffix(p, e.leave) {
			list = append(list, p)
		}
	}
	return list, nil
}

const binfmt = "/proc/sys/fs/binfmt_misc"

// known tells the kernel what to do with programs of this processor, since some
// tests start their own program again. It gives what takes that back.
func (e emulated) known(emulator string) (undo func(), err error) {
	name := "leapslot-" + e.arch
	if !exists(filepath.Join(binfmt, "register")) {
		if err := unix.Mount("binfmt_misc", binfmt, "binfmt_misc", 0, ""); err != nil {
			return nil, fmt.Errorf("%s cannot be mounted: %w (be root, or install binfmt-support)", binfmt, err)
		}
	}
	if exists(filepath.Join(binfmt, "qemu-"+e.qemu)) || exists(filepath.Join(binfmt, name)) {
		return func() {}, nil
	}
	path, err := exec.LookPath(emulator)
	if err != nil {
		return nil, err
	}
	// The head of an ELF file: a program (type 2), or one that can lie
	// anywhere (type 3), in the byte order of the machine.
	kind, kindMask := [4]byte{2, 0, e.machine, 0}, [4]byte{0xfe, 0xff, 0xff, 0xff}
	if e.data == 2 {
		kind, kindMask = [4]byte{0, 2, 0, e.machine}, [4]byte{0xff, 0xfe, 0xff, 0xff}
	}
	magic := append([]byte{0x7f, 'E', 'L', 'F', e.class, e.data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kind[:]...)
	mask := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kindMask[:]...)
	rule := fmt.Sprintf(":%s:M::%s:%s:%s:F", name, escaped(magic), escaped(mask), path)
	if err := os.WriteFile(filepath.Join(binfmt, "register"), []byte(rule), 0o200); err != nil {
		return nil, fmt.Errorf("%s: %w (be root)", binfmt, err)
	}
	return func() { os.WriteFile(filepath.Join(binfmt, name), []byte("-1"), 0o200) }, nil
}

func escaped(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, `\x%02x`, c)
	}
	return s.String()
}
