package program

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sh(script string) Call { return Call{Argv: []string{"sh", "-c", script}, Env: os.Environ()} }

func TestRun(t *testing.T) {
	out, err := Run(t.Context(), sh("echo one; echo two; echo three >&2"))
	if err != nil || out.Out != "one\ntwo\n" || out.Err != "three\n" || out.More {
		t.Errorf("%+v, %v", out, err)
	}
	var exit *ExitError
	for script, want := range map[string]ExitError{
		"echo a; echo b >&2; exit 3": {3, "exit status 3", "b"},
		"echo a; echo; exit 21":      {21, "exit status 21", "a"},
		"exit 1":                     {1, "exit status 1", ""},
		"kill -9 $$":                 {-1, "signal: killed", ""},
		`printf '\377\n'; exit 1`:    {1, "exit status 1", "?"},
	} {
		if _, err := Run(t.Context(), sh(script)); !errors.As(err, &exit) || *exit != want {
			t.Errorf("%s: %v", script, err)
		}
	}
	for _, argv := range [][]string{nil, {""}, {"/no/such/program"}} {
		if _, err := Run(t.Context(), Call{Argv: argv}); err == nil || errors.As(err, &exit) {
			t.Errorf("%q: %v", argv, err)
		}
	}
}

// However much a program prints, through however many writes.
func TestOutputIsBounded(t *testing.T) {
	out, err := Run(t.Context(), sh("head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2"))
	if err != nil || len(out.Out) != MaxOutput || len(out.Err) != MaxOutput || !out.More {
		t.Errorf("%d and %d bytes, more %v, %v", len(out.Out), len(out.Err), out.More, err)
	}
	if out, err := Run(t.Context(), sh("head -c 4096 /dev/zero")); err != nil || out.More {
		t.Errorf("just as much as fits: more %v, %v", out.More, err)
	}
}

// A program that hangs, and one that has ended while its child hangs.
func TestW6(t *testing.T) {
	for _, script := range []string{"sleep 1234 & echo $! > pid; wait", "sleep 1234 & echo $! > pid"} {
		dir := t.TempDir()
		tooLong := errors.New("too long")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, tooLong)
		defer cancel()
		c := sh(script)
		c.Dir = dir
		if _, err := Run(ctx, c); !errors.Is(err, tooLong) {
			t.Errorf("%s: %v", script, err)
		}
		gone(t, dir)
	}
}

func TestLeft(t *testing.T) {
	for _, children := range []bool{false, true} {
		c := sh("sleep 1234 & echo $! > pid")
		c.Dir, c.Children = t.TempDir(), children
		_, err := Run(t.Context(), c)
		if children != (err == nil) || !children && !errors.Is(err, ErrLeft) {
			t.Errorf("children %v: %v", children, err)
		}
		if !children {
			gone(t, c.Dir)
			continue
		}
		pid := child(t, c.Dir)
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("what was left was ended: %v", err)
		}
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func child(t *testing.T, dir string) (pid int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits until the child has ended, or nobody has waited for it yet.
func gone(t *testing.T, dir string) {
	t.Helper()
	pid := child(t, dir)
	for range 500 {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d goes on", pid)
}
