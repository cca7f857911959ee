package power

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
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxOutput = 4 << 10         // bytes of a program's output that are kept
	grace     = 2 * time.Second // what an ended program has to let go of its output
)

// host is the machine that this process runs on.
type host struct{}

// clipped keeps the first bytes that are written to it.
type clipped struct{ bytes.Buffer }

func (c *clipped) Write(p []byte) (int, error) {
	c.Buffer.Write(p[:min(len(p), maxOutput-c.Len())])
	return len(p), nil
}

// run runs a program as the leader of a process group of its own. When ctx ends
// before it does the whole group is killed (W6). What a program that did well
// has left running may go on: it may be what restarts the machine.
func (host) run(ctx context.Context, argv, env []string) error {
	var out clipped
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil:
		return nil
	case ctx.Err() != nil:
		if cmd.Process != nil { // the leader may have ended before its children did
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return fmt.Errorf("%s was stopped: %w", argv[0], context.Cause(ctx))
	case errors.As(err, &exit):
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("%s: %s: %s", strings.Join(argv, " "), exit, lines[len(lines)-1])
	}
	return fmt.Errorf("%s cannot be run: %w", argv[0], err)
}

// restart is sync(2) and reboot(2). Nothing stops the services: what they have
// not synced is lost, as in a power cut, which everything here survives.
func (host) restart(argument string) error {
	unix.Sync()
	if argument == "" {
		return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
	}
	text, err := unix.BytePtrFromString(argument)
	if err != nil {
		return err
	}
	magic, cmd := uint32(unix.LINUX_REBOOT_MAGIC1), uint32(unix.LINUX_REBOOT_CMD_RESTART2)
	_, _, e := unix.Syscall6(unix.SYS_REBOOT, uintptr(magic), unix.LINUX_REBOOT_MAGIC2, uintptr(cmd), uintptr(unsafe.Pointer(text)), 0, 0)
	if e == 0 {
		return nil
	}
	return os.NewSyscallError("reboot", e)
}
