package diff

import (
	"encoding/binary"
	"io"
	"math"
)

// bitBuffer is how much of a section is read at a time.
const bitBuffer = 8 << 10

// bitReader gives the bits of one section of a patch, the most significant
// first. Behind the end it gives zeros and counts them, so that the inner loops
// need no check for the end; short says afterwards whether one was used.
type bitReader struct {
	src      io.ReaderAt
	plain    io.Reader // instead of src; end is where it turns out to end
	off, end int64     // the part of src that was not read yet
	buf      []byte
	at       int // next byte of buf

	acc uint64 // the lowest n bits are next
	n   uint
	pad uint // how many of the lowest bits are made up
	err error
}

// newPlainBits reads r, of which off bytes were read already, to its end.
func newPlainBits(r io.Reader, off int64) bitReader {
	return bitReader{plain: r, off: off, end: math.MaxInt64}
}

func newBitReader(src io.ReaderAt, off, size int64) bitReader {
	return bitReader{src: src, off: off, end: off + size}
}

// bitsOf reads what is in memory.
func bitsOf(p []byte) bitReader { return bitReader{buf: p} }

// more reads the next piece of the section; false at its end or on an error.
func (b *bitReader) more() bool {
	if b.err != nil || b.off == b.end {
		return false
	}
	if b.buf == nil {
		b.buf = make([]byte, 0, min(bitBuffer, b.end-b.off))
	}
	if b.plain != nil {
		return b.moreOfPlain()
	}
	want := min(int64(cap(b.buf)), b.end-b.off)
	n, err := readFull(b.src, b.buf[:want], b.off)
	if err != nil {
		b.err = &ReadError{From: FromPatch, Off: b.off + int64(n), Err: err}
		return false
	}
	b.buf, b.at, b.off = b.buf[:want], 0, b.off+want
	return true
}

// moreOfPlain is more for a plain reader.
func (b *bitReader) moreOfPlain() bool {
	n, err := io.ReadAtLeast(b.plain, b.buf[:cap(b.buf)], 1)
	b.buf, b.at = b.buf[:n], 0
	b.off += int64(n)
	switch {
	case n > 0:
		return true
	case err == io.EOF:
		b.end = b.off
	default:
		b.err = &ReadError{From: FromPatch, Off: b.off, Err: err}
	}
	return false
}

// readFull reads all of p. Too little without an error of the source's own is
// io.ErrUnexpectedEOF: the source is shorter than its size was said to be.
func readFull(src io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := src.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// fill makes at least 32 bits available.
func (b *bitReader) fill() {
	if len(b.buf)-b.at >= 4 && b.n <= 32 {
		b.acc = b.acc<<32 | uint64(binary.BigEndian.Uint32(b.buf[b.at:]))
		b.at += 4
		b.n += 32
		return
	}
	for b.n < 32 {
		b.acc <<= 8
		b.n += 8
		if b.at == len(b.buf) && !b.more() {
			b.pad += 8
			continue
		}
		b.acc |= uint64(b.buf[b.at])
		b.at++
	}
}

// take gives the next k bits, at most 32.
func (b *bitReader) take(k uint) uint32 {
	if b.n < k {
		b.fill()
	}
	b.n -= k
	return uint32(b.acc >> b.n & (1<<k - 1))
}

// short is the reason why bits that were taken do not exist, or nil.
func (b *bitReader) short() error {
	if b.n >= b.pad {
		return nil
	}
	if b.err != nil {
		return b.err
	}
	return io.ErrUnexpectedEOF
}

// atEnd says whether less than a byte is left.
func (b *bitReader) atEnd() bool {
	if b.plain != nil && b.at == len(b.buf) {
		b.more()
	}
	return b.n-b.pad < 8 && b.at == len(b.buf) && b.off == b.end
}
