// Command otapack makes, signs and looks at update packages, on the build host.
//
// What it writes appears under its name only when it is whole. Its result is
// the only thing on stdout; errors are one line on stderr that says what, why
// and what to do; the exit code is 0, 1 (failure), 64 (used wrongly) or 77 (no
// permission).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leapslot/ota/cmd/internal/man"
)

// Exit codes.
const (
	exitFailure    = 1
	exitUsage      = 64
	exitPermission = 77
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	e := &env{out: os.Stdout, err: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	code := e.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// env is what the commands write to.
type env struct {
	out, err io.Writer
	terminal bool // err is one, so that progress may be drawn
}

// run executes one command line and gives the exit code.
func (e *env) run(ctx context.Context, args []string) int {
	root := e.command()
	root.SetArgs(args)
	root.SetOut(e.out)
	root.SetErr(e.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted: nothing was written (run it again)")
	}
	fmt.Fprintf(e.err, "otapack: %v\n", err)
	var u *usageError
	switch {
	case errors.As(err, &u):
		return exitUsage
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	}
	return exitFailure
}

func (e *env) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "otapack",
		Short: "Make, sign and look at update packages",
		Long: `otapack makes patches between two images and signs packages, on the build host.

Its result is the only thing on stdout. Exit codes: 0 ok, 1 failure, 64 used
wrongly, 77 no permission.`,
		Example: `  otapack diff rootfs-1.0.img rootfs-1.1.img update.patch
  otapack info update.patch
  otapack sign update.patch --source rootfs-1.0.img --key ed25519.key.pem --product a1b2c3 --module default --version 1.1
  otapack digestsign update.patch --key rsa2048.key.pem --method SHA256`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("otapack", "no command is given (otapack --help lists them)")
			}
			return usagef(args[0], "there is no such command (otapack --help lists them)")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef(c.Name(), "%v (see %s --help)", err, c.CommandPath())
	})
	root.AddCommand(e.diffCommand(), e.applyCommand(), e.infoCommand(), e.digestsignCommand(), e.keygenCommand(),
		e.signCommand(), e.bundleCommand(), e.verifyCommand(), e.keylistCommand(), e.versionCommand(), man.NewCommand("otapack"))
	return root
}

// usageError is an error in the command line itself: exit code 64.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(what, format string, args ...any) error {
	return &usageError{what + ": " + fmt.Sprintf(format, args...)}
}

// exactly wants the named arguments, no more and no fewer.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef(c.Name(), "%s is not given (see %s --help)", names[len(args)], c.CommandPath())
		}
		if len(args) > len(names) {
			return usagef(c.Name(), "%q is one argument too many (see %s --help)", args[len(names)], c.CommandPath())
		}
		return nil
	}
}

// required gives a flag's value, which must not be empty.
func required(c *cobra.Command, flag, value string) error {
	if value == "" {
		return usagef(c.Name(), "--%s is not given (see %s --help)", flag, c.CommandPath())
	}
	return nil
}

// outputFlag adds -o; the value it comes to is checked by wantJSON.
func outputFlag(c *cobra.Command) *string {
	return c.Flags().StringP("output", "o", "text", "how to print: text or json")
}

func wantJSON(c *cobra.Command, value string) (bool, error) {
	switch value {
	case "json":
		return true, nil
	case "text":
		return false, nil
	}
	return false, usagef(c.Name(), "--output %q is not known (use text or json)", value)
}

// failed says which file, why, and what to do. The reason of a file system
// error is taken without its own mention of the file.
func failed(file string, err error, todo string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Path == file {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		todo = "run as a user who may"
	}
	return fmt.Errorf("%s: %w (%s)", file, err, todo)
}
