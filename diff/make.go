package diff

import (
	"context"
	"fmt"
	"io"
	"math"
)

// MaxOldSize is the size of the largest old image that [Make] can index, in
// bytes: positions in it are kept in 32 bits.
const MaxOldSize = math.MaxInt32

// Options of [Make]. The zero value is what most callers want.
type Options struct {
	// Progress, if set, is called now and then, from the goroutine that
	// called Make, with how much of the work is done. done never goes back
	// and ends at total.
	Progress func(done, total int64)
}

// Make writes a patch that makes new out of old, in the format that the
// classic bspatch applies. The same images always give the same patch. Both
// may be empty; old has at most [MaxOldSize] bytes ([ErrTooLarge] otherwise).
//
// Beside the images it takes about five bytes for each byte of old, 12 MB, and
// the patch itself. When ctx ends, Make returns its error within a second or
// two for each 10 MB of old (sorting is not interrupted in its inner loops);
// what was written to w by then is nothing.
func Make(ctx context.Context, w io.Writer, old, new []byte, o Options) error {
	if int64(len(old)) > MaxOldSize {
		return fmt.Errorf("%w: the old image has %d bytes and %d can be indexed", ErrTooLarge, len(old), MaxOldSize)
	}
	// Sorting a byte of the old image takes about as long as covering one
	// of the new.
	total := int64(len(old)) + int64(len(new))
	progress := func(done int64) {
		if o.Progress != nil {
			o.Progress(done, total)
		}
	}
	progress(0)
	x := newIndex(old, func() bool { return ctx.Err() != nil })
	if x == nil {
		return ctx.Err()
	}
	a := &aligner{index: x, new: new}
	p := newPacker(old, new)
	tick := func(at int) bool {
		progress(int64(len(old)) + int64(at))
		return ctx.Err() != nil
	}
	for c, ok := a.next(tick); ok; c, ok = a.next(tick) {
		p.add(c)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	parts := p.finish()
	progress(total)
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("writing the patch: %w", err)
		}
	}
	return nil
}

// packer turns covers into the sections of a patch.
type packer struct {
	old, new          []byte
	ctrl, diff, extra *bzip
	last              cover // not written yet: its seek depends on the next
	begun             bool
	buf               []byte
}

func newPacker(old, new []byte) *packer {
	tmp := &sorter{}
	return &packer{
		old: old, new: new,
		ctrl: newBzip(tmp), diff: newBzip(tmp), extra: newBzip(tmp),
		buf: make([]byte, 32<<10),
	}
}

// add takes the next cover. One without any bytes is left out: moving the old
// position is done by the seek of the record before. At the very beginning
// there is none, and one byte of the cover, sent as it is, makes it.
func (p *packer) add(c cover) {
	if c.diff+c.extra == 0 {
		return
	}
	if !p.begun && c.diff > 0 && c.oldPos > 0 {
		p.last, p.begun = cover{extra: 1}, true
		c = cover{newPos: 1, oldPos: c.oldPos + 1, diff: c.diff - 1, extra: c.extra}
		if c.diff+c.extra == 0 {
			return
		}
	}
	if p.begun {
		p.put(c.oldPos)
	}
	p.last, p.begun = c, true
}

// put writes the last cover, behind which the old position is to be nextOld.
func (p *packer) put(nextOld int) {
	c := p.last
	raw := appendNumber(p.buf[:0], int64(c.diff))
	raw = appendNumber(raw, int64(c.extra))
	raw = appendNumber(raw, int64(nextOld-(c.oldPos+c.diff)))
	p.ctrl.write(raw)
	is, was := p.new[c.newPos:c.newPos+c.diff], p.old[c.oldPos:c.oldPos+c.diff]
	for len(is) > 0 {
		part := p.buf[:min(len(p.buf), len(is))]
		for i := range part {
			part[i] = is[i] - was[i]
		}
		p.diff.write(part)
		is, was = is[len(part):], was[len(part):]
	}
	end := c.newPos + c.diff
	p.extra.write(p.new[end : end+c.extra])
}

// finish gives the patch in pieces.
func (p *packer) finish() [][]byte {
	if p.begun {
		p.put(p.last.oldPos + p.last.diff)
	}
	ctrl, diff, extra := p.ctrl.finish(), p.diff.finish(), p.extra.finish()
	head := append(make([]byte, 0, bsdiffHeader), bsdiffMagic...)
	for _, n := range []int{len(ctrl), len(diff), len(p.new)} {
		head = appendNumber(head, int64(n))
	}
	return [][]byte{head, ctrl, diff, extra}
}
