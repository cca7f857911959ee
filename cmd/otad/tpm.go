//go:build !otad_small

package main

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/tpm"
	"github.com/spf13/cobra"
)

// tpmChip is a TPM that is there.
type tpmChip struct {
	*tpm.TPM
	path string
}

func (t tpmChip) at() string { return "the TPM at " + t.path }

func (t tpmChip) howTo(what string) string {
	return "otad tpm " + map[string]string{"secret": "secret FILE puts it there", "key": "key makes it"}[what]
}

func openChip(path string) (chip, error) {
	t, err := tpm.Open(path)
	if err != nil {
		return nil, exitf(exitConfig, "device.tpm", "%w (name its device, /dev/tpmrm0 for instance)", err)
	}
	return tpmChip{t, path}, nil
}

func (t tpmChip) signer() (ota.Signer, error) {
	s, err := t.Secret()
	if err != nil {
		return nil, notSetUp(err)
	}
	return s, nil
}

func (t tpmChip) clientKey() (crypto.Signer, error) {
	k, err := t.Key()
	if err != nil {
		return nil, notSetUp(err)
	}
	return k, nil
}

func (t tpmChip) counter() (verify.Counter, error) {
	c, err := t.Counter()
	if err != nil {
		return nil, notSetUp(err)
	}
	return c, nil
}

func notSetUp(err error) error {
	if errors.Is(err, tpm.ErrNotProvisioned) {
		return errNotSetUp
	}
	return err
}

func (a *app) tpmCommands() []*cobra.Command { return []*cobra.Command{a.tpmCommand()} }

// tpmCommand puts into the TPM what a device keeps there, in the factory or later.
func (a *app) tpmCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "tpm",
		Short: "Look at the TPM, and put the device's secret, key and counter into it",
		Long: `Works with the TPM of the configuration ([device] tpm), or that of --device. Each
of the commands may be run again and comes to the same end. Once they are done,
set [device] tpm, and leave the secret out of the configuration.`,
		Example: `  otad tpm status
  otad tpm secret /etc/otad/device_secret && shred -u /etc/otad/device_secret
  otad tpm key --request lamp-1 > lamp-1.csr
  otad tpm counter --start 4`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var device, owner string
	c.PersistentFlags().StringVar(&device, "device", "", "device node or unix socket of the TPM (default: [device] tpm)")
	c.PersistentFlags().StringVar(&owner, "owner-password-file", "", "file with the owner's password, where the TPM has one")
	open := func(do func(*tpm.TPM, []byte) error) error {
		t, password, err := a.openTPM(device, owner)
		if err != nil {
			return err
		}
		defer t.Close()
		return chipError(do(t, password))
	}
	c.AddCommand(a.tpmStatusCommand(open), a.tpmSecretCommand(open), a.tpmKeyCommand(open), a.tpmCounterCommand(open))
	return c
}

// withChip does something with an open TPM and its owner's password.
type withChip func(do func(*tpm.TPM, []byte) error) error

func (a *app) openTPM(device, owner string) (*tpm.TPM, []byte, error) {
	if device == "" {
		s, err := a.load()
		if err != nil {
			return nil, nil, err
		}
		if device = s.Device.TPM; device == "" {
			return nil, nil, exitf(exitConfig, "tpm", "[device] tpm is not set (set it, or give --device /dev/tpmrm0)")
		}
	}
	password, err := optional("owner-password-file", owner)
	if err != nil {
		return nil, nil, err
	}
	t, err := tpm.Open(device)
	if err != nil {
		return nil, nil, chipError(err)
	}
	return t, []byte(strings.TrimRight(string(password), "\n")), nil
}

// chipError gives the errors of a TPM their exit codes.
func chipError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission):
		return exitf(exitPermission, "tpm", "%w (run as root)", err)
	case errors.Is(err, tpm.ErrNoTPM):
		return exitf(exitConfig, "tpm", "%w (name its device, /dev/tpmrm0 for instance)", err)
	}
	return exitf(exitFailure, "tpm", "%w", err)
}

func (a *app) tpmStatusCommand(open withChip) *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Say what the TPM holds of this device", Example: "  otad tpm status -o json", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return open(func(t *tpm.TPM, _ []byte) error { return a.chipStatus(t) })
		},
	}
	a.outputFlag(c)
	return c
}

func (a *app) chipStatus(t *tpm.TPM) error {
	v := struct {
		Maker   string  `json:"maker"`
		Secret  bool    `json:"secret"`
		Key     bool    `json:"key"`
		Counter *uint64 `json:"counter"` // null without one
	}{Maker: t.Maker()}
	_, secretErr := t.Secret()
	_, keyErr := t.Key()
	n, counterErr := t.Counter()
	for _, err := range []error{secretErr, keyErr, counterErr} {
		if err != nil && !errors.Is(err, tpm.ErrNotProvisioned) {
			return err
		}
	}
	v.Secret, v.Key = secretErr == nil, keyErr == nil
	counter := "not set up (otad tpm counter)"
	if counterErr == nil {
		value, err := n.Value()
		if err != nil {
			return err
		}
		v.Counter, counter = &value, fmt.Sprint(value)
	}
	if a.json() {
		return printJSON(a.out, v)
	}
	there := map[bool]string{true: "there", false: "not there"}
	_, err := fmt.Fprintf(a.out, "maker    %s\nsecret   %s\nkey      %s\ncounter  %s\n", v.Maker, there[v.Secret], there[v.Key], counter)
	return err
}

func (a *app) tpmSecretCommand(open withChip) *cobra.Command {
	var replace bool
	c := &cobra.Command{
		Use:   "secret FILE",
		Short: "Put the device secret into the TPM",
		Long: `Puts the device secret of FILE (- is stdin) into the TPM, where it signs and cannot
be read out. Remove the file afterwards.`,
		Example: "  otad tpm secret /etc/otad/device_secret", Args: exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			secret, err := a.readSecret(args[0])
			if err != nil {
				return err
			}
			return open(func(t *tpm.TPM, owner []byte) error {
				if replace {
					if err := t.RemoveSecret(owner); err != nil {
						return err
					}
				}
				_, err := t.ProvisionSecret(owner, secret)
				if errors.Is(err, tpm.ErrOther) {
					return fmt.Errorf("%w (--replace removes what is there, for good)", err)
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.out, "the secret is in the TPM; set [device] tpm, and remove the file")
				return err
			})
		},
	}
	c.Flags().BoolVar(&replace, "replace", false, "remove another secret that is there")
	return c
}

func (a *app) readSecret(path string) ([]byte, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(a.in, maxSecretFile))
	} else {
		b, err = optional("secret", path)
	}
	if err != nil {
		return nil, err
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return nil, exitf(exitUsage, "tpm", "%s: there is no secret in it", path)
	}
	return []byte(secret), nil
}

func (a *app) tpmKeyCommand(open withChip) *cobra.Command {
	var request string
	var replace bool
	c := &cobra.Command{
		Use:   "key",
		Short: "Make the key of the device's TLS certificate in the TPM",
		Long: `Makes the key of the device's TLS certificate, if there is none yet, and prints its
public half or, with --request, a certificate request for the name. Then set
[cloud] client_cert to the certificate and client_key to "tpm:".`,
		Example: "  otad tpm key --request lamp-1 > lamp-1.csr", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return open(func(t *tpm.TPM, owner []byte) error {
				if replace {
					if err := t.RemoveKey(owner); err != nil {
						return err
					}
				}
				k, err := t.ProvisionKey(owner)
				if err != nil {
					return err
				}
				text, err := k.PublicPEM()
				if request != "" {
					text, err = k.Request(request)
				}
				if err != nil {
					return err
				}
				_, err = a.out.Write(text)
				return err
			})
		},
	}
	c.Flags().StringVar(&request, "request", "", "common name of a certificate request")
	c.Flags().BoolVar(&replace, "replace", false, "remove the key that is there: its certificates are of no use then")
	return c
}

func (a *app) tpmCounterCommand(open withChip) *cobra.Command {
	var start uint64
	c := &cobra.Command{
		Use:   "counter",
		Short: "Set up the security version in the TPM",
		Long: `Sets up the security version in the TPM, below which no signed image is installed. One
that is there keeps its value. It goes up when a new system is kept, and never back.`,
		Example: "  otad tpm counter --start 4", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return open(func(t *tpm.TPM, owner []byte) error {
				n, err := t.ProvisionCounter(owner, start)
				if err != nil {
					return err
				}
				v, err := n.Value()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "the security version is %d\n", v)
				return err
			})
		},
	}
	c.Flags().Uint64Var(&start, "start", 0, "security version of the image that runs now")
	return c
}
