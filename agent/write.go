package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/verify"
)

// verify compares the digest of the whole package with the announced one, and
// what came with the manifest: the package, and the image when it is there.
// Without a digest the writing end broke before the package had come whole:
// the Write stage says so, and nothing can pass it.
func (a *Agent) verify(_ context.Context, u *Update) error {
	if u.Digest == "" {
		return nil
	}
	sum, err := hex.DecodeString(u.Digest)
	if err != nil {
		return err
	}
	if err := verify.Equal(u.Notice.Files[0].Sign, sum); err != nil {
		return fmt.Errorf("the package is not the announced one: %w", err)
	}
	if err := u.packageAsSigned(); err != nil || u.Notice.IsDiff && !u.native() || u.Broken != "" {
		return err
	}
	return u.imageAsSigned()
}

// write applies a patch, then makes sure that the slot holds what it should:
// synced, and read back from the medium.
func (a *Agent) write(ctx context.Context, u *Update) error {
	switch {
	case u.Broken != "":
		return errors.New(u.Broken)
	case u.Digest == "":
		return errors.New("the package has not come whole")
	case u.native(): // it is in the slot; nobody changed the source while it was read (S9, T6)
		if err := a.checkSource(ctx, u); err != nil {
			return err
		}
	case u.Notice.IsDiff:
		if err := a.patch(ctx, u); err != nil {
			return err
		}
	}
	if err := u.imageAsSigned(); err != nil {
		return err
	}
	a.progress(u, readBackPercent)
	if err := a.readBack(ctx, u); err != nil {
		return err
	}
	a.rec.setImage(u.Target, u.Image)
	a.trim(u)
	return nil
}

// trim tells the medium that what lies beyond the image is of no use to anybody. It
// is a hint: that it cannot be given is no failure.
func (a *Agent) trim(u *Update) {
	m, err := a.spare.Open(true)
	if err != nil {
		return
	}
	defer m.Close()
	if t, ok := m.(platform.Trimmable); ok {
		if err := t.Trim(u.Image.Size); err != nil {
			a.cfg.Log.Debug("the rest of the slot was not trimmed", "slot", u.Target, "err", err)
		}
	}
}

// patch restores the new image from the running one and the spool. The spool's
// digest is computed again first: the file may have been changed since it came
// (T6). Interrupted, it starts from the beginning and ends the same.
func (a *Agent) patch(ctx context.Context, u *Update) error {
	size := u.Notice.Files[0].Size
	pkg, err := newDigests(u)
	if err != nil {
		return err
	}
	if err := copyDigest(ctx, pkg, io.NewSectionReader(a.cfg.Spool, 0, size)); err != nil {
		return fmt.Errorf("the spooled patch cannot be read: %w", err)
	}
	if got, signed := pkg.sums(); got != u.Digest || signed != u.SHA256 {
		return fmt.Errorf("the spooled patch was changed: its digest is %s, it came with %s", got, u.Digest)
	}
	old, err := a.running.Open(false)
	if err != nil {
		return fmt.Errorf("the running slot %s cannot be read: %w", a.running.Name(), err)
	}
	defer old.Close()
	from, _ := a.source(u)
	oldSize := from.Size
	if oldSize == 0 { // patch_unknown_source = "allow"
		if oldSize, err = a.running.Size(); err != nil {
			return err
		}
	}
	limit, err := a.spare.Size()
	if err != nil {
		return err
	}
	src := &remembering{ReaderAt: old}
	image, err := diff.NewReader(src, oldSize, a.cfg.Spool, size, diff.MaxNewSize(limit))
	if err != nil {
		err = fmt.Errorf("patch: %w", err)
	} else {
		err = a.fill(ctx, u, image, image.Size())
	}
	if src.err != nil { // S3: it is not the patch that is at fault
		return fmt.Errorf("the running slot %s cannot be read: %w; send the full package", a.running.Name(), src.err)
	}
	if err != nil {
		return err
	}
	// The source was checked before the download. Checked again now, it is known
	// that nobody changed it while it was read either (S9, T6).
	return a.checkSource(ctx, u)
}

// remembering is the source of a patch, and how reading it failed.
type remembering struct {
	io.ReaderAt
	err error
}

func (r *remembering) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// fill writes an image of a known size into the spare slot.
func (a *Agent) fill(ctx context.Context, u *Update, image io.Reader, size int64) error {
	target := a.spare
	m, err := target.Open(true)
	if err != nil {
		return fmt.Errorf("slot %s cannot be written: %w", target.Name(), err)
	}
	defer m.Close()
	sum := verify.NewSHA256()
	buf := make([]byte, copyBuffer)
	var at int64
	for {
		n, err := image.Read(buf)
		if _, werr := m.WriteAt(buf[:n], at); n > 0 && werr != nil {
			return fmt.Errorf("slot %s: writing at byte %d: %w", target.Name(), at, werr)
		}
		sum.Write(buf[:n])
		at += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("patch: %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.progress(u, patchFetched+int(at*(95-patchFetched)/max(size, 1)))
	}
	if err := m.Sync(); err != nil {
		return fmt.Errorf("slot %s: syncing: %w", target.Name(), err)
	}
	u.Image = Image{Size: at, SHA256: hex.EncodeToString(sum.Sum(nil)), Version: u.Notice.Version}
	return nil
}

// readBack compares what the medium holds with what was written (S5).
func (a *Agent) readBack(ctx context.Context, u *Update) error {
	got, err := digestOf(ctx, a.spare, u.Image.Size)
	if err != nil {
		return fmt.Errorf("slot %s: reading back: %w", u.Target, err)
	}
	if got != u.Image.SHA256 {
		return fmt.Errorf("slot %s does not hold what was written: SHA-256 %s, written was %s", u.Target, got, u.Image.SHA256)
	}
	return nil
}

// digestOf is the SHA-256 of a slot's first size bytes, read from the medium
// where the platform can tell it from the cache.
func digestOf(ctx context.Context, s platform.Slot, size int64) (string, error) {
	m, err := s.Open(false)
	if err != nil {
		return "", err
	}
	defer m.Close()
	if u, ok := m.(platform.Uncached); ok {
		if err := u.DropCache(); err != nil {
			return "", err
		}
	}
	sum := verify.NewSHA256()
	if err := copyDigest(ctx, sum, io.NewSectionReader(m, 0, size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// copyDigest feeds all of a section to a digest; a section that ends early is
// an error.
func copyDigest(ctx context.Context, to io.Writer, from *io.SectionReader) error {
	buf := make([]byte, copyBuffer)
	var n int64
	for {
		k, err := from.Read(buf)
		to.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			if n < from.Size() {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
