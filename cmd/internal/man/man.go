// Package man writes the manual pages of a program from its own commands, so
// that they cannot say something else than --help does.
package man

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NewCommand gives the hidden command "man DIR", which writes a page for the
// program and for each of its commands into DIR.
func NewCommand(program string) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Hidden: true, Args: cobra.ExactArgs(1),
		Short:   "Write the manual pages",
		Long:    "Writes a manual page for the program and for each of its commands into DIR.",
		Example: "  " + program + " man dist/man",
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return write(args[0], c.Root())
		},
	}
}

func write(dir string, c *cobra.Command) error {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, name(c)+".1"))
	if err != nil {
		return err
	}
	page(f, c)
	if err := f.Close(); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if err := write(dir, sub); err != nil {
			return err
		}
	}
	return nil
}

// name is the page's name: the words of the command joined by hyphens.
func name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page writes one page in the man macros of roff.
func page(w io.Writer, c *cobra.Command) {
	fmt.Fprintf(w, ".TH %s 1 \"\" \"Leapslot OTA\" \"User Commands\"\n", strings.ToUpper(name(c)))
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", escape(name(c)), escape(c.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", escape(c.UseLine()))
	if c.Long != "" {
		section(w, "DESCRIPTION", c.Long)
	}
	flags(w, "OPTIONS", c.NonInheritedFlags())
	flags(w, "OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	if c.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", lines(c.Example))
	}
	var also []string
	if c.HasParent() {
		also = append(also, name(c.Parent())+"(1)")
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" && sub.Name() != "completion" {
			also = append(also, name(sub)+"(1)")
		}
	}
	if len(also) > 0 {
		section(w, "SEE ALSO", strings.Join(also, ", "))
	}
}

func section(w io.Writer, title, text string) {
	fmt.Fprintf(w, ".SH %s\n%s\n", title, strings.ReplaceAll(lines(text), "\n\n", "\n.PP\n"))
}

func flags(w io.Writer, title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		value, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", escape(strings.TrimRight(short+"--"+f.Name+" "+value, " ")), lines(usage))
	})
}

// lines escapes a text of several lines: a line that begins with a dot or an
// apostrophe would be taken for a macro.
func lines(s string) string {
	out := strings.Split(escape(strings.TrimSpace(s)), "\n")
	for i, l := range out {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			out[i] = `\&` + l
		}
	}
	return strings.Join(out, "\n")
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
}
