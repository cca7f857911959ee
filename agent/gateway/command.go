package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/program"
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

// run runs a program and gives the beginning of its output. One that hangs is ended with
// all that it has started: what it left behind could still be writing to the sub-device
// when the next update begins.
func run(ctx context.Context, argv, env []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", errors.New("no program is configured")
	}
	out, err := program.Run(ctx, program.Call{Argv: argv, Env: append(os.Environ(), env...), Children: true})
	var exit *program.ExitError
	switch {
	case err == nil:
		return out.Out, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: stopped: %w", argv[0], err)
	case errors.As(err, &exit) && exit.Code == ExitLater:
		return "", fmt.Errorf("%s: %w", argv[0], ErrLater)
	}
	return "", fmt.Errorf("%s: %w", argv[0], err)
}
