// Command otad is the agent on the device: the service (otad run) and the
// command line that talks to it.
//
// A command prints its result on stdout and nothing else there. An error is
// one line on stderr, "otad: what: why (what to do)", and an exit code that
// scripts can rely on: see exit.go.
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

// Set by the build: -ldflags "-X main.version=1.2.3 -X main.buildTime=2026-01-02T15:04:05Z".
var (
	version   string
	buildTime string
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(),
		terminal: term.IsTerminal(int(os.Stdout.Fd())),
	}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// app is what every command has: where it reads and prints, and the flags that
// all of them share.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	terminal bool // out is one, so that a progress bar may be drawn

	file   string   // -c
	set    []string // --set
	socket string   // --socket
	output string   // -o
}

// run executes one command line and gives the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	return a.explain(root.ExecuteContext(ctx))
}

// explain prints an error and gives its exit code.
func (a *app) explain(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailure
	var coded *exitError
	switch {
	case errors.As(err, &coded):
		code = coded.code
		if coded.err == nil { // the code says it all
			return code
		}
	case errors.Is(err, fs.ErrPermission):
		code = exitPermission
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	var list problems
	if errors.As(err, &list) {
		for _, p := range list {
			fmt.Fprintf(a.err, "otad: %s\n%s", p, p.Excerpt)
		}
		return code
	}
	fmt.Fprintf(a.err, "otad: %v\n", err)
	return code
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "otad",
		Short: "Update this device from its cloud",
		Long: `otad updates this device: "otad run" is the service, the other commands talk to
it or look at what it left on the disk.

Exit codes: 0 ok; 1 failure; 2 nothing to do; 4 reboot required; 11 to 14 the
upgrade, the download, the verification or the flash failed; 16 an update is available (check --exit-code); 64 used
wrongly; 75 busy; 77 no permission; 78 the configuration cannot work.`,
		Example: `  otad run -c /etc/otad/config.toml
  otad status --watch
  otad doctor`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("otad", "no command is given (otad --help lists them)")
			}
			return usagef(args[0], "there is no such command (otad --help lists them)")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef(c.Name(), "%v (see %s --help)", err, c.CommandPath())
	})
	root.PersistentFlags().StringVarP(&a.file, "config", "c", defaultFile, "configuration file; - is stdin")
	root.PersistentFlags().StringArrayVar(&a.set, "set", nil, "section.key=value, stronger than the file and the environment (repeatable)")
	root.AddCommand(
		man.NewCommand("otad"),
		a.runCommand(), a.statusCommand(), a.checkCommand(), a.installCommand(), a.historyCommand(),
		a.infoCommand(), a.verifyCommand(), a.configCommand(), a.doctorCommand(), a.versionCommand(),
	)
	root.AddCommand(a.orderCommands()...)
	root.AddCommand(a.tpmCommands()...)
	return root
}
