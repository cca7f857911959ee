package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/leapslot/ota/verify"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

func (e *env) keylistCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keylist",
		Short: "Say which keys are good for packages, and which no more",
		Long: `A key list, the file keys.list in a device's directory of keys, says which keys may
sign packages, for which products and how long, and which are revoked. It is signed
by the keys whose .pem files stand in that directory, and its version only grows.`,
		Example: `  otapack keylist make keys.toml --key root.key.pem > keys.list
  otapack keylist sign keys.list --key root2.key.pem > keys2.list
  otapack keylist show keys.list`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("keylist", "say what: make, sign or show (see otapack keylist --help)")
			}
			return usagef("keylist", "%q is not known (use make, sign or show)", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(e.keylistMakeCommand(), e.keylistSignCommand(), e.keylistShowCommand())
	return c
}

func (e *env) keylistMakeCommand() *cobra.Command {
	var by signing
	c := &cobra.Command{
		Use:   "make FILE --key ROOT",
		Short: "Make and sign a key list",
		Long: `Makes a key list of what stands in FILE, in TOML, and prints it. Public keys are
named by their files, relative to FILE:

  version = 3             # higher than that of every list before
  threshold = 1           # how many of the keys must have signed a manifest
  revoked = ["68b9..."]   # ids, as otapack info prints them for a key

  [[key]]
  file = "ed25519.pub.pem"
  roles = ["manifest"]    # or "digestsign"; left out: both
  products = ["a1b2c3"]   # left out: all
  not_before = "2026-01-01"
  not_after = "2027-12-31"`,
		Example: `  otapack keylist make keys.toml --key root.key.pem > keys.list`,
		Args:    exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := by.check(c); err != nil {
				return err
			}
			list, err := readListFile(args[0])
			if err != nil {
				return failed(args[0], err, "see otapack keylist make --help")
			}
			doc, err := verify.SignKeyList(list)
			if err != nil {
				return failed(args[0], err, "correct it")
			}
			if err := by.sign(&doc); err != nil {
				return err
			}
			return e.printSigned(doc)
		},
	}
	by.flags(c)
	return c
}

func (e *env) keylistSignCommand() *cobra.Command {
	var by signing
	c := &cobra.Command{
		Use:     "sign FILE --key ROOT",
		Short:   "Add a signature to a key list",
		Long:    `Adds the signature of one more root key to the key list FILE, and prints it.`,
		Example: `  otapack keylist sign keys.list --key root2.key.pem > keys2.list`,
		Args:    exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := by.check(c); err != nil {
				return err
			}
			doc, err := readSigned(args[0], verify.KindKeyList)
			if err == nil {
				_, err = verify.DecodeKeyList(doc.Body)
			}
			if err != nil {
				return failed(args[0], err, "name a key list")
			}
			if err := by.sign(&doc); err != nil {
				return err
			}
			return e.printSigned(doc)
		},
	}
	by.flags(c)
	return c
}

func (e *env) keylistShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "show FILE",
		Short:   "Say what is in a key list",
		Long:    `Says what is in the key list FILE. Whether it is signed, otapack verify tells.`,
		Example: `  otapack keylist show keys.list -o json`,
		Args:    exactly("FILE"),
	}
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		asJSON, err := wantJSON(c, *output)
		if err != nil {
			return err
		}
		doc, err := readSigned(args[0], verify.KindKeyList)
		if err != nil {
			return failed(args[0], err, "name a key list")
		}
		return e.showKeyList(args[0], doc, asJSON)
	}
	return c
}

// listFile is what keylist make reads.
type listFile struct {
	Version   uint64   `toml:"version"`
	Threshold int      `toml:"threshold"`
	Revoked   []string `toml:"revoked"`
	Keys      []struct {
		File      string        `toml:"file"`
		Roles     []verify.Role `toml:"roles"`
		Products  []string      `toml:"products"`
		NotBefore string        `toml:"not_before"`
		NotAfter  string        `toml:"not_after"`
	} `toml:"key"`
}

func readListFile(path string) (verify.KeyList, error) {
	text, err := readText(path, verify.MaxKeyList)
	if err != nil {
		return verify.KeyList{}, err
	}
	var file listFile
	d := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) && len(strict.Errors) > 0 {
			row, _ := strict.Errors[0].Position()
			return verify.KeyList{}, fmt.Errorf("line %d: the key %s is not known", row, strings.Join(strict.Errors[0].Key(), "."))
		}
		return verify.KeyList{}, err
	}
	list := verify.KeyList{Version: file.Version, Threshold: file.Threshold, Revoked: file.Revoked}
	for i, k := range file.Keys {
		key := verify.Key{Name: k.File, Roles: k.Roles, Products: k.Products}
		if key.Public, err = readPublic(filepath.Join(filepath.Dir(path), k.File)); err != nil {
			return list, fmt.Errorf("key %d: %s: %w", i+1, k.File, err)
		}
		if key.NotBefore, err = parseDay(k.NotBefore, false); err != nil {
			return list, fmt.Errorf("key %d: not_before: %w", i+1, err)
		}
		if key.NotAfter, err = parseDay(k.NotAfter, true); err != nil {
			return list, fmt.Errorf("key %d: not_after: %w", i+1, err)
		}
		list.Keys = append(list.Keys, key)
	}
	return list, nil
}

func readPublic(path string) (any, error) {
	text, err := readText(path, verify.MaxKeyFile)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	return verify.ParseKey([]byte(text))
}
