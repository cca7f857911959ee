package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxZstdBlock is the largest block of zstd (RFC 8878, 3.1.1.2.4).
const maxZstdBlock = 128 << 10

// frames reads zstd frame by frame, since it can go on at each of them. The
// decoder reads ahead, so it is given one frame at a time, whose end is found
// by the lengths of its blocks.
type frames struct {
	m      *meter
	budget *budget
	dec    *zstd.Decoder
	frame  frame
	open   bool // in a frame
	gave   bool // returned something since the last boundary
}

// Read implements io.Reader.
func (z *frames) Read(p []byte) (int, error) {
	for {
		if !z.open {
			if err := z.next(); err != nil {
				return 0, err
			}
		}
		n, err := z.dec.Read(p)
		z.gave = z.gave || n > 0
		if err == io.EOF { // of the frame: its checksum, if it has one, is right
			if !z.frame.done() {
				return n, errors.New("the frame goes on after its last block")
			}
			z.open, err = false, nil
			if z.gave {
				z.gave = false
				return n, nil // here is a boundary, even if n is 0
			}
			continue
		}
		if n > 0 || err != nil {
			return n, unexpected(err)
		}
	}
}

// next opens the next frame, or returns io.EOF. Skippable frames are skipped.
func (z *frames) next() error {
	for {
		b, err := z.m.peek(8)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return io.EOF
		}
		if len(b) < 4 || !isZstd(binary.LittleEndian.Uint32(b)) {
			return fmt.Errorf("%w: zstd: something else follows at %d", ErrFormat, z.m.used())
		}
		if binary.LittleEndian.Uint32(b) == zstdMagic {
			return z.openFrame()
		}
		if len(b) < 8 {
			return io.ErrUnexpectedEOF
		}
		if err := z.m.skip(8 + int64(binary.LittleEndian.Uint32(b[4:]))); err != nil {
			return err
		}
	}
}

func (z *frames) openFrame() error {
	b, err := z.m.peek(maxFrameHeader)
	if err != nil {
		return err
	}
	h, err := parseFrameHeader(b)
	if err != nil {
		return err
	}
	if h.window > MaxWindow {
		return fmt.Errorf("%w: zstd: its window is %d bytes, at most %d are supported (pack with zstd -19 or less, without --long)", ErrFormat, h.window, MaxWindow)
	}
	if h.hasSize {
		if err := z.budget.fits(h.size); err != nil {
			return err
		}
	}
	z.frame = frame{m: z.m, left: h.length, checksum: h.checksum}
	if z.dec == nil {
		z.dec, err = zstd.NewReader(&z.frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxWindow))
	} else {
		err = z.dec.Reset(&z.frame)
	}
	z.open = err == nil
	return err
}

func (z *frames) boundary() bool { return !z.open }

// maxFrameHeader is the longest header of a frame: magic, descriptor, window,
// dictionary and size.
const maxFrameHeader = 4 + 1 + 1 + 4 + 8

// frameHeader is what counts of RFC 8878, 3.1.1.1.
type frameHeader struct {
	length   int    // of the header, in bytes
	window   uint64 // in bytes
	size     uint64 // of the content, if hasSize
	hasSize  bool
	checksum bool
}

// parseFrameHeader reads a header from b, which starts with the magic number
// and may be longer than it, and shorter only at the end of the package.
func parseFrameHeader(b []byte) (h frameHeader, err error) {
	if len(b) < 5 {
		return h, io.ErrUnexpectedEOF
	}
	descriptor := b[4]
	single := descriptor&0x20 != 0
	h.checksum = descriptor&0x04 != 0
	dict := [4]int{0, 1, 2, 4}[descriptor&3]
	size := [4]int{0, 2, 4, 8}[descriptor>>6]
	if single && size == 0 {
		size = 1
	}
	h.length = 5 + dict + size
	if !single {
		h.length++
	}
	if len(b) < h.length {
		return h, io.ErrUnexpectedEOF
	}
	if descriptor&0x08 != 0 {
		return h, errors.New("the reserved bit of a frame is set")
	}
	for _, c := range b[h.length-size-dict : h.length-size] {
		if c != 0 {
			return h, errors.New("a frame wants a dictionary, and there is none")
		}
	}
	h.hasSize = size > 0
	var field [8]byte
	copy(field[:], b[h.length-size:h.length])
	h.size = binary.LittleEndian.Uint64(field[:])
	if size == 2 {
		h.size += 256
	}
	h.window = h.size
	if !single {
		base := uint64(1) << (10 + b[5]>>3)
		h.window = base + base/8*uint64(b[5]&7)
	}
	return h, nil
}

// frame is the reader of exactly one frame.
type frame struct {
	m        *meter
	left     int  // bytes of the header, block or checksum that is being read
	last     bool // the last block was found
	checksum bool // four bytes follow the last block
}

// Read implements io.Reader.
func (f *frame) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.left == 0 {
		if f.last {
			return 0, io.EOF
		}
		if err := f.block(); err != nil {
			return 0, err
		}
	}
	n, err := f.m.buf.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, unexpected(err)
}

// block finds the length of the next block (RFC 8878, 3.1.1.2).
func (f *frame) block() error {
	b, err := f.m.peek(3)
	if err != nil {
		return err
	}
	if len(b) < 3 {
		return io.ErrUnexpectedEOF
	}
	header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	size := int(header >> 3)
	if size > maxZstdBlock {
		return fmt.Errorf("a block of %d bytes", size)
	}
	f.last = header&1 != 0
	switch header >> 1 & 3 {
	case 0, 2: // as it is, compressed
		f.left = 3 + size
	case 1: // one byte, repeated
		f.left = 3 + 1
	default:
		return errors.New("a block of an unknown type")
	}
	if f.last && f.checksum {
		f.left += 4
	}
	return nil
}

// done tells whether all of the frame was read.
func (f *frame) done() bool { return f.last && f.left == 0 }
