package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// MaxValue is how many bytes a [Pair] holds at most: 1 MiB.
const MaxValue = 1 << 20

// A copy is
//
//	offset  0   8 bytes   magic
//	offset  8   uint32    format version, 1
//	offset 12   uint32    length of the value
//	offset 16   uint64    generation, 1 or more
//	offset 24   the value
//	then        uint32    CRC-32C of everything before
//
// all numbers little-endian. What follows in the file is the rest of a longer
// value that was there before: see [Pair].
const (
	copyMagic  = "LeapPair"
	copyFormat = 1
	headerLen  = 24
	sumLen     = 4
	maxCopy    = headerLen + MaxValue + sumLen
)

// What is wrong with a copy. Texts for people; nobody decides by them.
var (
	errEmpty  = errors.New("empty")
	errMagic  = errors.New("not a record (bad magic)")
	errLength = errors.New("torn or too long (bad length)")
	errSum    = errors.New("torn or altered (bad checksum)")
	errNumber = errors.New("bad generation number")
)

// Not a package variable that changes: the table is made once by the compiler's
// start-up code and only read.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeCopy makes the bytes of one copy.
func encodeCopy(generation uint64, value []byte) []byte {
	b := make([]byte, 0, headerLen+len(value)+sumLen)
	b = append(b, copyMagic...)
	b = binary.LittleEndian.AppendUint32(b, copyFormat)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = binary.LittleEndian.AppendUint64(b, generation)
	b = append(b, value...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeCopy finds the value in the bytes of a copy, or says what is wrong
// with it. The value is a part of b.
func decodeCopy(b []byte) (generation uint64, value []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errEmpty
	}
	if len(b) < headerLen+sumLen {
		return 0, nil, errLength
	}
	if string(b[:8]) != copyMagic {
		return 0, nil, errMagic
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != copyFormat {
		return 0, nil, fmt.Errorf("written in format %d, this program knows %d", v, copyFormat)
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if n > MaxValue || int(n) > len(b)-headerLen-sumLen {
		return 0, nil, errLength
	}
	end := headerLen + int(n)
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return 0, nil, errSum
	}
	generation = binary.LittleEndian.Uint64(b[16:])
	if generation == 0 || generation == math.MaxUint64 {
		return 0, nil, errNumber // never written, and the next one could not be counted
	}
	return generation, b[headerLen:end:end], nil
}
