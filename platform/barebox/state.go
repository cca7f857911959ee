package barebox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The state on the medium, as barebox's documentation gives it: three copies,
// one a stride, each with a head of its own, the head of the raw format, and
// the variables. Numbers have the byte order of the machine.
const (
	// Copies is how many copies there are.
	Copies = 3
	// metaSize: magic and length of what follows.
	metaSize  = 8
	metaMagic = 0x2354fdf3
	// headSize: magic, reserved, length, CRC32 of the variables, CRC32 of the
	// twelve bytes before.
	headSize = 16
	crcAt    = 12
	// MaxStride is the largest distance of two copies that is taken.
	MaxStride = 1 << 20
	// MaxLength is how many bytes the variables may have: the head has 16 bits.
	MaxLength = 1<<16 - 1
)

var order = binary.NativeEndian

// errSigned means that there is an HMAC behind the variables.
var errSigned = errors.New("it carries an HMAC, whose key only barebox has: use a script instead")

// decode gives the variables of one copy.
func decode(c []byte, magic uint32) ([]byte, error) {
	if len(c) < metaSize+headSize {
		return nil, fmt.Errorf("%d bytes are too few", len(c))
	}
	if got := order.Uint32(c); got != metaMagic {
		return nil, fmt.Errorf("it begins with %#x, a copy begins with %#x", got, uint32(metaMagic))
	}
	written := order.Uint32(c[4:])
	c = c[metaSize:]
	if written < headSize || uint64(written) > uint64(len(c)) {
		return nil, fmt.Errorf("its length is %d, there is room for %d", written, len(c))
	}
	head, c := c[:headSize], c[headSize:written]
	if crc := crc32.ChecksumIEEE(head[:crcAt]); crc != order.Uint32(head[crcAt:]) {
		return nil, errors.New("the checksum of its head is wrong")
	}
	if got := order.Uint32(head); got != magic {
		return nil, fmt.Errorf("its magic is %#x, the state's is %#x", got, magic)
	}
	length := int(order.Uint16(head[6:]))
	if length > len(c) {
		return nil, fmt.Errorf("it has %d bytes of variables, %d are there", length, len(c))
	}
	if crc := crc32.ChecksumIEEE(c[:length]); crc != order.Uint32(head[8:]) {
		return nil, errors.New("the checksum of its variables is wrong")
	}
	if length < len(c) {
		return nil, errSigned
	}
	return bytes.Clone(c), nil
}

// encode writes the variables as a copy to the start of c.
func encode(c, variables []byte, magic uint32) {
	order.PutUint32(c, metaMagic)
	order.PutUint32(c[4:], uint32(headSize+len(variables)))
	head := c[metaSize : metaSize+headSize]
	order.PutUint32(head, magic)
	order.PutUint16(head[4:], 0)
	order.PutUint16(head[6:], uint16(len(variables)))
	order.PutUint32(head[8:], crc32.ChecksumIEEE(variables))
	order.PutUint32(head[crcAt:], crc32.ChecksumIEEE(head[:crcAt]))
	copy(c[metaSize+headSize:], variables)
}

// first gives the variables of the first copy that is whole, which is the one
// that barebox takes, and what is wrong with the copies that are not.
func first(medium []byte, stride int, magic uint32) (used int, variables []byte, wrong error) {
	used = -1
	for i := range Copies {
		v, err := decode(medium[i*stride:(i+1)*stride], magic)
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("copy %d: %w", i, err))
			continue
		}
		if used < 0 {
			used, variables = i, v
		}
	}
	return used, variables, wrong
}
