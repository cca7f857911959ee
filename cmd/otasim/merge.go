package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/simulator/fleet/report"
)

func newMergeCommand() *cobra.Command {
	var f outcome
	cmd := &cobra.Command{
		Use:   "merge a.json b.json ...",
		Short: "Make one report of the shards of a fleet",
		Long: `merge adds up what several processes of otasim fleet have measured (--json), and prints
one table of it.

It is exact: histograms are added bucket by bucket, so the percentiles are those of one
process that had all devices. It refuses to add what is not one run: other scenarios, seeds
or endpoints, runs that began more than a day apart, and the same result twice. A result of
merge can be merged again. Shards that are missing are noted.

` + outcomeHelp,
		Example: `  otasim merge shard-0.json shard-1.json --report fleet.html
  otasim merge shard-*.json --threshold 'connect.p99<500ms' --threshold 'success>=99.9%' --junit fleet.xml
  otasim merge shard-*.json -o json > fleet.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("merge takes the JSON files of a fleet's shards (see %s --help)", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.parse(); err != nil {
				return err
			}
			var all []*report.Result
			for _, path := range args {
				r, err := readResult(path)
				if err != nil {
					return fmt.Errorf("merge: %w", err)
				}
				all = append(all, r)
			}
			merged, err := report.Merge(all...)
			if err != nil {
				return fmt.Errorf("merge: %w (merge only shards of one run)", err)
			}
			return f.write(merged, cmd.OutOrStdout())
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	f.flags(cmd)
	return cmd
}

// readResult reads one result of otasim fleet --json.
func readResult(path string) (*report.Result, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := report.Read(file)
	switch {
	case errors.Is(err, report.ErrFile):
		return nil, fmt.Errorf("%s: %w (wanted is what otasim fleet --json wrote)", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
