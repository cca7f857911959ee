package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// block is the unit of a tar, in bytes.
const block = 512

// padded is n filled up to whole blocks.
func padded(n int64) int64 { return (n + block - 1) / block * block }

// Where the fields of a header stand (POSIX.1-1988, "ustar").
const (
	atMode, atUID, atGID     = 100, 108, 116
	atSize, sizeLen          = 124, 12
	atTime, atSum, sumLen    = 136, 148, 8
	atType, atMagic, atMajor = 156, 257, 329
	atMinor                  = 337
	// mostOctal is the largest size in octal digits; above, the field is the
	// number itself, big endian, with its first bit set.
	mostOctal = 1<<33 - 1
)

// header is that of a regular file of n bytes: mode 0644, of user and group 0,
// of 1970, without any names but its own.
func header(name string, n int64) []byte {
	h := make([]byte, block)
	copy(h, name)
	for at, text := range map[int]string{
		atMode: "0000644\x00", atUID: "0000000\x00", atGID: "0000000\x00", atTime: "00000000000\x00",
		atType: "0", atMagic: "ustar\x0000", atMajor: "0000000\x00", atMinor: "0000000\x00",
	} {
		copy(h[at:], text)
	}
	if n <= mostOctal {
		copy(h[atSize:], fmt.Sprintf("%011o\x00", n))
	} else {
		h[atSize] = 0x80
		binary.BigEndian.PutUint64(h[atSize+sizeLen-8:], uint64(n))
	}
	// The sum is computed with blanks in its own place.
	copy(h[atSum:atSum+sumLen], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[atSum:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// parseHeader gives the size in a header that header has written for name: 1 to
// most bytes. All but the size is compared, not parsed.
func parseHeader(h []byte, name string, most int64) (int64, error) {
	n, ok := parseSize(h[atSize : atSize+sizeLen])
	if !ok || !bytes.Equal(h, header(name, n)) {
		return 0, bad("its member %q is not where it should be, or not as otapack bundle writes it", name)
	}
	if n < 1 || n > most {
		return 0, bad("%q has %d bytes, allowed are 1 to %d", name, n, most)
	}
	return n, nil
}

// parseSize reads either form of a size. That it is the right one is seen when
// the header is written again.
func parseSize(field []byte) (int64, bool) {
	if field[0] == 0x80 {
		n := binary.BigEndian.Uint64(field[sizeLen-8:])
		return int64(n), n < 1<<62
	}
	var n int64
	for _, c := range field[:sizeLen-1] {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int64(c-'0')
	}
	return n, true
}
