package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/bundle"
	"github.com/spf13/cobra"
)

func (e *env) bundleCommand() *cobra.Command {
	var out, manifest string
	c := &cobra.Command{
		Use:   "bundle FILE... -o OUT.tar",
		Short: "Put a package and its manifest into one file",
		Long: `Writes a bundle for installations without a cloud: a tar with the signed manifest
and the package. Give the package and what otapack sign has printed for it, in any
order; which is which is seen from the content. With the package alone, the manifest
is looked for beside it, under its name with .udi added.

The digest of the package must be the one in the manifest. The signatures are
checked on the device, or with otapack verify.`,
		Example: `  otapack sign rootfs-1.1.img --key K --product P --module default --version 1.1.0 > rootfs-1.1.img.udi
  otapack bundle rootfs-1.1.img rootfs-1.1.img.udi -o rootfs-1.1.tar`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 && manifest == "" {
				return nil
			}
			return exactly("FILE")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := required(c, "output", out); err != nil {
				return err
			}
			pkg, manifest, err := whichIsWhich(args, manifest)
			if err != nil {
				return err
			}
			return e.bundle(c.Context(), pkg, manifest, out)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "file to write")
	c.Flags().StringVar(&manifest, "manifest", "", "file with the signed manifest")
	return c
}

// whichIsWhich tells the package from the manifest.
func whichIsWhich(args []string, manifest string) (pkg, udi string, err error) {
	if len(args) == 1 {
		if manifest == "" {
			manifest = args[0] + ".udi"
		}
		return args[0], manifest, nil
	}
	for i, path := range args {
		text, err := readText(path, bundle.MaxManifest+1)
		if err == nil && verify.HasManifest(text) {
			return args[1-i], path, nil
		}
	}
	return "", "", usagef("bundle", "neither %s nor %s is a signed manifest (otapack sign prints one)", args[0], args[1])
}

func (e *env) bundle(ctx context.Context, pkgPath, manifestPath, outPath string) error {
	if err := apart("bundle", outPath, pkgPath, manifestPath); err != nil {
		return err
	}
	text, err := readText(manifestPath, bundle.MaxManifest+1)
	if err != nil {
		return failed(manifestPath, err, "name what otapack sign has printed for the package")
	}
	text = strings.TrimSuffix(text, "\n")
	n, err := verify.NoticeOf(text)
	if err != nil {
		return failed(manifestPath, err, "name what otapack sign has printed for the package")
	}
	f, size, err := open(pkgPath, "name the package")
	if err != nil {
		return err
	}
	defer f.Close()
	// The size before a byte is copied; the digest is that of the bytes which
	// were copied, not of another reading of the file.
	if size != n.Files[0].Size {
		return failed(pkgPath, errors.New("it is not the package of "+manifestPath+": it has another size"), "nothing was written")
	}
	out, err := create(outPath)
	if err != nil {
		return err
	}
	defer out.discard()
	h := verify.NewSHA256()
	bar := e.bar("bundle")
	src := &watched{ctx: ctx, r: io.TeeReader(io.NewSectionReader(f, 0, size), h), done: func(done int64) { bar.show(done, size) }}
	err = bundle.Write(out, text, src, size)
	bar.clear()
	if err != nil {
		return failed(outPath, err, "nothing was written; see that there is space")
	}
	if err := verify.Equal(n.Files[0].Sign, h.Sum(nil)); err != nil {
		return failed(pkgPath, errors.New("it is not the package of "+manifestPath+": it has another SHA-256"), "nothing was written")
	}
	return out.commit()
}

// watched is a reader that ends with its context and tells how far it is.
type watched struct {
	ctx   context.Context
	r     io.Reader
	total int64
	done  func(int64)
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	w.total += int64(n)
	w.done(w.total)
	return n, err
}
