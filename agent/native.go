package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/platform"
)

// nativeKind is what a patch in the native format is called (docs/delta-format.md). Unlike
// one in the classic format, which waits in the spool until it is whole, it is applied
// while it comes, straight into the spare slot.
const nativeKind = string(diff.Native)

// opened is a package that is being read: the image in it, or that it makes.
type opened interface {
	io.Reader
	// Boundary is the last place in the package from which it could be read on after a
	// cut, and whether that is here.
	Boundary() (in int64, here bool)
	// Drain reads what is left of the package, so that its digest is known.
	Drain() error
}

// native reports whether the package is a patch that goes straight into the slot.
func (u *Update) native() bool { return u.Kind == nativeKind }

// sniff finds out the format of a patch that begins to come. What it has read of it is
// read again by whoever is next.
func (p *pull) sniff() error {
	p.rest = p.source
	if !p.u.Notice.IsDiff || p.u.Mark.In > 0 || p.u.Mark.Spooled > 0 {
		return nil
	}
	head := make([]byte, diff.MagicSize)
	n, err := io.ReadFull(p.source, head)
	if p.source.err != nil {
		return p.source.err
	}
	p.rest = io.MultiReader(bytes.NewReader(head[:n]), p.source)
	if f, ok := diff.Detect(head[:n]); err == nil && ok && f == diff.Native {
		p.u.Kind = nativeKind
		return nil
	}
	p.u.Kind = ""
	return nil
}

// nativePatch is a patch in the native format and the running slot under it.
type nativePatch struct {
	*diff.NativeReader
	pull *pull
	in   io.Reader // the patch, on its way into the package's digest
	old  platform.Medium
}

// openNative begins with a native patch, or goes on at the mark.
func (p *pull) openNative() (*nativePatch, error) {
	a, u := p.a, p.u
	old, err := a.running.Open(false)
	if err != nil {
		return nil, fmt.Errorf("the running slot %s cannot be read: %w", a.running.Name(), err)
	}
	n := &nativePatch{pull: p, in: io.TeeReader(p.rest, p.pkg), old: old}
	if err := n.begin(); err != nil {
		old.Close()
		return nil, err
	}
	u.Kind = nativeKind
	a.cfg.Log.Info("package", "kind", u.Kind, "from", p.source.from, "resumes", "at frame boundaries")
	return n, nil
}

func (n *nativePatch) begin() (err error) {
	p := n.pull
	a, u := p.a, p.u
	if u.Mark.Delta != nil {
		im, _ := a.source(u)
		n.NativeReader, err = diff.ResumeNative(n.old, im.Size, n.in, *u.Mark.Delta, diff.MaxNewSize(p.limit))
		return err
	}
	head := make([]byte, diff.NativeHeader)
	if _, err := io.ReadFull(n.in, head); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	info, err := diff.ParseNativeHeader(head)
	if err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	im, known := a.source(u)
	if !known {
		im = Image{Size: info.OldSize}
	}
	n.NativeReader, err = diff.NewNativeReader(n.old, im.Size, io.MultiReader(bytes.NewReader(head), n.in), diff.MaxNewSize(p.limit))
	if err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	// The digest in the patch says which source it is for, also where nobody has
	// recorded one; nothing is written before it was compared (S9).
	if known {
		if want := fmt.Sprintf("%x", info.OldSHA256); im.SHA256 != want {
			return fmt.Errorf("the running image in slot %s is not the patch's source: SHA-256 %s, wanted is %s; send the full package", a.running.Name(), im.SHA256, want)
		}
		return nil // which checkSource has just compared with the slot
	}
	if err := n.CheckOld(); err != nil {
		return fmt.Errorf("the running image in slot %s: %w; send the full package", a.running.Name(), err)
	}
	u.Source = &Image{Size: info.OldSize, SHA256: fmt.Sprintf("%x", info.OldSHA256)}
	return nil
}

// Boundary implements opened.
func (n *nativePatch) Boundary() (in int64, here bool) {
	c := n.Checkpoint()
	return c.In, c.In == n.pull.source.at
}

// Drain implements opened.
func (n *nativePatch) Drain() error {
	_, err := io.Copy(io.Discard, n.in)
	return err
}

// explain tells the running slot's failure from the patch's (S3).
func (n *nativePatch) explain(err error) error {
	var read *diff.ReadError
	if errors.As(err, &read) && read.From == diff.FromOld {
		return fmt.Errorf("the running slot %s cannot be read: %w; send the full package", n.pull.a.running.Name(), read.Err)
	}
	return fmt.Errorf("patch: %w", err)
}
