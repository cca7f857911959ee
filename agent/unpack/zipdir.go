package unpack

import (
	"fmt"
	"io"
)

// In a record of zip these mean "see the zip64 record".
const (
	see64   = 0xFFFFFFFF
	see16   = 0xFFFF
	extra64 = 0x0001 // the extra field of zip64
)

// Systems that made an entry, in the upper byte of "version made by", whose
// attributes are those of Unix.
const (
	madeOnUnix = 3
	madeOnMac  = 19
)

// directory checks the central directory of a zip and what follows.
type directory struct {
	m       *meter
	entries []zipEntry // as they were read
	seen    int
	start   uint64 // offset of the directory
	size    uint64
}

func zipError(format string, args ...any) error {
	return fmt.Errorf("%w: zip: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// check reads to the end of the package and returns io.EOF when all is well.
func (d *directory) check() error {
	d.start = uint64(d.m.used())
	for {
		b, err := d.m.peek(4)
		if err != nil {
			return err
		}
		if len(b) < 4 {
			return io.ErrUnexpectedEOF
		}
		switch le32(b) {
		case sigCentral:
			if err := d.entry(); err != nil {
				return err
			}
		case sigEnd64, sigEnd:
			d.size = uint64(d.m.used()) - d.start
			if d.seen != len(d.entries) {
				return zipError("%d entries, of which the directory knows %d", len(d.entries), d.seen)
			}
			return d.end(le32(b) == sigEnd64)
		default:
			return zipError("no record of the directory at %d", d.m.used())
		}
	}
}

// entry compares a record of the directory (4.3.12) with what was read. They
// must come in the same order.
func (d *directory) entry() error {
	var h [46]byte
	if err := d.m.full(h[:]); err != nil {
		return err
	}
	e := zipEntry{flags: le16(h[8:]), method: le16(h[10:]), crc: le32(h[16:]), packed: uint64(le32(h[20:])), size: uint64(le32(h[24:]))}
	offset := uint64(le32(h[42:]))
	name, extra, err := d.m.nameAndExtra(int(le16(h[28:])), int(le16(h[30:])))
	if err != nil {
		return err
	}
	if err := d.m.skip(int64(le16(h[32:]))); err != nil { // the comment
		return err
	}
	e.name = name
	if err := zip64(extra, &e.size, &e.packed, &offset); err != nil {
		return err
	}
	if d.seen == len(d.entries) {
		return zipError("the directory has %q, which is not there", name)
	}
	e.offset = int64(offset)
	if was := d.entries[d.seen]; e != was {
		return zipError("the directory says otherwise about %q than %q itself", name, was.name)
	}
	d.seen++
	made, attributes := h[5], le32(h[38:])
	if (made == madeOnUnix || made == madeOnMac) && !plain(attributes>>16) {
		return zipError("%q is a link, a device or something else that is no image", name)
	}
	return nil
}

// plain tells whether a file of this Unix mode has content of its own: nothing
// said, a regular file, a directory, or a pipe, which is how zip notes what was
// packed from its standard input.
func plain(mode uint32) bool {
	const (
		typeMask = 0xF000
		pipe     = 0x1000
		folder   = 0x4000
		regular  = 0x8000
	)
	switch mode & typeMask {
	case 0, regular, folder, pipe:
		return true
	}
	return false
}

// end checks the end records.
func (d *directory) end(with64 bool) error {
	if with64 {
		if err := d.end64(); err != nil {
			return err
		}
	}
	var h [22]byte
	if err := d.m.full(h[:]); err != nil {
		return err
	}
	if le32(h[:]) != sigEnd {
		return zipError("no end record")
	}
	agrees := func(field uint64, want, see uint64) bool {
		return field == want || with64 && field == see
	}
	n := uint64(len(d.entries))
	if le16(h[4:]) != 0 && !(with64 && le16(h[4:]) == see16) || le16(h[6:]) != 0 && !(with64 && le16(h[6:]) == see16) {
		return zipError("it is one of several parts")
	}
	if !agrees(uint64(le16(h[8:])), n, see16) || !agrees(uint64(le16(h[10:])), n, see16) ||
		!agrees(uint64(le32(h[12:])), d.size, see64) || !agrees(uint64(le32(h[16:])), d.start, see64) {
		return zipError("its end record does not agree with its directory")
	}
	if err := d.m.skip(int64(le16(h[20:]))); err != nil { // the comment
		return err
	}
	b, err := d.m.peek(1)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		return zipError("something follows its end")
	}
	return io.EOF
}

// end64 checks the end record of zip64 (4.3.14) and its locator (4.3.15).
func (d *directory) end64() error {
	at := uint64(d.m.used())
	var h [56 + 20]byte
	if err := d.m.full(h[:]); err != nil {
		return err
	}
	n := uint64(len(d.entries))
	if le64(h[4:]) != 56-12 || le32(h[16:]) != 0 || le32(h[20:]) != 0 || le64(h[24:]) != n || le64(h[32:]) != n ||
		le64(h[40:]) != d.size || le64(h[48:]) != d.start {
		return zipError("its zip64 end record does not agree with its directory")
	}
	l := h[56:]
	if le32(l) != sigLocator64 || le32(l[4:]) != 0 || le64(l[8:]) != at || le32(l[16:]) != 1 {
		return zipError("its zip64 locator points elsewhere")
	}
	return nil
}

// zip64 replaces the values that say "see zip64" by those of the extra field
// (4.5.3), which has only these, in this order.
func zip64(extra []byte, values ...*uint64) error {
	var field []byte
	for len(extra) >= 4 {
		id, n := le16(extra), int(le16(extra[2:]))
		if n > len(extra)-4 {
			break // some writers pad with what is no field
		}
		if id == extra64 {
			field = extra[4 : 4+n]
			break
		}
		extra = extra[4+n:]
	}
	for _, v := range values {
		if *v != see64 || field == nil {
			continue
		}
		if len(field) < 8 {
			return zipError("its zip64 field is too short")
		}
		if *v = le64(field); *v > 1<<62 {
			return zipError("a size of %d bytes", *v)
		}
		field = field[8:]
	}
	return nil
}

// nameAndExtra reads a name, and checks it, and an extra field.
func (m *meter) nameAndExtra(name, extra int) (string, []byte, error) {
	if name > MaxName {
		return "", nil, fmt.Errorf("%w: a name of %d bytes, at most %d are allowed", ErrFormat, name, MaxName)
	}
	b := make([]byte, name+extra) // both are 16 bits wide
	if err := m.full(b); err != nil {
		return "", nil, err
	}
	s := string(b[:name])
	return s, b[name:], checkName(s)
}
