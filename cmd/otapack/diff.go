package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/leapslot/ota/diff"
	"github.com/spf13/cobra"
)

// judgedFrom is the size of the smallest new image, in bytes, for which a
// patch that is no smaller is refused. Below it nobody counts bytes, and a
// patch's own head weighs more than what it says.
const judgedFrom = 64 << 10

// diffOptions are the flags of otapack diff.
type diffOptions struct {
	format, maxMemory, output string
	best, force               bool
}

func (e *env) diffCommand() *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use:   "diff OLD NEW PATCH",
		Short: "Make the patch from one image to another",
		Long: `Makes PATCH, which turns the image OLD into the image NEW, and says how large it
is and what a device needs to apply it.

Format bsdiff is BSDIFF40, which the classic bspatch applies as well. Format native
is our own (docs/delta-format.md): smaller, with digests of both images, applied
while it comes from the network, and resumed at any of its frames.

--best takes several times as long for a smaller patch: it tries several ways, with
the suffixes of OLD as well where OLD is below 2 GiB. What is needed in memory beside
the images, which are mapped, is known before it begins: --max-memory refuses more.

Compressed images are warned about, since their patches are large: diff the images
as they are on the device. A patch that is no smaller than NEW would be when
compressed (zstd) is refused. --force does without both.`,
		Example: `  otapack diff rootfs-1.0.img rootfs-1.1.img update.patch
  otapack diff rootfs-1.0.img rootfs-1.1.img update.patch --format native --best`,
		Args: exactly("OLD", "NEW", "PATCH"),
		RunE: func(c *cobra.Command, args []string) error {
			asJSON, err := wantJSON(c, o.output)
			if err != nil {
				return err
			}
			d := diff.Options{Best: o.best}
			switch o.format {
			case "bsdiff":
				d.Format = diff.BSDIFF40
			case "native":
				d.Format = diff.Native
			default:
				return usagef(c.Name(), "--format %q is not known (use bsdiff or native)", o.format)
			}
			if o.maxMemory != "" {
				if d.MaxMemory, err = parseSize(o.maxMemory); err != nil {
					return usagef(c.Name(), "--max-memory %q: %v", o.maxMemory, err)
				}
			}
			return e.diff(c.Context(), args[0], args[1], args[2], d, o.force, asJSON)
		},
	}
	c.Flags().StringVar(&o.format, "format", "bsdiff", "format of the patch: bsdiff or native")
	c.Flags().BoolVar(&o.best, "best", false, "look longer for a smaller patch")
	c.Flags().StringVar(&o.maxMemory, "max-memory", "", "refuse when more than this is needed beside the images (2GiB, say)")
	c.Flags().BoolVar(&o.force, "force", false, "do not judge: no warnings, and write a patch that saves nothing")
	c.Flags().StringVarP(&o.output, "output", "o", "text", "how to print: text or json")
	return c
}

func (e *env) diff(ctx context.Context, oldPath, newPath, patchPath string, o diff.Options, force, asJSON bool) error {
	if err := apart("diff", patchPath, oldPath, newPath); err != nil {
		return err
	}
	old, err := mapImage(oldPath, "name the old image")
	if err != nil {
		return err
	}
	defer old.close()
	new, err := mapImage(newPath, "name the new image")
	if err != nil {
		return err
	}
	defer new.close()
	if !force {
		e.warnCompressed(oldPath, old.data)
		e.warnCompressed(newPath, new.data)
	}
	if o.Best && int64(len(old.data)) > diff.MaxOldSize {
		fmt.Fprintf(e.err, "otapack: %s: %d bytes are too many for a suffix array (%d): --best goes without it\n", oldPath, len(old.data), diff.MaxOldSize)
	}
	out, err := create(patchPath)
	if err != nil {
		return err
	}
	defer out.discard()
	bar := e.bar("diff")
	o.Progress = bar.show
	err = diff.Make(ctx, out, old.data, new.data, o)
	bar.clear()
	switch {
	case errors.Is(err, diff.ErrMemory):
		return failed(oldPath, err, "allow more with --max-memory, or do without --best")
	case err != nil:
		return failed(patchPath, err, "nothing was written; see that there is space")
	}
	if !force && len(new.data) >= judgedFrom {
		if err := judge(patchPath, out.size, new.data); err != nil {
			return err
		}
	}
	s, err := diff.Info(out.f, out.size)
	if err != nil {
		return failed(patchPath, err, "this is a fault of otapack: report it")
	}
	if err := out.commit(); err != nil {
		return err
	}
	return e.said(s, o, int64(len(old.data)), asJSON)
}

// judge refuses a patch that saves nothing.
func judge(path string, size int64, new []byte) error {
	why := ""
	if size >= int64(len(new)) {
		why = fmt.Sprintf("the patch would have %d bytes and the new image has %d", size, len(new))
	} else if ok, err := compressesTo(new, size); err != nil {
		return failed(path, err, "nothing was written")
	} else if ok {
		why = fmt.Sprintf("the patch would have %d bytes, and the new image compresses to no more than that", size)
	}
	if why == "" {
		return nil
	}
	return failed(path, errors.New(why), "send the full image, or use --force")
}

// said prints what was made.
func (e *env) said(s diff.Summary, o diff.Options, oldSize int64, asJSON bool) error {
	ratio := 100 * float64(s.Size) / float64(max(s.NewSize, 1))
	if asJSON {
		return printJSON(e.out, map[string]any{"format": s.Format, "size": s.Size, "new_size": s.NewSize, "percent": ratio,
			"records": s.Records, "device_memory": s.Memory + copyBuffer, "memory": o.Memory(oldSize, s.NewSize)})
	}
	_, err := fmt.Fprintf(e.out, "%d bytes, %.2f %% of the new image; %d records; a device needs about %.1f MB to apply it\n",
		s.Size, ratio, s.Records, float64(s.Memory+copyBuffer)/1e6)
	return err
}

// warnCompressed says on stderr that a patch of this image will be large.
func (e *env) warnCompressed(path string, image []byte) {
	if kind := compressedKind(image); kind != "" {
		fmt.Fprintf(e.err, "otapack: %s: this is compressed (%s), and one change alters all that follows it: the patch will be large (diff the uncompressed images, or silence this with --force)\n", path, kind)
	}
}
