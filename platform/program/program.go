// Package program runs programs that the device's owner has configured: checks, hooks,
// installers, scripts that stand for a boot loader.
//
// The promise: a program that hangs, or whose child hangs, ends with its time, all of
// its process group, and not later than a moment after it (W6); and however much it
// prints, no more than [MaxOutput] of it is held.
//
// It trusts the program: that runs as the user of this process.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// MaxOutput is how many bytes of each of a program's two outputs are kept.
	MaxOutput = 4 << 10
	// Grace is what an ended program has to let go of its output.
	Grace = 2 * time.Second
)

// ErrLeft means that the program ended well and has left something running, which was
// killed.
var ErrLeft = errors.New("it has left something running, which was ended")

// ExitError means that the program ended with another exit code than 0, or by a signal.
type ExitError struct {
	Code   int    // -1: by a signal
	State  string // "exit status 3", "signal: killed"
	Reason string // the last line that it printed, to stderr rather than to stdout
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Reason == "" {
		return e.State
	}
	return e.State + ": " + e.Reason
}

// Call is one run of a program.
type Call struct {
	Argv []string
	Env  []string // all of its environment
	Dir  string   // "" is that of this process
	// Children lets what the program has left running go on, when it ended well.
	Children bool
}

// Output is the beginning of what a program printed.
type Output struct {
	Out, Err string
	More     bool // Out was longer
}

// Run runs a program to its end, as the leader of a process group of its own. When ctx
// ends before it does, the whole group is killed, and the error is ctx's cause. It is an
// [*ExitError] or [ErrLeft] when the program ended so; any other error says why it
// could not be run.
func Run(ctx context.Context, c Call) (Output, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return Output{}, errors.New("no program is named")
	}
	var out, problem clipped
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Dir = c.Env, c.Dir
	cmd.Stdout, cmd.Stderr = &out, &problem
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = Grace
	err := cmd.Run()
	left := errors.Is(err, exec.ErrWaitDelay)
	if cmd.Process != nil && (ctx.Err() != nil || !c.Children) {
		// The leader may have ended before its children did.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	text := Output{out.text(), problem.text(), out.more}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return text, context.Cause(ctx)
	case left && !c.Children:
		return text, ErrLeft
	case err == nil || left:
		return text, nil
	case errors.As(err, &exit):
		return text, &ExitError{exit.ExitCode(), exit.String(), lastLine(text.Err, text.Out)}
	}
	return text, fmt.Errorf("it cannot be run: %w", err)
}

// lastLine is the last line of the first text that has one.
func lastLine(texts ...string) string {
	for _, t := range texts {
		lines := strings.Split(strings.TrimSpace(t), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return strings.ToValidUTF8(last, "?")
		}
	}
	return ""
}

// clipped keeps the first bytes that are written to it. The buffer has a name: were it
// embedded, its ReadFrom would be found in place of Write, and keep everything.
type clipped struct {
	buf  bytes.Buffer
	more bool
}

func (c *clipped) Write(p []byte) (int, error) {
	fits := min(len(p), MaxOutput-c.buf.Len())
	c.buf.Write(p[:fits])
	c.more = c.more || fits < len(p)
	return len(p), nil
}

func (c *clipped) text() string { return c.buf.String() }
