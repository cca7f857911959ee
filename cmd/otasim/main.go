// Command otasim is the cloud that updates devices, for real devices and for tests:
// serve runs it, cloud calls any action of its API (or of the real one), devices
// registers many devices at once, fleet plays them.
//
// Results are on stdout and nothing else is; logs and errors are on stderr, errors
// as one line that says what, why and what to do. Exit codes: 0 ok, 1 failure, 3 a
// load test is invalid, 64 used wrongly, 75 the data directory is held by another
// process, 77 no permission, 78 configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/cmd/internal/man"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/store"
)

// Exit codes, as in docs/cli.md.
const (
	exitFailure    = 1
	exitInvalid    = 3
	exitUsage      = 64
	exitBusy       = 75
	exitPermission = 77
	exitConfig     = 78
)

func main() { os.Exit(run()) }

// run is main without the exit, which scripts run too.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// execute runs one command line and gives the exit code.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(errs, "otasim: %v\n", err)
	return exitCode(err)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "otasim",
		Short: "The cloud that updates devices",
		Long: `otasim runs a cloud for over-the-air updates, speaks its API, registers devices and plays them.

Exit codes: 0 ok, 1 failure, 3 a load test is invalid, 64 used wrongly, 75 the data
directory is held by another process, 77 no permission, 78 configuration.`,
		Example: `  otasim serve --data /var/lib/otasim --mqtt :1883 --http :8080 --access-key id:secret
  otasim cloud CreateProduct --endpoint http://127.0.0.1:8080 --access-key id:secret --ProductName lamp
  otasim key add --data /var/lib/otasim --account acme --role operator ci
  otasim devices create --endpoint http://127.0.0.1:8080 --access-key id:secret --product KEY --count 100 --prefix lamp- > devices.csv
  otasim fleet --mqtt mqtt://127.0.0.1:1883 --devices devices.csv --report out.html`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q (see otasim --help)", args[0])
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(newServeCommand(), newCloudCommand(), newDevicesCommand(), newFleetCommand(), newMergeCommand(), newBackupCommand(), newKeyCommand(), newUserCommand(), newVersionCommand(), man.NewCommand("otasim"))
	return root
}

func exitCode(err error) int {
	var usage *usageError
	switch {
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.Is(err, errInvalid):
		return exitInvalid
	case errors.Is(err, platform.ErrBusy):
		return exitBusy
	case errors.Is(err, server.ErrConfig), errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrVersion):
		return exitConfig
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	}
	return exitFailure
}
