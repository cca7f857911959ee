package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	maxCommandOutput = 4 << 10         // bytes of a command's output that are kept
	commandGrace     = 2 * time.Second // what an ended command has to let go of its output
)

// clipped keeps the first bytes that are written to it.
type clipped struct{ bytes.Buffer }

func (c *clipped) Write(p []byte) (int, error) {
	c.Buffer.Write(p[:min(len(p), maxCommandOutput-c.Len())])
	return len(p), nil
}

// execute runs a command of the configuration and gives the beginning of its
// output. It is the leader of a process group of its own, and when ctx ends
// before it does the whole group is killed: a check that hangs in a child must
// not outlive its time (W6).
func execute(ctx context.Context, argv, env []string) (string, error) {
	var out, problem clipped
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = commandGrace
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// The leader may have ended before its children did.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return "", fmt.Errorf("%s: stopped: %w", argv[0], context.Cause(ctx))
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), nil
	case errors.As(err, &exit):
		return "", fmt.Errorf("%s: %s%s", strings.Join(argv, " "), exit, reason(problem.String(), out.String()))
	}
	return "", fmt.Errorf("%s cannot be run: %w", argv[0], err)
}

// reason is the last line that a failed command has printed.
func reason(texts ...string) string {
	for _, t := range texts {
		lines := strings.Split(strings.TrimSpace(t), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return ": " + last
		}
	}
	return ""
}
