package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/leapslot/ota/platform/program"
)

// execute runs a command of the configuration and gives the beginning of its output.
// One that hangs is ended with all that it has started (W6).
func execute(ctx context.Context, argv, env []string) (string, error) {
	out, err := program.Run(ctx, program.Call{Argv: argv, Env: append(os.Environ(), env...)})
	switch {
	case err == nil:
		return out.Out, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: stopped: %w", argv[0], err)
	}
	return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
}
