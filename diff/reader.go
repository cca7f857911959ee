package diff

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Reader gives the new image that a patch makes of an old one. It is not safe
// for concurrent use. It owns nothing that needs closing.
type Reader struct {
	size   int64
	native *NativeReader // does it all, when there is one

	ctrl  *control
	diff  *bunzip
	extra *bunzip
	old   window

	now    record // what is left of the current record
	oldPos int64
	err    error // sticky
}

// Option changes what [NewReader] accepts.
type Option func(*limits)

type limits struct{ newSize int64 }

// MaxNewSize refuses a patch whose new image is larger than n bytes, with
// [ErrTooLarge]. Give it what the new image has to fit into: a slot, say.
// Without it the only limit is what the caller reads.
func MaxNewSize(n int64) Option {
	return func(l *limits) { l.newSize = n }
}

// NewReader begins to apply a patch to an old image. The sizes are in bytes;
// nothing behind them is read, and both inputs must not change until the last
// byte was read. An old image of another size than the one the patch was made
// from is often not noticed here: compare its digest before.
//
// All formats that [Detect] tells are taken.
//
// The header is read and checked at once. Everything else is found while
// reading, and each error is final. Errors about the patch wrap [ErrFormat] or
// [ErrTooLarge]; a [*ReadError] says that an input could not be read. A patch
// may hold one record per four bytes of the new image, and 1,024 more.
func NewReader(old io.ReaderAt, oldSize int64, patch io.ReaderAt, patchSize int64, opts ...Option) (*Reader, error) {
	lim := limits{newSize: math.MaxInt64}
	for _, o := range opts {
		o(&lim)
	}
	if oldSize < 0 {
		return nil, fmt.Errorf("the size of the old image is given as %d bytes", oldSize)
	}
	switch detectAt(patch, patchSize) {
	case Native:
		n, err := NewNativeReader(old, oldSize, io.NewSectionReader(patch, 0, patchSize), opts...)
		if err != nil {
			return nil, err
		}
		return &Reader{size: n.Size(), native: n}, nil
	case BSDIFF43:
		return NewEndsleyReader(old, oldSize, io.NewSectionReader(patch, 0, patchSize), opts...)
	}
	h, err := readHeader(patch, patchSize)
	if err != nil {
		return nil, err
	}
	if err := lim.check(h.newSize); err != nil {
		return nil, err
	}
	tmp := new(unsorter)
	ctrl := newBunzip(patch, bsdiffHeader, h.ctrl, tmp, "control section")
	return &Reader{
		size:  h.newSize,
		ctrl:  newControl(ctrl, oldSize, h.newSize),
		diff:  newBunzip(patch, bsdiffHeader+h.ctrl, h.diff, tmp, "diff section"),
		extra: newBunzip(patch, bsdiffHeader+h.ctrl+h.diff, h.extra, tmp, "extra section"),
		old:   window{src: old, size: oldSize},
	}, nil
}

// detectAt is the format of the patch, or empty.
func detectAt(patch io.ReaderAt, size int64) Format {
	var head [MagicSize]byte
	if size < MagicSize {
		return ""
	}
	if _, err := readFull(patch, head[:], 0); err != nil {
		return ""
	}
	f, _ := Detect(head[:])
	return f
}

// check refuses a new image of n bytes that is too large.
func (l *limits) check(n int64) error {
	if n > l.newSize {
		return fmt.Errorf("%w: the new image has %d bytes and %d are allowed", ErrTooLarge, n, l.newSize)
	}
	return nil
}

// CheckOld reads the old image and compares its digest with that in the patch;
// [ErrOtherOld] when it is another. Only native patches have one: for others
// it does nothing.
func (r *Reader) CheckOld() error {
	if r.native == nil {
		return nil
	}
	return r.native.CheckOld()
}

// Size is the size of the new image in bytes, as the patch announces it. A
// Reader that comes to io.EOF has given exactly that many.
func (r *Reader) Size() int64 { return r.size }

// Read gives the next bytes of the new image; it fills p unless the image or
// the patch ends. io.EOF means that the patch was sound to its last byte, and
// comes only after all of the image, never together with bytes.
func (r *Reader) Read(p []byte) (int, error) {
	if r.native != nil {
		return r.native.Read(p)
	}
	n := 0
	for n < len(p) && r.err == nil {
		k, err := r.step(p[n:])
		n += k
		r.err = err
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// step gives some bytes of the current record, or goes to the next one.
func (r *Reader) step(p []byte) (int, error) {
	switch {
	case r.now.diff > 0:
		p = p[:min(int64(len(p)), r.now.diff, windowSize)]
		n, err := r.patched(p)
		r.now.diff -= int64(n)
		r.oldPos += int64(n)
		return n, err
	case r.now.extra > 0:
		n, err := r.extra.Read(p[:min(int64(len(p)), r.now.extra)])
		r.now.extra -= int64(n)
		return n, early(err, r.extra)
	case r.ctrl.newLeft > 0:
		now, at, err := r.ctrl.next()
		if err != nil {
			return 0, err
		}
		r.now, r.oldPos = now, at
		return 0, nil
	}
	return 0, r.finish()
}

// patched fills p with diff bytes added to old ones.
func (r *Reader) patched(p []byte) (int, error) {
	n, err := r.diff.Read(p)
	if n == 0 {
		return 0, early(err, r.diff)
	}
	old, err := r.old.at(r.oldPos, n, r.now.diff)
	if err != nil {
		return 0, err
	}
	add(p[:n], old)
	return n, nil
}

// early makes an error of a section's end where more of it is needed.
func early(err error, z *bunzip) error {
	if err == io.EOF {
		return cutShort(z.name)
	}
	return err
}

// finish checks that nothing is left over. What comes back is never nil.
func (r *Reader) finish() error {
	if err := r.ctrl.finish(); err != nil {
		return err
	}
	if err := ends(r.diff, "bytes"); err != nil {
		return err
	}
	if err := ends(r.extra, "bytes"); err != nil {
		return err
	}
	return io.EOF
}

// add adds src to dst, byte by byte, eight at a time.
func add(dst, src []byte) {
	const high = 0x8080808080808080
	src = src[:len(dst)]
	for len(dst) >= 8 {
		a, b := binary.LittleEndian.Uint64(dst), binary.LittleEndian.Uint64(src)
		sum := (a&^high + b&^high) ^ (a^b)&high
		binary.LittleEndian.PutUint64(dst, sum)
		dst, src = dst[8:], src[8:]
	}
	for i := range dst {
		dst[i] += src[i]
	}
}
