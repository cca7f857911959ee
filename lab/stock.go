//go:build lab

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// lab is what the scenarios share. What is costly is made when it is first
// asked for.
type lab struct {
	dir     string
	full    bool
	verbose bool

	ready map[string]bool // what was fetched or built in this run
	cloud *cloud
}

func (l *lab) close() {
	if l.cloud != nil {
		l.cloud.Stop()
	}
}

// once does something that holds for the whole run.
func (l *lab) once(what string, do func() error) error {
	if l.ready[what] {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	if l.ready == nil {
		l.ready = map[string]bool{}
	}
	l.ready[what] = true
	return nil
}

// path is a file of the lab.
func (l *lab) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

// need installs programs, given as PROGRAM:PACKAGE.
func (l *lab) need(ctx context.Context, pairs ...string) error {
	return l.once("need "+strings.Join(pairs, " "), func() error {
		return l.tool(ctx, "scripts/need.sh", pairs...)
	})
}

// debs unpacks packages of another machine's Debian into its own folder and
// gives the folder. See debs.sh.
func (l *lab) debs(ctx context.Context, set, arch string, packages ...string) (root string, err error) {
	args := append([]string{l.path(set), arch}, packages...)
	err = l.once("debs "+strings.Join(args, " "), func() error { return l.tool(ctx, "lab/debs.sh", args...) })
	return l.path(set, "root"), err
}

// build makes one of our programs for a machine, with a version of its own.
func (l *lab) build(ctx context.Context, program, arch, version string) (path string, err error) {
	path = l.path("bin", version, arch, program)
	return path, l.once("build "+path, func() error {
		cmd := command(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", path, "./cmd/"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		return output(cmd)
	})
}

// tool runs a program to its end. What it prints is shown only when it fails.
func (l *lab) tool(ctx context.Context, name string, args ...string) error {
	return output(command(ctx, name, args...))
}

// command is a program that finds the tools of the system's administrator, and
// that is ended kindly, and then at all costs, when the lab is.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, findTool(name), args...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// findTool looks in /usr/sbin too, where Debian has the tools for disks.
func findTool(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	if _, err := exec.LookPath(name); err != nil {
		for _, dir := range []string{"/usr/sbin", "/sbin"} {
			if p := filepath.Join(dir, name); exists(p) {
				return p
			}
		}
	}
	return name
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// place copies a file into another one at an offset, and leaves out what is
// zero, so that a disk stays as small as what is on it.
func place(disk *os.File, offset int64, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	buf, zero := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(f, buf)
		if string(buf[:n]) != string(zero[:n]) {
			if _, err := disk.WriteAt(buf[:n], offset); err != nil {
				return err
			}
		}
		offset += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
