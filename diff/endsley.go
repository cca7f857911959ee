package diff

import (
	"fmt"
	"io"
	"math"
)

// NewEndsleyReader applies a BSDIFF43 patch, which is one stream and so may come
// from a plain io.Reader. It has the options, rules and errors of [NewReader].
// It cannot be resumed: that is what the native format is for.
func NewEndsleyReader(old io.ReaderAt, oldSize int64, patch io.Reader, opts ...Option) (*Reader, error) {
	lim := limits{newSize: math.MaxInt64}
	for _, o := range opts {
		o(&lim)
	}
	if oldSize < 0 {
		return nil, fmt.Errorf("the size of the old image is given as %d bytes", oldSize)
	}
	z, newSize, err := openEndsley(patch)
	if err != nil {
		return nil, err
	}
	if err := lim.check(newSize); err != nil {
		return nil, err
	}
	// The three sections are one, which is read in the order of the records.
	return &Reader{size: newSize, ctrl: newControl(z, oldSize, newSize), diff: z, extra: z, old: window{src: old, size: oldSize}}, nil
}

// openEndsley reads the header of a patch.
func openEndsley(patch io.Reader) (z *bunzip, newSize int64, err error) {
	var raw [endsleyHeader]byte
	switch n, err := io.ReadFull(patch, raw[:]); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, 0, cutShort("header")
	case err != nil:
		return nil, 0, &ReadError{From: FromPatch, Off: int64(n), Err: err}
	case string(raw[:len(endsleyMagic)]) != endsleyMagic:
		return nil, 0, badf("it does not begin with %s", endsleyMagic)
	}
	if newSize = number(raw[len(endsleyMagic):]); newSize < 0 {
		return nil, 0, badf("its header has a negative length (new image %d)", newSize)
	}
	z = &bunzip{in: newPlainBits(patch, endsleyHeader), tmp: new(unsorter), name: "stream"}
	z.in.buf = make([]byte, 0, bitBuffer)
	return z, newSize, nil
}

func endsleySummary(patch io.ReaderAt, size int64) (Summary, error) {
	z, newSize, err := openEndsley(io.NewSectionReader(patch, 0, size))
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Format: BSDIFF43, Size: size, NewSize: newSize, DiffSection: size - endsleyHeader, Memory: unsortMemory(size) + windowSize}
	ctrl := newControl(z, math.MaxInt64, newSize)
	buf := make([]byte, windowSize)
	for ctrl.newLeft > 0 {
		r, at, err := ctrl.next()
		if err != nil {
			return Summary{}, err
		}
		s.Records++
		s.DiffBytes += r.diff
		s.ExtraBytes += r.extra
		if r.diff > 0 {
			s.OldAtLeast = max(s.OldAtLeast, at+r.diff)
		}
		for left := r.diff + r.extra; left > 0; {
			n, err := z.Read(buf[:min(left, windowSize)])
			if n == 0 {
				return Summary{}, early(err, z)
			}
			left -= int64(n)
		}
	}
	return s, ctrl.finish()
}
