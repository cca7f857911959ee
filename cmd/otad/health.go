package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/leapslot/ota/platform/program"
)

const (
	versionTimeout = 30 * time.Second
	unitPause      = time.Second
)

// place is what the commands of the configuration are told in their environment.
type place struct {
	slot, path, module string
}

func (p place) env(version string) []string {
	return []string{"OTAD_SLOT=" + p.slot, "OTAD_SLOT_PATH=" + p.path, "OTAD_MODULE=" + p.module, "OTAD_VERSION=" + version}
}

// readVersion gives the function that asks the system for a module's version,
// nil when the configuration says it.
func readVersion(m moduleConfig, p place) func(context.Context) (string, error) {
	p.module = m.Name
	switch {
	case m.VersionFile != "":
		return func(context.Context) (string, error) { return firstLineOf(m.VersionFile) }
	case len(m.VersionCommand) > 0:
		return func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeoutCause(ctx, versionTimeout, fmt.Errorf("no version within %v", versionTimeout))
			defer cancel()
			out, err := execute(ctx, m.VersionCommand, p.env(""))
			return firstLine(out), err
		}
	}
	return nil
}

func firstLineOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, program.MaxOutput)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return strings.TrimSpace(line), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(s, "\n"), "\n")
	return strings.TrimSpace(line)
}

// healthCheck runs the commands one after the other, each once, then waits for
// the units. ctx has the time limit. version is that of the system on trial.
func healthCheck(ctx context.Context, h healthConfig, env []string) error {
	for _, argv := range h.Commands {
		if err := hook(ctx, argv, env); err != nil {
			return err
		}
	}
	for _, unit := range h.Units {
		if err := waitForUnit(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

// waitForUnit waits until the unit is active. A unit that has failed ends the
// wait at once.
func waitForUnit(ctx context.Context, unit string) error {
	for {
		_, err := execute(ctx, []string{"systemctl", "is-active", "--quiet", unit}, nil)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("unit %s is not active: %w", unit, context.Cause(ctx))
		}
		if _, err := execute(ctx, []string{"systemctl", "is-failed", "--quiet", unit}, nil); err == nil {
			return fmt.Errorf("unit %s has failed (systemctl status %s says why)", unit, unit)
		}
		select {
		case <-ctx.Done():
		case <-time.After(unitPause):
		}
	}
}
