package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"
)

// Exit codes, as scripts rely on them.
const (
	exitOK         = 0
	exitFailure    = 1
	exitNothing    = 2  // nothing to do, no update in progress
	exitReboot     = 4  // the supervisor is to start otad again
	exitStep       = 10 // less the protocol's step: 11, 12, 13 and 14 for -1 to -4
	exitDownload   = 12
	exitVerify     = 13
	exitAvailable  = 16 // check --exit-code
	exitUsage      = 64
	exitBusy       = 75
	exitPermission = 77
	exitConfig     = 78
)

// exitError is an error with its exit code. Without err nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitf makes the error of a command: what, then why and what to do.
func exitf(code int, what, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(what+": "+format, args...)}
}

func usagef(what, format string, args ...any) error { return exitf(exitUsage, what, format, args...) }

// fileError says what is wrong with a file, with the code of a missing
// permission where that is it.
func fileError(code int, what, path string, err error, todo string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		code, todo = exitPermission, "run as a user who may, root for instance"
	}
	return exitf(code, what, "%s: %w (%s)", path, err, todo)
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

// outputFlag adds -o to a command.
func (a *app) outputFlag(c *cobra.Command) {
	c.Flags().StringVarP(&a.output, "output", "o", "text", "how to print: text or json")
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.output != "text" && a.output != "json" {
			return usagef(c.Name(), "--output %q is not known (use text or json)", a.output)
		}
		return run(c, args)
	}
}

func (a *app) json() bool { return a.output == "json" }

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
