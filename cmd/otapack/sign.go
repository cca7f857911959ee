package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
	"github.com/spf13/cobra"
)

// statement is what is signed of a package, as the flags say it.
type statement struct {
	manifest            verify.Manifest
	notBefore, notAfter string
	hints               hints
	add                 string // a manifest that gets one more signature
}

// factFlags are those that say something of a package, which a manifest that is
// there already has said.
var factFlags = [...]string{"product", "module", "version", "from", "security-version", "not-before", "not-after", "source", "image", "as-is"}

func (e *env) signCommand() *cobra.Command {
	var st statement
	var by signing
	c := &cobra.Command{
		Use:   "sign FILE --key K --product P --module M --version V",
		Short: "Sign a manifest of a package",
		Long: `Signs a manifest of the package FILE and prints it: the text for the package's
custom info in the cloud, or for otapack bundle. It binds product, module, version,
sizes and digests of the package and of the image that comes out of it to the key.

A package is unpacked to know its image; with --as-is the package itself is what is
installed, as in a module of files. A patch is applied to the old image (--source),
whose digest is signed too, or the new image is named (--image). --from is the
version that the patch is for.

--security-version counts the releases that close a hole: a device that has kept one
refuses all that are lower. --manifest adds a signature by another key to a
manifest that is there.

Keys are Ed25519, ECDSA P-256 or RSA of 2048 to 4096 bits.`,
		Example: `  otapack sign rootfs-1.1.img --key ed25519.key.pem --product a1b2c3 --module default --version 1.1.0 > rootfs-1.1.udi
  otapack sign update.patch --source rootfs-1.0.img --from 1.0.0 --key K --product a1b2c3 --module default --version 1.1.0
  otapack sign rootfs-1.1.img --manifest rootfs-1.1.udi --key second.key.pem`,
		Args: exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := by.check(c); err != nil {
				return err
			}
			if err := st.check(c); err != nil {
				return err
			}
			return e.sign(c.Context(), args[0], st, by)
		},
	}
	f, m := c.Flags(), &st.manifest
	by.flags(c)
	f.StringVar(&by.certificate, "certificate", "", "PEM file with the key's certificate and its issuers: sign as CMS, for devices that know the root")
	f.StringVar(&m.Product, "product", "", "product key that the package is for")
	f.StringVar(&m.Module, "module", "", "module that the package is for; default is the whole device")
	f.StringVar(&m.Version, "version", "", "version that the package makes of it")
	f.StringVar(&m.From, "from", "", "of a patch: the version it is for (default: any, the source's digest decides)")
	f.Uint64Var(&m.SecurityVersion, "security-version", 0, "devices refuse everything lower once they have kept this")
	f.StringVar(&st.notBefore, "not-before", "", "not to be installed before, 2026-01-31 or 2026-01-31T12:00:00Z")
	f.StringVar(&st.notAfter, "not-after", "", "not to be installed after")
	f.StringVar(&st.hints.source, "source", "", "of a patch: the image it is applied to")
	f.StringVar(&st.hints.image, "image", "", "of a patch: the image it makes")
	f.BoolVar(&st.hints.asIs, "as-is", false, "the package is not unpacked: it is installed as it is")
	f.StringVar(&st.add, "manifest", "", "file with a signed manifest of FILE, to add a signature to")
	return c
}

func (st *statement) check(c *cobra.Command) error {
	if st.add != "" {
		for _, name := range factFlags {
			if c.Flags().Changed(name) {
				return usagef(c.Name(), "--%s says what the manifest has said already (leave it out, or leave --manifest out)", name)
			}
		}
		return nil
	}
	m := &st.manifest
	for _, r := range []struct{ flag, value string }{{"product", m.Product}, {"module", m.Module}, {"version", m.Version}} {
		if err := required(c, r.flag, r.value); err != nil {
			return err
		}
	}
	var err error
	if m.NotBefore, err = parseDay(st.notBefore, false); err != nil {
		return usagef(c.Name(), "--not-before: %v", err)
	}
	if m.NotAfter, err = parseDay(st.notAfter, true); err != nil {
		return usagef(c.Name(), "--not-after: %v", err)
	}
	if err := ota.CheckModule(m.Module); err != nil {
		return usagef(c.Name(), "--module: %v", err)
	}
	return nil
}

// parseDay reads a time, or a day in UTC: its first second, or its last when it
// is the end of something.
func parseDay(s string, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			t = t.Add(24*time.Hour - time.Second)
		}
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC().Truncate(time.Second), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time (use 2026-01-31 or 2026-01-31T12:00:00Z)", s)
}

func (e *env) sign(ctx context.Context, path string, st statement, by signing) error {
	f, size, err := open(path, "name the package")
	if err != nil {
		return err
	}
	defer f.Close()
	if size == 0 {
		return failed(path, errors.New("it is empty"), "name the package")
	}
	if st.add != "" {
		return e.addSignature(ctx, path, st.add, by)
	}
	c, err := contentsOf(ctx, f, size, st.hints)
	if err != nil {
		return failed(path, err, "nothing was signed")
	}
	m := st.manifest
	m.Patch, m.Package, m.Image, m.Source = c.patch, c.pkg, c.image, c.sourceFile
	doc, err := verify.SignManifest(m)
	if err != nil {
		return failed(path, err, "nothing was signed")
	}
	if err := by.sign(&doc); err != nil {
		return err
	}
	return e.printSigned(doc)
}

// addSignature signs a manifest that is there once more, after a look at the
// package that it is of: who signs should have seen what.
func (e *env) addSignature(ctx context.Context, path, manifest string, by signing) error {
	doc, err := readSigned(manifest, verify.KindManifest)
	if err != nil {
		return failed(manifest, err, "name what otapack sign has printed")
	}
	m, err := verify.DecodeManifest(doc.Body)
	if err != nil {
		return failed(manifest, err, "name what otapack sign has printed")
	}
	got, err := contentOfFile(ctx, path)
	if err != nil {
		return failed(path, err, "name the package")
	}
	if got != m.Package {
		return failed(path, fmt.Errorf("it is not the package of %s: %d bytes with the SHA-256 %s", manifest, got.Size, got.SHA256), "nothing was signed")
	}
	if err := by.sign(&doc); err != nil {
		return err
	}
	return e.printSigned(doc)
}
