package diff

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// codec says how a section of a frame is compressed.
type codec uint8

// The codecs of version 1 of the native format. Their numbers are on the wire.
const (
	codecRaw  codec = iota
	codecZstd       // one zstd frame, its window at most framePlain
	codecBzip       // one bzip2 stream of at most bzipPlain bytes
	codecLast = codecBzip
)

const (
	knownCodecs = 1<<(codecLast+1) - 1
	// bzipPlain is the most that a section holds that is compressed with
	// bzip2: undoing it takes five times as much.
	bzipPlain = 400_000
)

func (c codec) String() string {
	switch c {
	case codecRaw:
		return "raw"
	case codecZstd:
		return "zstd"
	case codecBzip:
		return "bzip2"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// decoder undoes the codecs. What it holds is made when it is first needed.
type decoder struct {
	zstd *zstd.Decoder
	bzip *unsorter
}

// decode fills dst, which has the length that was announced, from src.
func (d *decoder) decode(c codec, dst, src []byte, name string) error {
	switch c {
	case codecRaw:
		copy(dst, src)
		return nil
	case codecZstd:
		return d.unzstd(dst, src, name)
	}
	if len(dst) > bzipPlain {
		return badf("its %s is too long for bzip2 (%d bytes)", name, len(dst))
	}
	if d.bzip == nil {
		d.bzip = new(unsorter)
	}
	z := newBunzip(bytes.NewReader(src), 0, int64(len(src)), d.bzip, name)
	if level := src[min(3, len(src)-1)]; level > '0'+bzipPlain/bzipLevelBytes {
		return badf("its %s is in blocks that are too large", name)
	}
	if _, err := io.ReadFull(z, dst); err != nil {
		return early(err, z)
	}
	return ends(z, "bytes")
}

func (d *decoder) unzstd(dst, src []byte, name string) error {
	if d.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(framePlain), zstd.WithDecoderMaxMemory(framePlain), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
		d.zstd = z
	}
	got, err := d.zstd.DecodeAll(src, dst[:0:len(dst)])
	if err != nil {
		return badf("its %s: %v", name, err)
	}
	if len(got) != len(dst) {
		return badf("its %s has %d bytes, and %d were announced", name, len(got), len(dst))
	}
	return nil
}

// encoder tries the codecs on a section.
type encoder struct {
	zstd *zstd.Encoder
	bzip *sorter
}

func newEncoder() (*encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(framePlain))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &encoder{zstd: z, bzip: new(sorter)}, nil
}

// bzipWorth is by how much of a section (one part in so many) bzip2 has to be
// smaller than zstd: it takes thirty times as long to undo.
const bzipWorth = 50

// encode gives the smallest form of a section.
func (e *encoder) encode(plain []byte) (codec, []byte) {
	best, out := codecRaw, plain
	if z := e.zstd.EncodeAll(plain, nil); len(z) < len(out) {
		best, out = codecZstd, z
	}
	if len(plain) > bzipPlain || len(out) < 64 {
		return best, out
	}
	level := (len(plain)+bzipSpare)/bzipLevelBytes + 1
	b := newBzipLevel(e.bzip, min(level, bzipPlain/bzipLevelBytes))
	b.write(plain)
	if z := b.finish(); len(z) < len(out)-len(out)/bzipWorth {
		best, out = codecBzip, z
	}
	return best, out
}
