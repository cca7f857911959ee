package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leapslot/ota"
)

// Exit codes of an installer's program.
const (
	ExitOK    = 0
	ExitAbort = 1  // the update failed; so does every code but the other two
	ExitLater = 21 // ask again later
)

const (
	// DefaultCommandTimeout is what a zero Command.Timeout means.
	DefaultCommandTimeout = 10 * time.Minute

	maxCommandOutput = 4 << 10         // bytes of a program's output that are kept
	commandGrace     = 2 * time.Second // what an ended program has to let go of its output
)

// Command brings packages to sub-devices by running a program.
type Command struct {
	Argv    []string
	Timeout time.Duration // 0 is DefaultCommandTimeout
}

// Install runs the program with the path of the package as its last argument, and in
// its environment
//
//	OTAD_SUB_PRODUCT_KEY, OTAD_SUB_DEVICE_NAME   the sub-device
//	OTAD_FILE, OTAD_SIZE                         the package
//	OTAD_FROM, OTAD_VERSION, OTAD_MODULE         the version before, the new one, "default"
//	OTAD_DIFF                                    1 for a patch onto the version before, else 0
//	OTAD_UDI                                     the package's custom info
//
// Exit code 0 says that the package is on the sub-device, 21 is [ErrLater], anything
// else is a failure whose reason is the last line that the program printed. When its
// time is up, or ctx ends, it is killed with its whole process group (W6).
func (c Command) Install(ctx context.Context, u Update) error {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultCommandTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %v", timeout))
	defer cancel()
	diff := "0"
	if u.IsDiff {
		diff = "1"
	}
	_, err := run(ctx, append(c.Argv[:len(c.Argv):len(c.Argv)], u.Path), append(subEnv(u.Device),
		"OTAD_FILE="+u.Path, "OTAD_SIZE="+strconv.FormatInt(u.Size, 10), "OTAD_FROM="+u.From, "OTAD_VERSION="+u.Version,
		"OTAD_MODULE="+ota.DefaultModule, "OTAD_DIFF="+diff, "OTAD_UDI="+strings.ReplaceAll(u.UDI, "\x00", "")))
	return err
}

// AskVersion runs a program that prints the version of a sub-device in the first line
// of its output. In its environment are OTAD_SUB_PRODUCT_KEY and OTAD_SUB_DEVICE_NAME.
func AskVersion(ctx context.Context, d ota.Device, argv []string) (string, error) {
	out, err := run(ctx, argv, subEnv(d))
	line, _, _ := strings.Cut(strings.TrimLeft(out, "\n"), "\n")
	return strings.TrimSpace(line), err
}

func subEnv(d ota.Device) []string {
	return []string{"OTAD_SUB_PRODUCT_KEY=" + d.ProductKey, "OTAD_SUB_DEVICE_NAME=" + d.Name}
}

// clipped keeps the first bytes that are written to it.
type clipped struct{ bytes.Buffer }

func (c *clipped) Write(p []byte) (int, error) {
	c.Buffer.Write(p[:min(len(p), maxCommandOutput-c.Len())])
	return len(p), nil
}

// run runs a program and gives the beginning of its output. It leads a process group
// of its own, and when ctx ends before it does the whole group is killed: what it left
// behind could still be writing to the sub-device when the next update begins.
func run(ctx context.Context, argv, env []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", errors.New("no program is configured")
	}
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
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: stopped: %w", argv[0], context.Cause(ctx))
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it did well, and has left something running
		return out.String(), nil
	case errors.As(err, &exit) && exit.ExitCode() == ExitLater:
		return "", fmt.Errorf("%s: %w", argv[0], ErrLater)
	case errors.As(err, &exit):
		return "", fmt.Errorf("%s: %s%s", argv[0], exit, lastLine(problem.String(), out.String()))
	}
	return "", fmt.Errorf("%s cannot be run: %w", argv[0], err)
}

// lastLine is the last line of the first text that has one.
func lastLine(texts ...string) string {
	for _, t := range texts {
		lines := strings.Split(strings.TrimSpace(t), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return ": " + last
		}
	}
	return ""
}
