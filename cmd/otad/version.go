package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// build says what this program is.
type build struct {
	Version  string    `json:"version"`
	Time     time.Time `json:"time"` // of the build, or of its sources; zero when nobody said
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
}

// thisBuild asks the linker's flags first, then what the go command noted.
func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	b.Time, _ = time.Parse(time.RFC3339, buildTime)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.named()
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" && b.Time.IsZero() {
			b.Time, _ = time.Parse(time.RFC3339, s.Value)
		}
	}
	return b.named()
}

func (b build) named() build {
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

// clock gives the time for checking certificates: never before the build, since
// a device without a clock begins in 1970, where no certificate is valid yet
// (K1). It does not make an expired certificate valid.
func (b build) clock(now func() time.Time) func() time.Time {
	return func() time.Time {
		if t := now(); t.After(b.Time) {
			return t
		}
		return b.Time
	}
}

func (a *app) versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of otad",
		Example: `  otad version -o json`,
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if a.json() {
				return printJSON(a.out, b)
			}
			_, err := fmt.Fprintf(a.out, "otad %s %s %s\n", b.Version, b.Go, b.Platform)
			return err
		},
	}
	a.outputFlag(c)
	return c
}
