package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// clipped keeps the first bytes that are written to it. The buffer is not
// embedded: its ReadFrom would take everything past Write.
type clipped struct {
	buffer bytes.Buffer
	more   bool // there were more
}

func (c *clipped) Write(p []byte) (int, error) {
	keep := min(len(p), maxOutput-c.buffer.Len())
	c.more = c.more || keep < len(p)
	c.buffer.Write(p[:keep])
	return len(p), nil
}

func (c *clipped) String() string { return c.buffer.String() }

// environment is all that the program gets.
func (b *Boot) environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C",
		"OTAD_SLOTS=" + strings.Join(b.cfg.Slots, " "),
		"OTAD_ATTEMPTS=" + strconv.Itoa(b.cfg.Attempts),
	}
}

// run runs the program with arguments and gives what it printed. It leads a
// process group of its own, all of which is ended when its time is up, and also
// when it is done: what it left behind could still be changing what is started.
func (b *Boot) run(args ...string) (string, error) {
	call := b.cfg.Program + " " + strings.Join(args, " ")
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Timeout)
	defer cancel()
	var out, problem clipped
	cmd := exec.CommandContext(ctx, b.cfg.Program, args...)
	cmd.Env, cmd.Dir = b.environment(), "/"
	cmd.Stdout, cmd.Stderr = &out, &problem
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if cmd.Process != nil {
		// The leader may have ended before its children did.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: it was not done within %v and was ended", call, b.cfg.Timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("%s: it has left something running, which was ended", call)
	case errors.As(err, &exit):
		return "", fmt.Errorf("%s: %s%s", call, exit, reason(problem.String()))
	case err != nil:
		return "", fmt.Errorf("%s cannot be run: %w", call, err)
	case out.more:
		return "", fmt.Errorf("%s: it printed more than %d bytes", call, maxOutput)
	}
	return out.String(), nil
}

// reason is the last line that a failed program has printed.
func reason(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return ""
	}
	return ": " + strings.ToValidUTF8(last, "?")
}
