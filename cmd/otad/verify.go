package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
	"github.com/spf13/cobra"
)

// claim is what is said of a package, to be checked.
type claim struct {
	sign, method, digestsign, keys string
}

func (a *app) verifyCommand() *cobra.Command {
	var cl claim
	c := &cobra.Command{
		Use:   "verify FILE [--sign HEX]",
		Short: "Check a package against its announced digest and signature",
		Long: `Checks a package as the service does: its digest against --sign and, with --keys,
the signature of that digest against --digestsign. A bundle says itself what is in
it: its manifest is checked with --keys, or with the keys and for the product of the
configuration. Exits with 13 when it is not what it is said to be.`,
		Example: `  otad verify update.patch --sign 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  otad verify /media/usb/release-2.1.0.tar
  otad verify rootfs.img --sign HEX --method SHA256 --digestsign BASE64 --keys /etc/otad/keys`,
		Args: exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if cl.sign == "" && isBundle(args[0]) {
				return a.verifyBundle(c.Context(), args[0], cl.keys)
			}
			return a.verify(c.Context(), args[0], cl)
		},
	}
	f := c.Flags()
	f.StringVar(&cl.sign, "sign", "", "announced digest in hexadecimal digits")
	f.StringVar(&cl.method, "method", "", "Md5 or SHA256 (default: by the length of --sign)")
	f.StringVar(&cl.digestsign, "digestsign", "", "signature of the digest in base64")
	f.StringVar(&cl.keys, "keys", "", "directory of the product's public keys; a signature is wanted then")
	a.outputFlag(c)
	return c
}

func (cl *claim) check() error {
	switch {
	case cl.sign == "":
		return usagef("verify", "--sign is not given (otad info prints a file's digests)")
	case cl.digestsign != "" && cl.keys == "":
		return usagef("verify", "--digestsign cannot be checked without --keys (name the directory of the public keys)")
	}
	if cl.method == "" {
		cl.method = string(ota.SHA256)
		if len(cl.sign) == 2*ota.MD5.DigestLen() {
			cl.method = string(ota.MD5)
		}
	}
	m, err := ota.ParseSignMethod(cl.method)
	if err != nil {
		return usagef("verify", "--method: %w (use Md5 or SHA256)", err)
	}
	cl.method = string(m)
	return nil
}

func (a *app) verify(ctx context.Context, path string, cl claim) error {
	if err := cl.check(); err != nil {
		return err
	}
	f, size, err := openFile("verify", path)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := verify.NewDigest(ota.SignMethod(cl.method))
	if err != nil {
		return exitf(exitUsage, "verify", "%w", err)
	}
	if _, err := io.Copy(h, stopping(ctx, f)); err != nil {
		return fileError(exitFailure, "verify", path, err, "is the medium well?")
	}
	if err := verify.Equal(cl.sign, h.Sum(nil)); err != nil {
		return exitf(exitVerify, "verify", "%s: %w (do not install it)", path, err)
	}
	if err := cl.signed(path, size); err != nil {
		return err
	}
	if a.json() {
		return printJSON(a.out, map[string]any{"ok": true, "method": cl.method, "signed": cl.keys != ""})
	}
	text := "ok: the digest is right"
	if cl.keys != "" {
		text += ", and signed by a key that is trusted"
	}
	_, err = fmt.Fprintln(a.out, text)
	return err
}

// signed checks the signature when keys are given; then it must be there.
func (cl *claim) signed(path string, size int64) error {
	if cl.keys == "" {
		return nil
	}
	// Nothing is installed here, so a key of the project's tests will do.
	trust, err := newTrust("", trustConfig{Keys: cl.keys, Require: string(verify.RequireDigestSign)}, verify.KeyOptions{AllowTestKeys: true})
	if err != nil {
		return err
	}
	_, err = trust.Check(&ota.Notice{
		Version: "0", Module: ota.DefaultModule, SignMethod: ota.SignMethod(cl.method), DigestSign: cl.digestsign,
		Files: []ota.File{{Size: size, Sign: cl.sign}},
	}, verify.Device{Now: time.Now()})
	if err != nil {
		return exitf(exitVerify, "verify", "%s: %w (do not install it)", path, err)
	}
	return nil
}
