package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/unpack"
	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/verify"
)

// hints say how to come from a package to its image.
type hints struct {
	source string // the image that a patch is applied to
	image  string // the image that comes out, when there is no source
	asIs   bool   // the package itself is what is installed
}

// contents are what a manifest says of a package.
type contents struct {
	patch                  bool
	pkg, image, sourceFile verify.Content
}

// contentsOf reads a package, and finds out what comes out of it: a patch is
// applied, all else is unpacked as a device does it.
func contentsOf(ctx context.Context, r io.ReaderAt, size int64, h hints) (contents, error) {
	head := make([]byte, diff.MagicSize)
	n, _ := r.ReadAt(head, 0)
	_, patch := diff.Detect(head[:n])
	c := contents{patch: patch && !h.asIs}
	digest := sha256.New()
	switch {
	case c.patch:
		return c.ofPatch(ctx, r, size, h)
	case h.source != "" || h.image != "":
		return c, errors.New("this is no patch, so --source and --image say nothing about it")
	case h.asIs:
		content, err := digestAll(ctx, io.NewSectionReader(r, 0, size))
		c.pkg, c.image = content, content
		return c, err
	}
	u, err := unpack.Open(io.NewSectionReader(r, 0, size), digest, ota.MaxPackageSize)
	if err != nil {
		return c, err
	}
	if c.image, err = digestAll(ctx, u); err != nil {
		return c, err
	}
	c.pkg = verify.Content{Size: size, SHA256: hex.EncodeToString(digest.Sum(nil))}
	return c, nil
}

func (c contents) ofPatch(ctx context.Context, r io.ReaderAt, size int64, h hints) (contents, error) {
	var err error
	if c.pkg, err = digestAll(ctx, io.NewSectionReader(r, 0, size)); err != nil {
		return c, err
	}
	if h.source == "" && h.image == "" {
		return c, errors.New("this is a patch, and the image that comes out of it is signed too: name the old image with --source, or the new one with --image")
	}
	if h.source != "" {
		if err := c.apply(ctx, r, size, h.source); err != nil {
			return c, err
		}
	}
	if h.image == "" {
		return c, nil
	}
	image, err := contentOfFile(ctx, h.image)
	if err != nil {
		return c, failed(h.image, err, "name the new image")
	}
	if h.source != "" && image != c.image {
		return c, fmt.Errorf("the patch makes another image of %s than %s", h.source, h.image)
	}
	c.image = image
	return c, nil
}

// apply finds out what the patch makes of the image at path.
func (c *contents) apply(ctx context.Context, r io.ReaderAt, size int64, path string) error {
	old, oldSize, err := open(path, "name the old image")
	if err != nil {
		return err
	}
	defer old.Close()
	if c.sourceFile, err = digestAll(ctx, io.NewSectionReader(old, 0, oldSize)); err != nil {
		return failed(path, err, "see that the disk is sound")
	}
	made, err := diff.NewReader(old, oldSize, r, size)
	if err == nil {
		c.image, err = digestAll(ctx, made)
	}
	if err != nil {
		return fmt.Errorf("it cannot be applied to %s: %w", path, err)
	}
	return nil
}

func contentOfFile(ctx context.Context, path string) (verify.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return verify.Content{}, err
	}
	defer f.Close()
	return digestAll(ctx, f)
}

// digestAll reads r to its end.
func digestAll(ctx context.Context, r io.Reader) (verify.Content, error) {
	h := sha256.New()
	var c verify.Content
	err := copyAll(ctx, h, r, func(done int64) { c.Size = done })
	c.SHA256 = hex.EncodeToString(h.Sum(nil))
	return c, err
}
