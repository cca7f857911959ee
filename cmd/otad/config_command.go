package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check, show or print a configuration",
		Example: `  otad config default > /etc/otad/config.toml
  otad config check`,
		Args: func(c *cobra.Command, args []string) error {
			return usagef("config", "name one of check, show and default (see otad config --help)")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.configCheckCommand(), a.configShowCommand(), a.configDefaultCommand())
	return c
}

func (a *app) configCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with the configuration",
		Long: `Reads the configuration as "otad run" does and says everything that is wrong with
it: unknown keys and wrong types with their place, and what cannot work. Exits
with 0 or 78. It does not look at the files that the configuration names: that
is what otad doctor does.`,
		Example: `  otad config check -c config.toml
  otad config default | otad config check -c - -o json`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return a.configCheck() },
	}
	a.outputFlag(c)
	return c
}

func (a *app) configCheck() error {
	_, err := a.load()
	if !a.json() {
		if err == nil {
			_, err = fmt.Fprintln(a.out, "ok")
		}
		return err
	}
	var list problems
	if err != nil && !errors.As(err, &list) {
		return err
	}
	type wrong struct {
		Source string `json:"source"`
		Line   int    `json:"line,omitempty"`
		Column int    `json:"column,omitempty"`
		Key    string `json:"key,omitempty"`
		Why    string `json:"why"`
		Todo   string `json:"todo"`
	}
	result := struct {
		OK       bool    `json:"ok"`
		Problems []wrong `json:"problems"`
	}{OK: err == nil, Problems: []wrong{}}
	for _, p := range list {
		result.Problems = append(result.Problems, wrong{p.Where.source, p.Where.line, p.Where.column, p.Key, p.Why, p.Todo})
	}
	if err := printJSON(a.out, result); err != nil {
		return err
	}
	if !result.OK {
		return &exitError{code: exitConfig}
	}
	return nil
}

func (a *app) configShowCommand() *cobra.Command {
	var origin bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Print what counts, from all files, the environment and flags",
		Long: `Prints the configuration that counts, as TOML, with the defaults of what is not
set. Secrets are shown as ***.`,
		Example: `  otad config show --origin
  OTAD_LOG_LEVEL=debug otad config show -c config.toml`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			s, err := a.load()
			if err != nil {
				return err
			}
			return s.show(a.out, origin)
		},
	}
	c.Flags().BoolVar(&origin, "origin", false, "say where each key comes from")
	return c
}

func (a *app) configDefaultCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "default",
		Short:   "Print a complete commented configuration to start from",
		Example: `  otad config default > config.toml`,
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, defaultConfig)
			return err
		},
	}
}
