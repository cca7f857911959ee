package diff

import "encoding/binary"

// bzip2 uses the polynomial of CRC-32 (IEEE 802.3) with the most significant
// bit first, which hash/crc32 does not offer.
const crcPoly = 0x04c11db7

// crcTable is for eight bytes at a time; it never changes.
var crcTable = makeCRCTable()

func makeCRCTable() *[8][256]uint32 {
	var t [8][256]uint32
	for i := range t[0] {
		c := uint32(i) << 24
		for range 8 {
			if c>>31 == 1 {
				c = c<<1 ^ crcPoly
			} else {
				c <<= 1
			}
		}
		t[0][i] = c
	}
	for k := 1; k < 8; k++ {
		for i := range t[k] {
			prev := t[k-1][i]
			t[k][i] = prev<<8 ^ t[0][prev>>24]
		}
	}
	return &t
}

// crcUpdate adds p to a running checksum. The first value is all ones and the
// last one is inverted, both by the caller.
func crcUpdate(crc uint32, p []byte) uint32 {
	t := crcTable
	for len(p) >= 8 {
		x := crc ^ binary.BigEndian.Uint32(p)
		y := binary.BigEndian.Uint32(p[4:])
		crc = t[7][x>>24] ^ t[6][x>>16&0xff] ^ t[5][x>>8&0xff] ^ t[4][x&0xff] ^
			t[3][y>>24] ^ t[2][y>>16&0xff] ^ t[1][y>>8&0xff] ^ t[0][y&0xff]
		p = p[8:]
	}
	for _, b := range p {
		crc = crc<<8 ^ t[0][byte(crc>>24)^b]
	}
	return crc
}

// crcRun is crcUpdate for n times the same byte.
func crcRun(crc uint32, b byte, n int) uint32 {
	var run [32]byte
	if n > 8 {
		for i := range run {
			run[i] = b
		}
	}
	for ; n > len(run); n -= len(run) {
		crc = crcUpdate(crc, run[:])
	}
	for ; n > 0; n-- {
		crc = crc<<8 ^ crcTable[0][byte(crc>>24)^b]
	}
	return crc
}
