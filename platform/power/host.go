package power

import (
	"context"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/leapslot/ota/platform/program"
	"golang.org/x/sys/unix"
)

// host is the machine that this process runs on.
type host struct{}

// run runs a program. What one that did well has left running may go on: it may be
// what restarts the machine.
func (host) run(ctx context.Context, argv, env []string) error {
	_, err := program.Run(ctx, program.Call{Argv: argv, Env: append(os.Environ(), env...), Children: true})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s was stopped: %w", argv[0], err)
	}
	return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
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
