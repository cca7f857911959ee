package unpack

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
)

// Signatures of the records of a zip (APPNOTE.TXT 4.3).
const (
	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
	sigCentral    = 0x02014b50
	sigEnd64      = 0x06064b50
	sigLocator64  = 0x07064b50
	sigEnd        = 0x06054b50
)

// Flags and methods that a zip's entry can have here.
const (
	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3 // sizes and checksum follow the data
	flagPatch      = 1 << 5
	flagStrong     = 1 << 6
	flagMasked     = 1 << 13

	methodStore   = 0
	methodDeflate = 8
)

// zipEntry is what the local header and the data of an entry said. The central
// directory must say the same.
type zipEntry struct {
	name         string
	offset       int64 // of the local header, in the package
	method       uint16
	flags        uint16
	crc          uint32
	packed, size uint64
}

func (e *zipEntry) dir() bool { return strings.HasSuffix(e.name, "/") }

// zipped reads the one regular member of a zip from front to end. A zip is made
// to be read from its end; here the end has to agree with what was read.
type zipped struct {
	m       *meter
	budget  *budget
	entries []zipEntry
	image   bool

	// The entry that is being read is the last of entries.
	body  io.Reader // nil = between two entries
	start int64     // offset of its data
	got   uint64    // bytes unpacked
	crc   hash.Hash32
	flate io.ReadCloser
}

func newZip(m *meter, b *budget) *zipped {
	return &zipped{m: m, budget: b, crc: crc32.NewIEEE()}
}

func (z *zipped) boundary() bool { return false }

// Read implements io.Reader.
func (z *zipped) Read(p []byte) (int, error) {
	for {
		if z.body == nil {
			if err := z.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := z.body.Read(p)
		z.crc.Write(p[:n])
		z.got += uint64(n)
		e := &z.entries[len(z.entries)-1]
		if n > 0 && e.dir() {
			return 0, fmt.Errorf("%w: zip: the directory %q has content", ErrFormat, e.name)
		}
		if err == io.EOF {
			z.body = nil
			err = z.finish(e)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next opens the next entry, or checks the rest and returns io.EOF.
func (z *zipped) next() error {
	b, err := z.m.peek(4)
	if err != nil {
		return err
	}
	if len(b) < 4 {
		return io.ErrUnexpectedEOF
	}
	switch binary.LittleEndian.Uint32(b) {
	case sigLocal:
		return z.open()
	case sigCentral, sigEnd:
		if !z.image {
			return fmt.Errorf("%w: zip: there is no file in it", ErrFormat)
		}
		return (&directory{m: z.m, entries: z.entries}).check()
	}
	return fmt.Errorf("%w: zip: no record at %d", ErrFormat, z.m.used())
}

// open reads a local header (4.3.7).
func (z *zipped) open() error {
	if len(z.entries) == MaxEntries {
		return fmt.Errorf("%w: zip: more than %d entries", ErrFormat, MaxEntries)
	}
	e := zipEntry{offset: z.m.used()}
	var h [30]byte
	if err := z.m.full(h[:]); err != nil {
		return err
	}
	e.flags, e.method = le16(h[6:]), le16(h[8:])
	e.crc, e.packed, e.size = le32(h[14:]), uint64(le32(h[18:])), uint64(le32(h[22:]))
	if e.flags&(flagEncrypted|flagPatch|flagStrong|flagMasked) != 0 {
		return fmt.Errorf("%w: zip: encrypted", ErrFormat)
	}
	name, extra, err := z.m.nameAndExtra(int(le16(h[26:])), int(le16(h[28:])))
	if err != nil {
		return err
	}
	e.name = name
	if err := zip64(extra, &e.size, &e.packed); err != nil {
		return err
	}
	if err := z.admit(&e); err != nil {
		return err
	}
	z.entries = append(z.entries, e)
	z.start, z.got = z.m.used(), 0
	z.crc.Reset()
	return z.unpack(&e)
}

// admit refuses what is not the one image and no directory.
func (z *zipped) admit(e *zipEntry) error {
	if e.dir() {
		return nil
	}
	if z.image {
		return fmt.Errorf("%w: zip: %q is a second file, and which one is the image?", ErrFormat, e.name)
	}
	z.image = true
	if e.flags&flagDescriptor != 0 {
		return nil // the size is not known yet
	}
	return z.budget.fits(e.size)
}

// unpack makes the reader of an entry's data.
func (z *zipped) unpack(e *zipEntry) error {
	switch e.method {
	case methodStore:
		if e.flags&flagDescriptor != 0 {
			return fmt.Errorf("%w: zip: %q is stored without saying how long it is (pack it with deflate, or not through a pipe)", ErrFormat, e.name)
		}
		if e.packed != e.size {
			return fmt.Errorf("%w: zip: %q is stored and has two sizes", ErrFormat, e.name)
		}
		z.body = &exactly{m: z.m, left: e.packed}
	case methodDeflate:
		if z.flate == nil {
			z.flate = flate.NewReader(z.m.buf)
		} else if err := z.flate.(flate.Resetter).Reset(z.m.buf, nil); err != nil {
			return err
		}
		z.body = z.flate
	default:
		return fmt.Errorf("%w: zip: %q is packed by method %d, which is not supported (use deflate)", ErrFormat, e.name, e.method)
	}
	return nil
}

// finish compares what an entry's data turned out to be with what was said of
// it, before or after.
func (z *zipped) finish(e *zipEntry) error {
	packed, crc := uint64(z.m.used()-z.start), z.crc.Sum32()
	if e.flags&flagDescriptor != 0 {
		e.packed, e.size, e.crc = packed, z.got, crc
		return z.descriptor(e)
	}
	if e.packed != packed || e.size != z.got || e.crc != crc {
		return fmt.Errorf("%w: zip: %q is not what its header says (size or checksum)", ErrFormat, e.name)
	}
	return nil
}

// descriptor reads the data descriptor (4.3.9), of which there are four forms,
// with and without a signature, with sizes of four and of eight bytes, and
// nothing says which it is. We know what must be in it, so the one that
// fits, and is followed by another record, is it.
func (z *zipped) descriptor(e *zipEntry) error {
	b, err := z.m.peek(24 + 4)
	if err != nil {
		return err
	}
	for _, form := range descriptorForms(e) {
		if len(b) < len(form)+4 || string(b[:len(form)]) != string(form) {
			continue
		}
		if sig := le32(b[len(form):]); sig == sigLocal || sig == sigCentral {
			return z.m.skip(int64(len(form)))
		}
	}
	return fmt.Errorf("%w: zip: %q is not what its data descriptor says (size or checksum)", ErrFormat, e.name)
}

func descriptorForms(e *zipEntry) [4][]byte {
	le := binary.LittleEndian
	plain := le.AppendUint32(nil, e.crc)
	long := le.AppendUint64(le.AppendUint64(plain[:4:4], e.packed), e.size)
	short := le.AppendUint32(le.AppendUint32(plain[:4:4], uint32(e.packed)), uint32(e.size))
	if e.packed > 0xFFFFFFFF || e.size > 0xFFFFFFFF {
		short = long
	}
	sig := le.AppendUint32(nil, sigDescriptor)
	return [4][]byte{append(sig[:4:4], long...), append(sig[:4:4], short...), long, short}
}

// exactly reads a known number of bytes.
type exactly struct {
	m    *meter
	left uint64
}

// Read implements io.Reader.
func (x *exactly) Read(p []byte) (int, error) {
	if x.left == 0 {
		return 0, io.EOF
	}
	if uint64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.m.Read(p)
	x.left -= uint64(n)
	return n, unexpected(err)
}

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
