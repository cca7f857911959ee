package main

import (
	"context"
	"fmt"
	"os"

	"github.com/leapslot/ota/diff"
	"github.com/spf13/cobra"
)

// judgedFrom is the size of the smallest new image, in bytes, for which a
// patch that is no smaller is refused. Below it nobody counts bytes, and a
// patch's own head weighs more than what it says.
const judgedFrom = 64 << 10

func (e *env) diffCommand() *cobra.Command {
	var format string
	var force bool
	c := &cobra.Command{
		Use:   "diff OLD NEW PATCH",
		Short: "Make the patch from one image to another",
		Long: `Makes PATCH, which turns the image OLD into the image NEW. Format bsdiff is
BSDIFF40, which the classic bspatch applies as well. Takes about five times the
size of OLD and once that of NEW in memory; OLD is below 2 GiB.

Compressed images are warned about, since their patches are large: diff the
images as they are on the device. A patch that is no smaller than NEW is
refused. --force does without both.`,
		Example: `  otapack diff rootfs-1.0.img rootfs-1.1.img update.patch`,
		Args:    exactly("OLD", "NEW", "PATCH"),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "bsdiff" {
				return usagef(c.Name(), "--format %q is not known (use bsdiff)", format)
			}
			return e.diff(c.Context(), args[0], args[1], args[2], force)
		},
	}
	c.Flags().StringVar(&format, "format", "bsdiff", "format of the patch: bsdiff")
	c.Flags().BoolVar(&force, "force", false, "do not judge: no warnings, and write a patch that is no smaller than NEW")
	return c
}

func (e *env) diff(ctx context.Context, oldPath, newPath, patchPath string, force bool) error {
	if err := apart("diff", patchPath, oldPath, newPath); err != nil {
		return err
	}
	if fi, err := os.Stat(oldPath); err == nil && fi.Size() > diff.MaxOldSize {
		return failed(oldPath, fmt.Errorf("%w: %d bytes, and %d can be indexed", diff.ErrTooLarge, fi.Size(), diff.MaxOldSize), "send the full image")
	}
	old, err := os.ReadFile(oldPath)
	if err != nil {
		return failed(oldPath, err, "name the old image")
	}
	new, err := os.ReadFile(newPath)
	if err != nil {
		return failed(newPath, err, "name the new image")
	}
	if !force {
		e.warnCompressed(oldPath, old)
		e.warnCompressed(newPath, new)
	}
	out, err := create(patchPath)
	if err != nil {
		return err
	}
	defer out.discard()
	bar := e.bar("diff")
	err = diff.Make(ctx, out, old, new, diff.Options{Progress: bar.show})
	bar.clear()
	if err != nil {
		return failed(patchPath, err, "nothing was written; see that there is space")
	}
	if !force && len(new) >= judgedFrom && out.size >= int64(len(new)) {
		return failed(patchPath, fmt.Errorf("the patch would have %d bytes and the new image has %d", out.size, len(new)),
			"send the full image, or use --force")
	}
	return out.commit()
}

// warnCompressed says on stderr that a patch of this image will be large.
func (e *env) warnCompressed(path string, image []byte) {
	if kind := compressedKind(image); kind != "" {
		fmt.Fprintf(e.err, "otapack: %s: this is compressed (%s), and one change alters all that follows it: the patch will be large (diff the uncompressed images, or silence this with --force)\n", path, kind)
	}
}
