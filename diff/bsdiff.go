package diff

import (
	"encoding/binary"
	"io"
	"math"
)

// The BSDIFF40 header: magic, then three numbers (length of the control
// section, length of the diff section, size of the new image). The extra
// section is the rest of the file.
const (
	bsdiffMagic  = "BSDIFF40"
	bsdiffHeader = 32
	recordSize   = 24
)

// recordsFree and bytesPerRecord cap the records of a patch at
// recordsFree + new size / bytesPerRecord. The classic generator needs a gain
// of more than eight bytes for a record, so that its patches stay far below.
const (
	recordsFree    = 1024
	bytesPerRecord = 4
)

// Format names a patch format.
type Format string

const (
	// BSDIFF40 is the format of the classic bsdiff and bspatch.
	BSDIFF40 Format = "bsdiff40"
	// BSDIFF43 is the same in one interleaved stream, ENDSLEY/BSDIFF43, as
	// Endsley's bsdiff writes it. It is only read.
	BSDIFF43 Format = "bsdiff43"
)

// The header of BSDIFF43: magic, and the size of the new image.
const (
	endsleyMagic  = "ENDSLEY/BSDIFF43"
	endsleyHeader = 24
)

// MagicSize is how many bytes [Detect] needs.
const MagicSize = 8

// Detect tells the format of a patch from its first [MagicSize] bytes or more.
func Detect(head []byte) (Format, bool) {
	if len(head) < MagicSize {
		return "", false
	}
	switch string(head[:MagicSize]) {
	case bsdiffMagic:
		return BSDIFF40, true
	case nativeMagic:
		return Native, true
	case endsleyMagic[:MagicSize]:
		return BSDIFF43, true
	}
	return "", false
}

// header is a checked BSDIFF40 header: the sections are within the patch.
type header struct {
	ctrl, diff, extra int64 // lengths of the sections
	newSize           int64
}

func readHeader(patch io.ReaderAt, size int64) (header, error) {
	var h header
	if size < 0 {
		return h, badf("its size is given as %d bytes", size)
	}
	var raw [bsdiffHeader]byte
	got := raw[:min(size, bsdiffHeader)]
	if n, err := readFull(patch, got, 0); err != nil {
		return h, &ReadError{From: FromPatch, Off: int64(n), Err: err}
	}
	if len(got) >= MagicSize {
		if f, _ := Detect(got); f != BSDIFF40 {
			return h, badf("it does not begin with %s", bsdiffMagic)
		}
	}
	if size < bsdiffHeader {
		return h, cutShort("header")
	}
	h.ctrl, h.diff, h.newSize = number(raw[8:]), number(raw[16:]), number(raw[24:])
	switch left := size - bsdiffHeader; {
	case h.ctrl < 0 || h.diff < 0 || h.newSize < 0:
		return h, badf("its header has a negative length (control %d, diff %d, new image %d)", h.ctrl, h.diff, h.newSize)
	case h.ctrl > left || h.diff > left-h.ctrl:
		return h, cutShort("header's sections")
	default:
		h.extra = left - h.ctrl - h.diff
	}
	return h, nil
}

// number reads the format's integers: little-endian, the top bit is the sign.
// The magnitude has 63 bits, so that neither it nor its negation overflows.
func number(p []byte) int64 {
	u := binary.LittleEndian.Uint64(p)
	n := int64(u & math.MaxInt64)
	if u>>63 == 1 {
		return -n
	}
	return n
}

func appendNumber(p []byte, n int64) []byte {
	if n < 0 {
		return binary.LittleEndian.AppendUint64(p, 1<<63|uint64(-n))
	}
	return binary.LittleEndian.AppendUint64(p, uint64(n))
}

// record is one instruction: add diff bytes to the old image's bytes at the
// current position, then copy extra bytes, then move the position by seek.
type record struct {
	diff, extra, seek int64
}

// control reads the records of a patch and holds each of them to the rules in
// the package comment, whatever is done with them afterwards.
type control struct {
	in      *bunzip
	oldSize int64 // math.MaxInt64 when there is no old image
	oldPos  int64 // where the next record's diff begins
	newLeft int64 // what the next records have to produce
	left    int64 // records that may still come
	read    int64
	raw     [recordSize]byte
}

func newControl(in *bunzip, oldSize, newSize int64) *control {
	return &control{in: in, oldSize: oldSize, newLeft: newSize, left: recordsFree + newSize/bytesPerRecord}
}

// next gives a record and the old position at which it begins.
func (c *control) next() (r record, oldPos int64, err error) {
	raw := c.raw[:] // not on the stack: it would escape with every record
	if _, err := io.ReadFull(c.in, raw); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = cutShort("control section: the new image is not complete")
		}
		return r, 0, err
	}
	r = record{number(raw[0:]), number(raw[8:]), number(raw[16:])}
	c.read++
	if c.left--; c.left < 0 {
		return r, 0, badf("it has more than %d records, too many for its new image", c.read-1)
	}
	if err := c.check(r); err != nil {
		return r, 0, err
	}
	oldPos = c.oldPos
	c.newLeft -= r.diff + r.extra
	c.oldPos += r.diff + r.seek
	return r, oldPos, nil
}

func (c *control) check(r record) error {
	switch {
	case r.diff < 0 || r.extra < 0:
		return badf("record %d has a negative length (diff %d, extra %d)", c.read, r.diff, r.extra)
	case r == record{}:
		return badf("record %d does nothing", c.read)
	case r.diff > c.newLeft || r.extra > c.newLeft-r.diff:
		return badf("record %d is longer than what is left of the new image (diff %d, extra %d, left %d)", c.read, r.diff, r.extra, c.newLeft)
	case r.diff > c.oldSize-c.oldPos:
		return badf("record %d reads behind the end of the old image (%d bytes at %d, size %d)", c.read, r.diff, c.oldPos, c.oldSize)
	}
	at := c.oldPos + r.diff
	if r.seek < -at || r.seek > c.oldSize-at {
		return badf("record %d seeks outside of the old image (from %d by %d, size %d)", c.read, at, r.seek, c.oldSize)
	}
	return nil
}

// finish checks that the section ends here.
func (c *control) finish() error { return ends(c.in, "records") }

// ends checks that z has nothing left and is sound to its end.
func ends(z *bunzip, what string) error {
	var one [1]byte
	switch _, err := z.Read(one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return badf("the %s has more %s than the new image takes", z.name, what)
	default:
		return err
	}
}
