package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// What a pipeline is told by the exit code: 1 when a threshold is broken or a
// behaviour did not end as it should, exitInvalid when nothing is known.
var (
	errBroken  = errors.New("a threshold is broken")
	errInvalid = errors.New("the run is invalid")
)

const outcomeHelp = `--threshold may be given several times. It is what is looked at, one of < <= > >= =, and the
limit: connect.p99<500ms (or p50, p90, p99.9, max, mean of any measure of the table, with _ for
spaces), download_speed.p50>=1.5MB/s, success>=99.9% (or -1 to -4, timeout, never_answered, as
a share or a number of devices), disconnects<=10 (any counter), push_rate<=1000 (the most new
notices pushed within 60 seconds). What was not measured keeps no threshold.

Exit codes: 0 all kept, 1 a threshold is broken or a behaviour did not end as the scenario
wants it, 3 the run is invalid because a generator was saturated, 64 used wrongly.`

// outcome is what is made of a result: by merge, and by fleet at its end.
type outcome struct {
	output     string
	report     string
	json       string
	junit      string
	thresholds []string
	limits     []report.Threshold
}

func (o *outcome) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&o.output, "output", "o", "text", "what is printed: text or json")
	fl.StringVar(&o.report, "report", "", "write the report as one HTML page to this file")
	fl.StringVar(&o.json, "json", "", "write the result as JSON to this file, for otasim merge")
	fl.StringVar(&o.junit, "junit", "", "write the thresholds and behaviours as JUnit XML to this file")
	fl.StringArrayVar(&o.thresholds, "threshold", nil, "a limit that must be kept, such as 'connect.p99<500ms'")
}

// parse checks the flags, before anything is run.
func (o *outcome) parse() error {
	if o.output != "text" && o.output != "json" {
		return usagef("-o %s: wanted is text or json", o.output)
	}
	for _, text := range o.thresholds {
		l, err := report.ParseThreshold(text)
		if err != nil {
			return usagef("%v", err)
		}
		o.limits = append(o.limits, l)
	}
	return nil
}

// write writes the files, prints the table, and gives the error that the exit code
// comes from: everything is written before, whatever is broken.
func (o *outcome) write(r *report.Result, out io.Writer) error {
	verdicts := r.Judge(o.limits)
	for _, f := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{o.report, func(w io.Writer) error { return r.WriteHTML(w, verdicts) }},
		{o.json, r.WriteJSON},
		{o.junit, func(w io.Writer) error { return r.WriteJUnit(w, verdicts) }},
	} {
		if f.path == "" {
			continue
		}
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if err := durable.WriteFile(f.path, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	print := func(w io.Writer) error { return r.WriteText(w, verdicts) }
	if o.output == "json" {
		print = r.WriteJSON
	}
	if err := print(out); err != nil {
		return err
	}
	if !r.Valid() {
		return fmt.Errorf("%w: %s", errInvalid, r.Invalid[0])
	}
	broken := 0
	for _, v := range verdicts {
		if !v.OK {
			broken++
		}
	}
	if broken > 0 {
		return fmt.Errorf("%w: %d of %d", errBroken, broken, len(verdicts))
	}
	return nil
}
