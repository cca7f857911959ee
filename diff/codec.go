package diff

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// codec says how a section of a frame is compressed.
type codec uint8

// The codecs of version 1 of the native format. Their numbers are on the wire.
const (
	codecRaw  codec = iota
	codecZstd       // one zstd frame, its window at most framePlain
	codecBzip       // one bzip2 stream of level bzipSectionLevel or less
	codecLZMA       // see lzma.go
	codecLast = codecLZMA
)

const (
	knownCodecs = 1<<(codecLast+1) - 1
	// bzipSectionLevel is the largest block of bzip2 in a section, in
	// 100,000 bytes: undoing one takes five times as much.
	bzipSectionLevel = 5
)

func (c codec) String() string {
	switch c {
	case codecRaw:
		return "raw"
	case codecZstd:
		return "zstd"
	case codecBzip:
		return "bzip2"
	case codecLZMA:
		return "lzma"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// decoder undoes the codecs. What it holds is made when it is first needed.
type decoder struct {
	zstd  *zstd.Decoder
	bzip  *unsorter
	block []byte // of bzip2, for every section
	lzma  *unlzma
}

// decode fills dst, which has the length that was announced, from src; they are
// the same where nothing is to be undone.
func (d *decoder) decode(c codec, dst, src []byte, name string) error {
	switch c {
	case codecRaw:
		return nil // dst is where it was read to
	case codecZstd:
		return d.unzstd(dst, src, name)
	case codecLZMA:
		if d.lzma == nil {
			d.lzma = new(unlzma)
		}
		return d.lzma.decode(dst, src, name)
	}
	if d.bzip == nil {
		d.bzip = new(unsorter)
		d.block = make([]byte, 0, bzipSectionLevel*bzipLevelBytes)
	}
	z := &bunzip{in: bitsOf(src), tmp: d.bzip, name: name, block: d.block[:0], covered: true}
	if level := src[min(3, len(src)-1)]; level > '0'+bzipSectionLevel {
		return badf("its %s is in blocks that are too large", name)
	}
	switch _, err := io.ReadFull(z, dst); {
	case err == io.ErrUnexpectedEOF: // a good end, but too early
		return cutShort(name)
	case err != nil:
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
	lzma *lzma
	best bool
}

// kindsOfProps are tried by a thorough encoder: for anything, for tables, and for
// code in words of four bytes. The difference is below 1 %.
var kindsOfProps = [...]lzProps{{lc: 3}, {lc: 3, pb: 2}, {lp: 2, pb: 2}}

func newEncoder(best bool) (*encoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(framePlain))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &encoder{zstd: z, bzip: new(sorter), lzma: new(lzma), best: best}, nil
}

// bzipWorth is by how much of a section (one part in so many) bzip2 has to be
// smaller than the others: it takes several times as long to undo.
const bzipWorth = 50

// encode gives the smallest form of a section.
func (e *encoder) encode(plain []byte) (codec, []byte) {
	best, out := codecRaw, plain
	if z := e.zstd.EncodeAll(plain, nil); len(z) < len(out) {
		best, out = codecZstd, z
	}
	if len(out) < 64 {
		return best, out
	}
	if z := e.pack(plain); len(z) < len(out) {
		best, out = codecLZMA, z
	}
	level := (len(plain)+bzipSpare)/bzipLevelBytes + 1
	b := newBzipLevel(e.bzip, min(level, bzipSectionLevel))
	b.write(plain)
	if z := b.finish(); len(z) < len(out)-len(out)/bzipWorth {
		best, out = codecBzip, z
	}
	return best, out
}

// pack gives the section in LZMA. Which properties suit it shows in its middle.
func (e *encoder) pack(plain []byte) []byte {
	const sample = 128 << 10
	props := kindsOfProps[0]
	if !e.best {
		return bytes.Clone(e.lzma.encode(plain, props, normal))
	}
	least := math.MaxInt
	from := max(0, len(plain)/2-sample/2) &^ 15 // positions count in them
	for _, kind := range kindsOfProps {
		if n := len(e.lzma.encode(plain[from:min(len(plain), from+sample)], kind, hasty)); n < least {
			props, least = kind, n
		}
	}
	return bytes.Clone(e.lzma.encode(plain, props, thorough))
}
