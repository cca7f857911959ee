package diff

import (
	"errors"
	"io"
)

// Magic numbers and sizes of the bzip2 format.
const (
	bzipBlockMagic = 0x314159265359
	bzipEndMagic   = 0x177245385090
	bzipLevelBytes = 100_000  // block size per level, levels 1 to 9
	runA, runB     = 0, 1     // digits of the length of a run of zeros
	runBytes       = 4        // equal bytes after which a count follows
	smallBlock     = 64 << 10 // bytes of a block below which little room is taken
)

// unsorter is what undoing a block takes and what nobody needs afterwards, so
// that the three streams of a patch share one.
type unsorter struct {
	links     []uint32 // position of the next byte <<8 | this byte
	tables    [maxTables]codeTable
	selectors [maxSelectors]uint8
}

// bunzip reads one bzip2 stream that fills a section of a patch exactly. It
// holds a block as bytes (at most 900,000, and no more than the largest block
// really held). The standard library's reader holds four times that for each
// stream, whatever the block holds.
type bunzip struct {
	in   bitReader
	tmp  *unsorter
	name string // of the section, for errors
	// covered is set where another checksum is over the whole stream: its
	// own, one for each block, are not compared then.
	covered bool

	opened   bool
	maxBlock int
	block    []byte // the current block: sorting undone, runs still counted
	at       int    // next byte of block
	last     byte   // the byte of the current run
	same     int    // how often it was seen in a row, up to runBytes
	repeat   int    // how often it is still owed

	blockCRC, wantCRC, streamCRC uint32
	err                          error // sticky; io.EOF after a good end
}

func newBunzip(src io.ReaderAt, off, size int64, tmp *unsorter, name string) *bunzip {
	return &bunzip{in: newBitReader(src, off, size), tmp: tmp, name: name}
}

// Read gives the bytes of the stream. Only at its good end, with all checksums
// right and the section used up, is the error io.EOF.
func (z *bunzip) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if z.err != nil {
			return n, z.err
		}
		if z.at == len(z.block) && z.repeat == 0 {
			z.err = z.named(z.advance())
			continue
		}
		n += z.expand(p[n:])
	}
	return n, nil
}

// named gives errors about the stream the name of the section.
func (z *bunzip) named(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) && !isReadError(err) {
		return cutShort(z.name)
	}
	return err
}

func isReadError(err error) bool {
	var re *ReadError
	return errors.As(err, &re)
}

// expand writes bytes of the current block to p, with the runs written out.
func (z *bunzip) expand(p []byte) int {
	n := 0
	for n < len(p) {
		if z.repeat > 0 {
			run := p[n:min(len(p), n+z.repeat)]
			if z.last == 0 {
				clear(run)
			} else {
				for i := range run {
					run[i] = z.last
				}
			}
			if !z.covered {
				z.blockCRC = crcRun(z.blockCRC, z.last, len(run))
			}
			n += len(run)
			z.repeat -= len(run)
			continue
		}
		if z.at == len(z.block) {
			break
		}
		if z.same == runBytes {
			z.repeat, z.same = int(z.block[z.at]), 0
			z.at++
			continue
		}
		k := z.single(p[n:])
		if !z.covered {
			z.blockCRC = crcUpdate(z.blockCRC, p[n:n+k])
		}
		n += k
	}
	return n
}

// single copies bytes up to where a count is due.
func (z *bunzip) single(p []byte) int {
	in := z.block[z.at:]
	if len(p) > len(in) {
		p = p[:len(in)]
	}
	in = in[:len(p)]
	last, same := z.last, z.same
	for i, b := range in {
		p[i] = b
		if b != last {
			last, same = b, 0
		}
		if same++; same == runBytes {
			in = in[:i+1]
			break
		}
	}
	z.last, z.same = last, same
	z.at += len(in)
	return len(in)
}

// advance ends the current block, if there is one, and begins the next.
func (z *bunzip) advance() error {
	if !z.opened {
		return z.open()
	}
	if len(z.block) > 0 {
		if z.same == runBytes {
			return badf("a block of the %s ends inside a run", z.name)
		}
		if ^z.blockCRC != z.wantCRC && !z.covered {
			return badf("a block of the %s has a wrong checksum", z.name)
		}
		z.streamCRC = (z.streamCRC<<1 | z.streamCRC>>31) ^ z.wantCRC
		z.block, z.at, z.same = z.block[:0], 0, 0
	}
	magic := uint64(z.in.take(24))<<24 | uint64(z.in.take(24))
	sum := z.in.take(32)
	if err := z.in.short(); err != nil {
		return err
	}
	switch magic {
	case bzipBlockMagic:
		z.wantCRC, z.blockCRC = sum, ^uint32(0)
		err := z.readBlock()
		if short := z.in.short(); short != nil {
			return short // the zeros behind the end look like any error
		}
		return err
	case bzipEndMagic:
		return z.close(sum)
	}
	return badf("the %s is damaged between two blocks", z.name)
}

// open reads the head of the stream.
func (z *bunzip) open() error {
	magic, level := z.in.take(24), z.in.take(8)
	if err := z.in.short(); err != nil {
		return err
	}
	if magic != 'B'<<16|'Z'<<8|'h' || level < '1' || level > '9' {
		return badf("the %s is not a bzip2 stream", z.name)
	}
	z.opened = true
	z.maxBlock = int(level-'0') * bzipLevelBytes
	return nil
}

// close checks the end of the stream. What comes back is never nil.
func (z *bunzip) close(sum uint32) error {
	if sum != z.streamCRC {
		return badf("the %s has a wrong checksum", z.name)
	}
	if !z.in.atEnd() {
		return badf("there are bytes behind the end of the %s", z.name)
	}
	z.block = nil
	return io.EOF
}

// grown gives room for at least n more elements: a little, or all that a block
// can hold. There is no step in between, since what is thrown away on the way
// costs more than room that is never touched.
func grown[T any](s []T, n, most int) []T {
	size := most
	if len(s)+n <= smallBlock {
		size = min(smallBlock, most)
	}
	bigger := make([]T, len(s), size)
	copy(bigger, s)
	return bigger
}

// unsort turns the last column of the sorted rotations, which is in z.block,
// into the block itself. start is the row of the block's own rotation.
func (z *bunzip) unsort(start uint32) {
	var first [256]uint32
	for _, b := range z.block {
		first[b]++
	}
	sum := uint32(0)
	for b, n := range first {
		first[b] = sum
		sum += n
	}
	if cap(z.tmp.links) < len(z.block) {
		z.tmp.links = grown(z.tmp.links[:0], len(z.block), z.maxBlock)
	}
	links := z.tmp.links[:len(z.block)]
	for i, b := range z.block {
		links[first[b]] = uint32(i)<<8 | uint32(b)
		first[b]++
	}
	row := start
	for i := range z.block {
		link := links[row]
		z.block[i] = byte(link)
		row = link >> 8
	}
}
