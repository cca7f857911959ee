package main

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/unpack"
	"github.com/leapslot/ota/diff"
	"github.com/spf13/cobra"
)

// unknownKind is what a package is that cannot be opened.
const unknownKind = "unknown"

// fileInfo says what a package is.
type fileInfo struct {
	File   string     `json:"file"`
	Kind   string     `json:"kind"` // raw, gzip, zstd, tar, tar.gz, tar.zst, zip, bsdiff40 or unknown
	Size   int64      `json:"size"`
	MD5    string     `json:"md5"`
	SHA256 string     `json:"sha256"`
	Image  *imageInfo `json:"image,omitempty"`  // that it holds, or that a patch makes
	Reason string     `json:"reason,omitempty"` // why it cannot be installed
}

type imageInfo struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"` // not known of a patch
}

func (a *app) infoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "info FILE",
		Short: "Say what a package is, by its content",
		Long: `Says what a package is, by its content and not by its name, with the digests that
the cloud announces for it, and what image is in it.`,
		Example: `  otad info rootfs.img.zst
  otad info update.patch -o json`,
		Args: exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			info, err := inspect(c.Context(), args[0])
			switch {
			case err != nil:
				return err
			case a.json():
				return printJSON(a.out, info)
			}
			return info.print(a.out)
		},
	}
	a.outputFlag(c)
	return c
}

// openFile opens an ordinary file of the command line.
func openFile(verb, path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fileError(exitFailure, verb, path, err, "name a file")
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("it is not an ordinary file")
	}
	if err != nil {
		f.Close()
		return nil, 0, fileError(exitFailure, verb, path, err, "name a package")
	}
	return f, fi.Size(), nil
}

// inspect reads the file twice: for its digests, then for what is in it.
func inspect(ctx context.Context, path string) (fileInfo, error) {
	f, size, err := openFile("info", path)
	if err != nil {
		return fileInfo{}, err
	}
	defer f.Close()
	m, s := md5.New(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(m, s), stopping(ctx, f)); err != nil {
		return fileInfo{}, fileError(exitFailure, "info", path, err, "is the medium well?")
	}
	info := fileInfo{File: path, Kind: unknownKind, Size: size, MD5: digits(m), SHA256: digits(s)}
	head := make([]byte, diff.MagicSize)
	n, _ := f.ReadAt(head, 0)
	if format, ok := diff.Detect(head[:n]); ok {
		info.Kind = string(format)
		sum, err := diff.Info(f, size)
		if err != nil {
			info.Reason = err.Error()
			return info, nil
		}
		info.Image = &imageInfo{Size: sum.NewSize}
		return info, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fileInfo{}, fileError(exitFailure, "info", path, err, "is the medium well?")
	}
	return info, info.unpack(ctx, f)
}

// unpack looks into a package. That it cannot be opened is what is to be said,
// and no error.
func (i *fileInfo) unpack(ctx context.Context, f io.Reader) error {
	r, err := unpack.Open(stopping(ctx, f), md5.New(), ota.MaxPackageSize)
	if err == nil {
		i.Kind = r.Kind().String()
		h, n := sha256.New(), int64(0)
		if n, err = io.Copy(h, r); err == nil {
			i.Image = &imageInfo{n, digits(h)}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		i.Reason = err.Error()
	}
	return nil
}

func digits(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func (i fileInfo) print(w io.Writer) error {
	image := "none that can be installed: " + i.Reason
	if i.Image != nil {
		image = fmt.Sprintf("%d bytes", i.Image.Size)
		if i.Image.SHA256 != "" {
			image += ", SHA-256 " + i.Image.SHA256
		}
	}
	_, err := fmt.Fprintf(w, "file     %s\nkind     %s\nsize     %d bytes\nMD5      %s\nSHA-256  %s\nimage    %s\n",
		i.File, i.Kind, i.Size, i.MD5, i.SHA256, image)
	return err
}

// stopping ends a reader together with its context.
func stopping(ctx context.Context, r io.Reader) io.Reader { return &stoppable{ctx.Err, r} }

type stoppable struct {
	stopped func() error
	r       io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.stopped(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
