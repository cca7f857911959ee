package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// module is the project.
const module = "github.com/leapslot/ota"

// machine is what figures depend on.
type machine struct {
	cpu, cores, memory, kernel, goVersion, programs, filesystem, date, load string
}

func thisMachine(ctx context.Context) machine {
	m := machine{cores: fmt.Sprint(runtime.NumCPU()), goVersion: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), load: loadAverage()}
	m.cpu = field("/proc/cpuinfo", "model name")
	m.memory = field("/proc/meminfo", "MemTotal")
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	m.filesystem = filesystemOf(ctx, os.TempDir())
	m.programs = packages(ctx, "curl", "coreutils", "openssl", "bsdiff", "mosquitto")
	return m
}

// field is the value of a "name : value" line, which /proc is full of.
func field(path, name string) string {
	content, _ := os.ReadFile(path)
	return fieldIn(string(content), name)
}

func fieldIn(content, name string) string {
	for line := range strings.Lines(content) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == name {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return "not known"
}

func loadAverage() string {
	content, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(content)); err == nil && len(f) > 3 {
		return strings.Join(f[:3], " ")
	}
	return "not known"
}

func filesystemOf(ctx context.Context, dir string) string {
	out, err := exec.CommandContext(ctx, "stat", "-f", "-c", "%T", dir).Output()
	if err != nil {
		return "not known"
	}
	return strings.TrimSpace(string(out))
}

// packages names the versions of the peers.
func packages(ctx context.Context, names ...string) string {
	out, err := exec.CommandContext(ctx, "dpkg-query", append([]string{"-W", "-f", "${Package} ${Version}, "}, names...)...).Output()
	if err != nil {
		return "not known"
	}
	return strings.TrimSuffix(strings.TrimSpace(string(out)), ",")
}

// needs says what is not there before anything is measured.
func needs(ctx context.Context, bin string) error {
	for _, p := range []string{"otad", "otasim", "otapack"} {
		if _, err := os.Stat(filepath.Join(bin, p)); err != nil {
			return fmt.Errorf("%w (make build makes it)", err)
		}
	}
	for _, p := range []string{timeProgram, "curl", "tee", "sha256sum", "openssl", "sync", "dd", "bsdiff", "bspatch", mke2fsProgram, mosquittoProgram, "mosquitto_passwd", "go"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%w (install it; make bench does)", err)
		}
	}
	if out, err := exec.CommandContext(ctx, "go", "list", "-m").Output(); err != nil || strings.TrimSpace(string(out)) != module {
		return errors.New("this is not the project's folder, where its programs and micro-benchmarks are built from (cd to it)")
	}
	return nil
}
