// Package power is the power button of a real machine.
//
// The promise: the machine restarts in the gentlest way that works. That is the
// configured command and nothing else, or else systemd, or else the system's
// own reboot program, or else, when none of them can, everything is written to
// the disks and the kernel restarts at once. Who asks for a restart has a
// system on trial: a machine that stays up would never prove it.
//
// Some boot loaders start a trial only when the restart says so
// ([platform.RebootArgument], "0 tryboot" on a Raspberry Pi). Then no way is
// taken that would drop the argument.
package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// DefaultTimeout is what a program that restarts the machine has.
	DefaultTimeout = time.Minute
	// ArgumentVariable is the environment variable that tells a configured
	// command the argument of the restart.
	ArgumentVariable = "OTAD_REBOOT_ARGUMENT"

	maxArgument = 255 // bytes; the kernel's buffer has 256
)

// Config says how the machine is restarted.
type Config struct {
	// Command is run to restart the machine; empty for the system's own way.
	// What it is told is in ArgumentVariable. It has done its work when it
	// exits 0; the machine may go down later.
	Command []string
	// Timeout is what each program has, 0 for DefaultTimeout. The process group
	// of one that takes longer is killed.
	Timeout time.Duration
	// Argument is the boot loader's RebootArgument, nil for none.
	Argument func() (string, error)
}

// machine is what really restarts: the one thing that the tests replace.
type machine interface {
	// run runs a program to its end.
	run(ctx context.Context, argv, env []string) error
	// restart writes everything to the disks and restarts the kernel. It
	// returns only if that is not possible.
	restart(argument string) error
}

// Button is the power button. It implements [platform.Power].
type Button struct {
	cfg     Config
	machine machine
	runDir  string // /run
}

// New makes the power button. It does nothing yet.
func New(cfg Config) (*Button, error) {
	if cfg.Timeout < 0 || len(cfg.Command) > 0 && cfg.Command[0] == "" {
		return nil, fmt.Errorf("restart by %q within %v: want a program and a time", cfg.Command, cfg.Timeout)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Button{cfg, host{}, "/run"}, nil
}

// Reboot implements [platform.Power]. It returns nil when the restart is under
// way, and an error that tells of every way that was tried when it is not.
func (b *Button) Reboot(ctx context.Context) error {
	argument, err := b.argument()
	if err != nil {
		return fmt.Errorf("not restarted: %w", err)
	}
	if len(b.cfg.Command) > 0 {
		if err := b.run(ctx, b.cfg.Command, ArgumentVariable+"="+argument); err != nil {
			return fmt.Errorf("the machine was not restarted: %w", err)
		}
		return nil
	}
	var failed error
	for _, way := range b.ways(argument) {
		if err := way(ctx, argument); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		} else {
			failed = errors.Join(failed, err)
		}
	}
	return fmt.Errorf("the machine cannot be restarted: %w", failed)
}

// argument asks the boot loader what the restart must be told. Without it the
// trial would not be started, so that an error is one.
func (b *Button) argument() (string, error) {
	if b.cfg.Argument == nil {
		return "", nil
	}
	a, err := b.cfg.Argument()
	if err == nil && (len(a) > maxArgument || strings.ContainsAny(a, "\x00\n")) {
		err = fmt.Errorf("%.80q cannot be the argument of a restart", a)
	}
	return a, err
}

type way func(ctx context.Context, argument string) error

// ways are how this machine can be restarted, the gentlest first.
func (b *Button) ways(argument string) (all []way) {
	if _, err := os.Stat(filepath.Join(b.runDir, "systemd", "system")); err == nil {
		all = append(all, b.systemctl)
		if argument != "" {
			all = append(all, b.rebootTarget)
		}
	}
	if argument == "" { // reboot(8) would drop it
		all = append(all, func(ctx context.Context, _ string) error { return b.run(ctx, []string{"reboot"}) })
	}
	return append(all, func(_ context.Context, argument string) error { return b.machine.restart(argument) })
}

func (b *Button) systemctl(ctx context.Context, argument string) error {
	argv := []string{"systemctl", "reboot"}
	if argument != "" {
		argv = append(argv, "--reboot-argument="+argument)
	}
	return b.run(ctx, argv)
}

// rebootTarget is for a systemctl that does not know --reboot-argument: the
// argument is put where the last step of the shutdown looks for it. "systemctl
// reboot" would take it away again, the target does not.
func (b *Button) rebootTarget(ctx context.Context, argument string) error {
	file := filepath.Join(b.runDir, "systemd", "reboot-param")
	if err := os.WriteFile(file, []byte(argument), 0o644); err != nil {
		return err
	}
	err := b.run(ctx, []string{"systemctl", "start", "--no-block", "--job-mode=replace-irreversibly", "reboot.target"})
	if err != nil {
		os.Remove(file) // a later restart is not this one
	}
	return err
}

func (b *Button) run(ctx context.Context, argv []string, env ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.cfg.Timeout, fmt.Errorf("it has not ended within %v", b.cfg.Timeout))
	defer cancel()
	return b.machine.run(ctx, argv, env)
}
