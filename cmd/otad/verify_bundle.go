package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/bundle"
)

// isBundle tells by its content whether a file is meant to be one.
func isBundle(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, bundle.Head)
	n, _ := io.ReadFull(f, head)
	return bundle.Detect(head[:n])
}

// verifyBundle checks a bundle as otad install would: with the keys of the
// configuration and for its product, or with other keys and for any product.
func (a *app) verifyBundle(ctx context.Context, path, keys string) error {
	f, size, err := openFile("verify", path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := bundle.Open(f, size)
	if err != nil {
		return exitf(exitVerify, "verify", "%s: %w (do not install it)", path, err)
	}
	n, err := verify.NoticeOf(b.Manifest)
	if err != nil {
		return exitf(exitVerify, "verify", "%s: %w (do not install it)", path, err)
	}
	said := claimed(b.Manifest)
	trust, product, err := a.trustOf(keys)
	if err != nil {
		return err
	}
	if product == "" {
		product = said.Product
	}
	// Which system a patch would be applied to is not known here.
	device := verify.Device{Product: product, Version: said.From, Now: thisBuild().clock(time.Now)()}
	grant, err := trust.Check(n, device)
	if err == nil {
		err = sameContent(ctx, b.Package(f), grant)
	}
	if err != nil {
		return exitf(exitVerify, "verify", "%s: %w (do not install it)", path, err)
	}
	if a.json() {
		return printJSON(a.out, map[string]any{"ok": true, "method": "SHA256", "signed": true, "module": n.Module, "version": n.Version})
	}
	_, err = fmt.Fprintf(a.out, "ok: the manifest is signed by keys that are trusted, and the package is the one it names: module %s, version %s\n", n.Module, n.Version)
	return err
}

// claimed is what a manifest says, believed or not; nothing of one that cannot be read.
func claimed(manifest string) (m verify.Manifest) {
	if signed, err := verify.ParseSigned(verify.KindManifest, manifest); err == nil {
		m, _ = verify.DecodeManifest(signed.Body)
	}
	return m
}

// trustOf gives the policy, and the product that the bundle must be for, "" for any.
func (a *app) trustOf(keys string) (*verify.Trust, string, error) {
	if keys == "" {
		s, err := a.load()
		if err != nil {
			return nil, "", err
		}
		if s.Trust.Keys == "" {
			return nil, "", exitf(exitConfig, "verify", "[trust] keys is not set (set it, or give --keys DIR)")
		}
		c := s.Trust
		c.Require = string(verify.RequireManifest)
		t, err := newTrust("", c, verify.KeyOptions{})
		return t, s.Device.ProductKey, err
	}
	// Nothing is installed here, so a key of the project's tests will do.
	t, err := newTrust("", trustConfig{Keys: keys, Require: string(verify.RequireManifest)}, verify.KeyOptions{AllowTestKeys: true})
	return t, "", err
}

func sameContent(ctx context.Context, pkg io.Reader, g verify.Grant) error {
	h := verify.NewSHA256()
	n, err := io.Copy(h, stopping(ctx, pkg))
	switch {
	case err != nil:
		return err
	case n != g.PackageSize:
		return fmt.Errorf("the package has %d bytes, signed are %d", n, g.PackageSize)
	}
	return verify.Equal(g.PackageSHA256, h.Sum(nil))
}
