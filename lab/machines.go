//go:build lab

package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// The unit tests, on processors that are not this machine's: another word size,
// another byte order, another way to align.

var testedRooms = []string{".", "./diff/...", "./verify/...", "./platform/...", "./agent/..."}

func machines() (all []scenario) {
	for _, m := range []struct{ arch, qemu, what string }{
		{"arm64", "aarch64", "nothing: unit tests on arm64"},
		{"arm", "arm", "nothing: unit tests on arm, 32 bits"},
		{"mips", "mips", "nothing: unit tests on mips, 32 bits and big-endian"},
		{"riscv64", "riscv64", "nothing: unit tests on riscv64"},
	} {
		all = append(all, scenario{name: "tests-" + m.arch, broken: m.what, run: func(ctx context.Context, l *lab, _ scenario) ([]row, error) {
			return l.unitTests(ctx, m.arch, m.qemu)
		}})
	}
	return all
}

var okLine = regexp.MustCompile(`(?m)^ok  \t`)
var failedLine = regexp.MustCompile(`(?m)^(?:--- FAIL: \S+|FAIL\t\S+)`)

func (l *lab) unitTests(ctx context.Context, arch, qemu string) ([]row, error) {
	emulator := "qemu-" + qemu + "-static"
	if err := l.need(ctx, emulator+":qemu-user-static", "mkenvimage:u-boot-tools", "fw_printenv:libubootenv-tool", "grub-editenv:grub-common"); err != nil {
		return nil, err
	}
	args := append([]string{"test", "-vet=off", "-p", "2", "-timeout", "15m", "-exec", emulator}, testedRooms...)
	cmd := command(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOARM=7", "GOMIPS=softfloat")
	out, err := cmd.CombinedOutput()
	log := l.path("tests-" + arch + ".log")
	if err := os.WriteFile(log, out, 0o644); err != nil {
		return nil, err
	}
	r := row{up: fmt.Sprintf("%d packages pass", len(okLine.FindAll(out, -1))), reported: "-"}
	if err != nil {
		r.failed = true
		r.reported = fmt.Sprintf("%s (see %s)", strings.Join(failedLine.FindAllString(string(out), 8), ", "), log)
	}
	return []row{r}, nil
}
