package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (e *env) versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  otapack version`,
		Args:    exactly(),
	}
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		asJSON, err := wantJSON(c, *output)
		if err != nil {
			return err
		}
		v := map[string]string{"version": "(devel)", "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
		if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
			v["version"] = b.Main.Version
		}
		if asJSON {
			return printJSON(e.out, v)
		}
		_, err = fmt.Fprintf(e.out, "otapack %s %s %s\n", v["version"], v["go"], v["platform"])
		return err
	}
	return c
}
