package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/spf13/cobra"
)

const (
	watchEvery = 500 * time.Millisecond
	barWidth   = 40
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say what runs and what is being installed",
		Long: `Says what runs, what is being installed and how the last update ended. When the
service is not running, what it left on the disk is shown, and that is said.
With --watch it goes on until it is interrupted: with a progress bar on a
terminal, elsewhere with a line for each change.`,
		Example: `  otad status
  otad status -o json
  otad status --watch`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if watch {
				return a.watch(c.Context())
			}
			s, err := a.status(c.Context())
			switch {
			case err != nil:
				return err
			case a.json():
				return printJSON(a.out, s)
			}
			return s.print(a.out)
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	a.outputFlag(c)
	a.socketFlag(c)
	return c
}

// status asks the service, or reads the disk when there is none.
func (a *app) status(ctx context.Context) (apiStatus, error) {
	var s apiStatus
	err := a.call(ctx, "status", http.MethodGet, "/v1/status", &s)
	if !errors.Is(err, errNotRunning) {
		return s, err
	}
	left, diskErr := a.readDisk()
	if diskErr != nil {
		return s, fmt.Errorf("%w; and nothing can be read from the disk: %w", err, diskErr)
	}
	return newStatus(left.status, false, thisBuild().Version), nil
}

// print writes a block that people read.
func (s apiStatus) print(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s", name)
		fmt.Fprintf(&b, format+"\n", args...)
	}
	service := "running, the cloud was not reached yet"
	switch {
	case !s.Running:
		service = "NOT RUNNING: this is what it left on the disk (start it: systemctl start otad)"
	case s.Online:
		service = "running, the cloud was reached"
	}
	row("service", "%s", service)
	row("version", "%s  (module %s, slot %s)", orUnknown(s.Version), s.Module, s.Slot)
	for _, m := range slices.Sorted(maps.Keys(s.Modules)) {
		if m != s.Module {
			row("", "%s  (module %s)", orUnknown(s.Modules[m]), m)
		}
	}
	if s.Notice == nil {
		row("update", "none under way")
	} else {
		row("update", "%s", describe(s.Notice))
		row("stage", "%s, %d %%", s.Stage, s.Percent)
	}
	if s.Last != nil {
		row("last", "%s", sentence(*s.Last, s.Last.Reason))
	}
	if s.Owed > 0 {
		row("owed", "%s that the cloud does not have yet", plural(s.Owed, "message"))
	}
	if len(s.SubDevices) > 0 {
		for _, line := range subRows(s.SubDevices) {
			row("behind", "%s", line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func describe(n *agent.Announced) string {
	kind := "full image"
	if n.Diff {
		kind = "patch"
	}
	return fmt.Sprintf("module %s to version %s (%s, %s)", n.Module, n.Version, kind, bytesText(n.Size))
}

func sentence(r agent.Result, reason string) string {
	at := r.Time.UTC().Format("2006-01-02 15:04:05Z")
	way := fmt.Sprintf("module %s from %s to %s", r.Module, orUnknown(r.From), r.Version)
	if !r.Step.Failed() {
		return fmt.Sprintf("%s  %s: installed", at, way)
	}
	return fmt.Sprintf("%s  %s: %s (%d): %s", at, way, r.Step.Meaning(), int(r.Step), reason)
}

// watch prints the status until it is interrupted.
func (a *app) watch(ctx context.Context) error {
	if _, err := a.socketPath(); err != nil {
		return err
	}
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for last := ""; ; {
		s, err := a.status(ctx)
		if ctx.Err() != nil {
			break
		}
		line := ""
		switch {
		case err != nil && !errors.Is(err, errNotRunning):
			return err
		case err != nil: // neither a service nor a record: wait for one
			line = "the service is not running"
		default:
			line = s.line(a.terminal)
		}
		if line != last {
			last = line
			if err := a.show(line, s); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
	if a.terminal && !a.json() {
		fmt.Fprintln(a.out)
	}
	return nil
}

// show prints one state of a watched service.
func (a *app) show(line string, s apiStatus) error {
	var err error
	switch {
	case a.json():
		err = printJSON(a.out, s)
	case a.terminal:
		_, err = fmt.Fprintf(a.out, "\r\x1b[K%s", line)
	default:
		_, err = fmt.Fprintln(a.out, line)
	}
	return err
}

// line is the state in one line.
func (s apiStatus) line(bar bool) string {
	head := ""
	if !s.Running {
		head = "(service not running) "
	}
	if s.Notice == nil {
		text := head + "idle, version " + orUnknown(s.Version) + " in slot " + s.Slot
		if s.Last != nil && s.Last.Step.Failed() {
			text += fmt.Sprintf("; last: version %s: %s (%d)", s.Last.Version, s.Last.Step.Meaning(), int(s.Last.Step))
		}
		return text
	}
	progress := ""
	if bar {
		done := barWidth * min(max(s.Percent, 0), 100) / 100
		progress = "[" + strings.Repeat("#", done) + strings.Repeat(".", barWidth-done) + "] "
	}
	return fmt.Sprintf("%s%s%3d %%  %s %s", head, progress, s.Percent, s.Stage, s.Notice.Version)
}

func (a *app) historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Say how the last updates ended",
		Long: `Says how the last updates ended, the newest last. When the service is not running,
what it left on the disk is shown.`,
		Example: `  otad history
  otad history -o json`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return a.history(c.Context()) },
	}
	a.outputFlag(c)
	a.socketFlag(c)
	return c
}

func (a *app) history(ctx context.Context) error {
	list := []agent.Result{}
	err := a.call(ctx, "history", http.MethodGet, "/v1/history", &list)
	if errors.Is(err, errNotRunning) {
		left, diskErr := a.readDisk()
		if diskErr != nil {
			return fmt.Errorf("%w; and nothing can be read from the disk: %w", err, diskErr)
		}
		list, err = append(list, left.history...), nil
	}
	if err != nil {
		return err
	}
	if a.json() {
		return printJSON(a.out, list)
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(a.out, "no update has ended yet")
		return err
	}
	for _, r := range list {
		if _, err := fmt.Fprintln(a.out, sentence(r, r.Reason)); err != nil {
			return err
		}
	}
	return nil
}

func orUnknown(v string) string {
	if v == "" {
		return "unknown"
	}
	return v
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// bytesText is a size as people read it.
func bytesText(n int64) string {
	for _, u := range sizeUnits[:3] {
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
