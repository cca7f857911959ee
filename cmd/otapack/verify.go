package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/bundle"
	"github.com/leapslot/ota/verify/cms"
	"github.com/spf13/cobra"
)

// question is what verify is asked.
type question struct {
	keys, roots          string
	manifest             string
	listThreshold, count int
	hints                hints
}

func (e *env) verifyCommand() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "verify FILE --keys DIR",
		Short: "Check a manifest, a bundle, a package or a key list",
		Long: `Checks the signatures of FILE with the public keys in DIR, a device's [trust] keys,
as a device of the product would do it now. FILE is a manifest, a bundle, a key list,
or a package whose manifest is given with --manifest.

Of a bundle and of a package the digest is computed too, and the image that comes out
of it; for a patch name the old image with --source.`,
		Example: `  otapack verify rootfs-1.1.tar --keys /etc/otad/keys
  otapack verify rootfs-1.1.img --manifest rootfs-1.1.udi --keys keys`,
		Args: exactly("FILE"),
	}
	f := c.Flags()
	f.StringVar(&q.keys, "keys", "", "directory of the public keys, with or without a key list")
	f.StringVar(&q.roots, "roots", "", "PEM file with the root certificates of signers who have certificates; then --keys is not needed")
	f.StringVar(&q.manifest, "manifest", "", "file with the manifest of the package FILE")
	f.IntVar(&q.count, "threshold", 1, "how many keys must have signed, unless a key list wants more")
	f.IntVar(&q.listThreshold, "list-threshold", 1, "how many keys must have signed the key list")
	f.StringVar(&q.hints.source, "source", "", "of a patch: the image it is applied to")
	f.StringVar(&q.hints.image, "image", "", "of a patch: the image it makes")
	f.BoolVar(&q.hints.asIs, "as-is", false, "the package is not unpacked: it is installed as it is")
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		asJSON, err := wantJSON(c, *output)
		if err != nil {
			return err
		}
		if q.roots == "" {
			if err := required(c, "keys", q.keys); err != nil {
				return err
			}
		}
		if q.count < 1 || q.listThreshold < 1 {
			return usagef(c.Name(), "a threshold is at least 1")
		}
		checked, err := e.verify(c.Context(), args[0], q)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(e.out, map[string]any{"ok": true, "checked": checked})
		}
		_, err = fmt.Fprintf(e.out, "ok: %s\n", strings.Join(checked, ", "))
		return err
	}
	return c
}

// verify gives what was checked.
func (e *env) verify(ctx context.Context, path string, q question) ([]string, error) {
	// Nothing is installed here, so keys of the project's tests will do.
	opt := verify.KeyOptions{Threshold: q.count, ListThreshold: q.listThreshold, AllowTestKeys: true}
	trust, err := q.trust(opt)
	if err != nil {
		return nil, err
	}
	f, size, err := open(path, "name a file to check")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch kindOfFile(f, size) {
	case fileKeyList:
		return verifyKeyList(path, q, opt)
	case fileManifest:
		text, err := readText(path, bundle.MaxManifest+1)
		if err != nil {
			return nil, failed(path, err, "name a manifest")
		}
		_, err = checkManifest(path, strings.TrimSuffix(text, "\n"), trust)
		return []string{"the manifest is signed"}, err
	case fileBundle:
		b, err := bundle.Open(f, size)
		if err != nil {
			return nil, failed(path, err, "do not install it")
		}
		return verifyPackage(ctx, path, b.Manifest, b.Package(f), b.Size, trust, q.hints)
	case fileKey:
		return nil, failed(path, errors.New("it is a key, and nothing signs one"), "name a manifest, a bundle, a package or a key list")
	}
	if q.manifest == "" {
		return nil, usagef("verify", "%s is a package, and --manifest is not given (a digestsign is checked with otad verify)", path)
	}
	text, err := readText(q.manifest, bundle.MaxManifest+1)
	if err != nil {
		return nil, failed(q.manifest, err, "name the manifest of the package")
	}
	return verifyPackage(ctx, path, strings.TrimSuffix(text, "\n"), f, size, trust, q.hints)
}

// trust is the policy of a device with these keys and roots.
func (q *question) trust(opt verify.KeyOptions) (*verify.Trust, error) {
	set := verify.KeySet{Threshold: q.count}
	if q.keys != "" {
		var err error
		if set, err = verify.LoadPublicKeys(q.keys, opt); err != nil {
			return nil, failed(q.keys, err, "name the directory of the public keys")
		}
	}
	trust, err := verify.NewTrust(verify.RequireManifest, set)
	if err != nil || q.roots == "" {
		return trust, err
	}
	text, err := readText(q.roots, cms.MaxRootsFile)
	if err != nil {
		return nil, failed(q.roots, err, "name the root certificates")
	}
	roots, err := cms.ParseRoots([]byte(text))
	if err != nil {
		return nil, failed(q.roots, err, "name the root certificates")
	}
	trust.Certificates = roots
	return trust, nil
}

// checkManifest asks as a device that the manifest is meant for would ask.
func checkManifest(path, text string, trust *verify.Trust) (verify.Grant, error) {
	n, err := verify.NoticeOf(text)
	if err != nil {
		return verify.Grant{}, failed(path, err, "do not install it")
	}
	s, err := showManifest(text)
	if err != nil {
		return verify.Grant{}, failed(path, err, "do not install it")
	}
	g, err := trust.Check(n, verify.Device{Product: s.Product, Version: s.From, SecurityVersion: s.SecurityVersion, Now: time.Now()})
	if err != nil {
		return verify.Grant{}, failed(path, err, "do not install it")
	}
	return g, nil
}

// verifyPackage checks the manifest first, and then the bytes.
func verifyPackage(ctx context.Context, path, manifest string, r io.ReaderAt, size int64, trust *verify.Trust, h hints) ([]string, error) {
	g, err := checkManifest(path, manifest, trust)
	if err != nil {
		return nil, err
	}
	if size != g.PackageSize {
		return nil, failed(path, fmt.Errorf("the package has %d bytes, signed are %d", size, g.PackageSize), "do not install it")
	}
	n, err := verify.NoticeOf(manifest)
	if err != nil {
		return nil, failed(path, err, "do not install it")
	}
	known := !n.IsDiff || h.source != "" || h.image != ""
	// Of a patch without its source the bytes are all that can be looked at.
	h.asIs = h.asIs || !known || isAsIs(g)
	c, err := contentsOf(ctx, r, size, h)
	if err != nil {
		return nil, failed(path, err, "do not install it")
	}
	if c.pkg.SHA256 != g.PackageSHA256 {
		return nil, failed(path, errors.New("the package has another SHA-256 than the signed one"), "do not install it")
	}
	checked := []string{"the manifest is signed", "the package is the signed one"}
	if !known {
		return append(checked, "not looked at: the image that the patch makes (--source)"), nil
	}
	if c.image != (verify.Content{Size: g.ImageSize, SHA256: g.ImageSHA256}) {
		return nil, failed(path, errors.New("the image in it is not the signed one"), "do not install it")
	}
	if h.source != "" && g.SourceSHA256 != "" && c.sourceFile.SHA256 != g.SourceSHA256 {
		return nil, failed(h.source, errors.New("it is not the image that the patch is signed for"), "name the right one")
	}
	return append(checked, "so is its image"), nil
}

// isAsIs tells whether the package itself is what is installed: it is the image,
// or a file of a module.
func isAsIs(g verify.Grant) bool {
	return g.PackageSize == g.ImageSize && g.PackageSHA256 == g.ImageSHA256
}

func verifyKeyList(path string, q question, opt verify.KeyOptions) ([]string, error) {
	roots, err := verify.LoadRoots(q.keys, opt)
	if err != nil {
		return nil, failed(q.keys, err, "name the directory of the root keys")
	}
	text, err := readText(path, verify.MaxKeyList+1)
	if err != nil {
		return nil, failed(path, err, "name a key list")
	}
	l, err := verify.OpenKeyList(strings.TrimSuffix(text, "\n"), roots, q.listThreshold)
	if err != nil {
		return nil, failed(path, err, "do not use it")
	}
	return []string{fmt.Sprintf("version %d of the key list is signed", l.Version)}, nil
}
