package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// Names of keys and accounts are printed, logged and sent as parameters.
var keyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// newKeyCommand makes `otasim key`: the access keys of the cloud API.
func newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Access keys of the cloud API",
		Long: `Adds, lists and removes access keys, while the cloud runs or not; a change counts
from the next request on. An admin may do everything, an operator everything but switch
secure upgrade, delete products and read the audit log, and a read-only key changes
nothing and sees no secret of devices and products. A key reaches the objects of its
account alone. The key of serve --access-key ID:SECRET is an admin of the account ID.`,
		Example: `  otasim key add --data /var/lib/otasim --account acme --role operator ci
  otasim key list --data /var/lib/otasim
  otasim key remove --data /var/lib/otasim ci`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyAddCommand(), newKeyListCommand(), newKeyRemoveCommand())
	return cmd
}

func newKeyAddCommand() *cobra.Command {
	var data, account, role, note string
	var secretStdin bool
	cmd := &cobra.Command{
		Use:   "add --data DIR --account NAME --role admin|operator|read-only ID",
		Short: "Add an access key and print ID:SECRET",
		Long: `Adds an access key and prints it as ID:SECRET, once: the secret is stored sealed and
not shown again. It is made up, or read from standard input with --secret-stdin.`,
		Example: `  otasim key add --data /var/lib/otasim --account acme --role operator --note "the build server" ci`,
		Args:    oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			k := store.AccessKey{ID: args[0], Account: account, Role: role, Note: note, Created: simulator.At(time.Now()), Secret: rand.Text()}
			if secretStdin {
				b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 257))
				if k.Secret = string(trimLine(b)); err != nil || k.Secret == "" || len(b) > 256 {
					return usagef("key add: the secret on standard input is 1 to 255 bytes")
				}
			}
			if err := checkKey(k); err != nil {
				return err
			}
			return withStore(cmd.Context(), data, true, func(s *store.SQLite) error {
				if err := s.AddKey(cmd.Context(), k); err != nil {
					return fmt.Errorf("%w (choose another id, or remove it first)", err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s:%s\n", k.ID, k.Secret)
				return nil
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&data, "data", "", "directory of the cloud, made when it is not there")
	fl.StringVar(&account, "account", "", "whose objects the key reaches")
	fl.StringVar(&role, "role", "", "admin, operator or read-only")
	fl.StringVar(&note, "note", "", "what it is for")
	fl.BoolVar(&secretStdin, "secret-stdin", false, "read the secret from standard input")
	return cmd
}

func checkKey(k store.AccessKey) error {
	if !keyName.MatchString(k.ID) || !keyName.MatchString(k.Account) {
		return usagef("key add: an id and an account are 1 to 64 of A-Z a-z 0-9 . _ -, not %q and %q (see otasim key add --help)", k.ID, k.Account)
	}
	if _, err := openapi.ParseRole(k.Role); err != nil {
		return usagef("key add: --role: %v", err)
	}
	if len(k.Note) > 200 {
		return usagef("key add: --note has %d bytes, allowed are 200", len(k.Note))
	}
	return nil
}

func trimLine(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

func newKeyListCommand() *cobra.Command {
	var data, output string
	cmd := &cobra.Command{
		Use:     "list --data DIR [-o json]",
		Short:   "List the access keys, without their secrets",
		Example: `  otasim key list --data /var/lib/otasim -o json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return usagef("-o is json, not %q", output)
			}
			return withStore(cmd.Context(), data, false, func(s *store.SQLite) error {
				keys, err := s.ListKeys(cmd.Context())
				if err != nil {
					return err
				}
				return printKeys(cmd.OutOrStdout(), keys, output == "json")
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "directory of the cloud")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json")
	return cmd
}

func printKeys(out io.Writer, keys []store.AccessKey, asJSON bool) error {
	type line struct {
		ID      string `json:"id"`
		Account string `json:"account"`
		Role    string `json:"role"`
		Created string `json:"created"`
		Note    string `json:"note"`
	}
	lines := []line{}
	for _, k := range keys {
		lines = append(lines, line{k.ID, k.Account, k.Role, k.Created.Time().Format(time.RFC3339), k.Note})
	}
	if asJSON {
		return json.NewEncoder(out).Encode(lines)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tACCOUNT\tROLE\tCREATED\tNOTE")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.ID, l.Account, l.Role, l.Created, l.Note)
	}
	return w.Flush()
}

func newKeyRemoveCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "remove --data DIR ID",
		Short:   "Remove an access key",
		Example: `  otasim key remove --data /var/lib/otasim ci`,
		Args:    oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), data, false, func(s *store.SQLite) error {
				return s.RemoveKey(cmd.Context(), args[0], simulator.At(time.Now()))
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "directory of the cloud")
	return cmd
}

func oneID(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("%s takes one id of a key (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

// withStore opens the database of a data directory, beside a server that may run on it.
func withStore(ctx context.Context, data string, create bool, do func(*store.SQLite) error) error {
	if data == "" {
		return usagef("--data is missing (see otasim key --help)")
	}
	path := filepath.Join(data, server.DatabaseFile)
	if create {
		if err := os.MkdirAll(data, 0o700); err != nil {
			return err
		}
	} else if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: there is no cloud in %s: %w", server.ErrConfig, data, err)
	}
	s, err := store.OpenSQLite(ctx, path)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(s)
}
