package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leapslot/ota/diff"
	"github.com/spf13/cobra"
)

func (e *env) applyCommand() *cobra.Command {
	maxMemory, trustOld := "", false
	c := &cobra.Command{
		Use:   "apply OLD PATCH NEW",
		Short: "Apply a patch to an image",
		Long: `Applies PATCH to the image OLD, and writes the image NEW, the way a device does
it: in one pass and with little memory. NEW appears only when it is whole; it may
be the same file as OLD.

A native patch carries the SHA-256 of both images: that of OLD is compared before
anything is written, that of NEW at the end. The other formats (BSDIFF40 and
BSDIFF43) have none: compare that of NEW. --trust-old leaves that of OLD out, for who
knows it already: another image is then found out only at the end, by that of NEW.

--max-memory refuses a patch that would take more than that, for the whole process.`,
		Example: `  otapack apply rootfs-1.0.img update.patch rootfs-1.1.img`,
		Args:    exactly("OLD", "PATCH", "NEW"),
		RunE: func(c *cobra.Command, args []string) error {
			limit := int64(0)
			if maxMemory != "" {
				var err error
				if limit, err = parseSize(maxMemory); err != nil {
					return usagef(c.Name(), "--max-memory %q: %v", maxMemory, err)
				}
			}
			return e.apply(c.Context(), args[0], args[1], args[2], limit, trustOld)
		},
	}
	c.Flags().StringVar(&maxMemory, "max-memory", "", "refuse a patch that takes more than this to apply (16MiB, say)")
	c.Flags().BoolVar(&trustOld, "trust-old", false, "do not compute the SHA-256 of OLD (that of NEW is compared all the same)")
	return c
}

// programMemory is about what the program takes before it applies anything.
const programMemory = 8 << 20

// spare refuses a patch that takes more than limit, if there is one.
func spare(patch io.ReaderAt, size, limit int64) error {
	if limit == 0 {
		return nil
	}
	s, err := diff.Info(patch, size)
	if err == nil && s.Memory+programMemory > limit {
		err = fmt.Errorf("applying it takes about %d bytes, and %d are allowed", s.Memory+programMemory, limit)
	}
	return err
}

func (e *env) apply(ctx context.Context, oldPath, patchPath, newPath string, limit int64, trustOld bool) error {
	if err := apart("apply", newPath, patchPath); err != nil {
		return err
	}
	old, oldSize, err := open(oldPath, "name the old image")
	if err != nil {
		return err
	}
	defer old.Close()
	patch, patchSize, err := open(patchPath, "name the patch")
	if err != nil {
		return err
	}
	defer patch.Close()
	if err := spare(patch, patchSize, limit); err != nil {
		return failed(patchPath, err, "make it anew with otapack diff, or allow more with --max-memory")
	}
	r, err := diff.NewReader(old, oldSize, patch, patchSize)
	if err == nil && !trustOld {
		err = r.CheckOld()
	}
	if errors.Is(err, diff.ErrOtherOld) {
		return failed(oldPath, err, "name the image that the patch was made from")
	}
	if err != nil {
		return failed(patchPath, err, "make it anew with otapack diff")
	}
	out, err := create(newPath)
	if err != nil {
		return err
	}
	defer out.discard()
	bar := e.bar("apply")
	err = copyAll(ctx, out, r, func(done int64) { bar.show(done, r.Size()) })
	bar.clear()
	var re *diff.ReadError
	switch {
	case err == nil:
		return out.commit()
	case errors.As(err, &re) && re.From == diff.FromOld:
		return failed(oldPath, err, "nothing was written; see that the disk is sound")
	case errors.Is(err, diff.ErrFormat) || re != nil:
		return failed(patchPath, err, "nothing was written; see that the patch is whole and belongs to this old image")
	}
	return failed(newPath, err, "nothing was written; see that there is space")
}

// open opens a file for reading, with its size.
func open(path, todo string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, failed(path, err, todo)
	}
	// Not Stat: a block device has its size only at its end.
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		var fi os.FileInfo
		if fi, err = f.Stat(); err == nil && fi.IsDir() {
			err = errors.New("this is a directory")
		}
	}
	if err != nil {
		f.Close()
		return nil, 0, failed(path, err, todo)
	}
	return f, size, nil
}

// copyBuffer is how much is written at a time, in bytes.
const copyBuffer = 128 << 10

// copyAll copies r to w until it ends or ctx does.
func copyAll(ctx context.Context, w io.Writer, r io.Reader, done func(int64)) error {
	buf := make([]byte, copyBuffer)
	total := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		total += int64(n)
		done(total)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
