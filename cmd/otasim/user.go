package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/console"
	"github.com/leapslot/ota/simulator/server/store"
)

// newUserCommand makes `otasim user`: who may sign in to the console.
func newUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Users of the console",
		Long: `Adds users of the console, while the cloud runs or not. A viewer looks at everything
but secrets, the audit log and the settings; an operator registers, uploads, verifies,
upgrades and cancels, too; an admin may do everything. While there is no user, /console/
asks for the first admin, and for an administrator's access key.`,
		Example: `  otasim user add alice --role operator --data /var/lib/otasim`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserAddCommand())
	return cmd
}

func newUserAddCommand() *cobra.Command {
	var data, role, account string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "add NAME --role viewer|operator|admin --data DIR [--password-stdin]",
		Short: "Add a user of the console",
		Long: `Adds a user of the console. The password is asked for on the terminal, or read from
standard input with --password-stdin. The user reaches the objects of --account, and
without it those of the account of serve's own access key.`,
		Example: `  otasim user add alice --role operator --data /var/lib/otasim
  otasim user add bob --role viewer --data /var/lib/otasim --password-stdin < password`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes one name (see %s --help)", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			u := store.User{Name: args[0], Account: account, Role: role, Created: simulator.At(time.Now())}
			if err := checkUser(u); err != nil {
				return err
			}
			password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr(), stdin)
			if err != nil {
				return err
			}
			if u.Hash, err = console.HashPassword(password); err != nil {
				return usagef("user add: %v", err)
			}
			return withStore(cmd.Context(), data, true, func(s *store.SQLite) error {
				if err := s.AddUser(cmd.Context(), u); err != nil {
					return fmt.Errorf("user add: %w (choose another name)", err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), u.Name)
				return nil
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&data, "data", "", "directory of the cloud, made when it is not there")
	fl.StringVar(&role, "role", "", "viewer, operator or admin")
	fl.StringVar(&account, "account", "", "whose objects the user reaches (default: the account of serve's own access key)")
	fl.BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func checkUser(u store.User) error {
	if err := console.CheckUserName(u.Name); err != nil {
		return usagef("user add: %v, not %q (see otasim user add --help)", err, u.Name)
	}
	if _, err := console.ParseRole(u.Role); err != nil {
		return usagef("user add: --role: %v", err)
	}
	if u.Account != "" && !keyName.MatchString(u.Account) {
		return usagef("user add: --account is 1 to 64 of A-Z a-z 0-9 . _ -, not %q", u.Account)
	}
	return nil
}

// readPassword reads a line, or asks a person twice.
func readPassword(in io.Reader, say io.Writer, stdin bool) (string, error) {
	if stdin {
		line, err := bufio.NewReader(io.LimitReader(in, 2*console.MaxPassword)).ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return string(trimLine(line)), nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", usagef("user add: there is no terminal to ask for the password on (use --password-stdin)")
	}
	var said [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(say, prompt)
		b, err := term.ReadPassword(fd)
		fmt.Fprintln(say)
		if err != nil {
			return "", fmt.Errorf("user add: reading the password: %w", err)
		}
		said[i] = string(b)
	}
	if said[0] != said[1] {
		return "", usagef("user add: the two passwords are not the same")
	}
	return said[0], nil
}
