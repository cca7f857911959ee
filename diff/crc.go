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

// fullRun is the longest count behind a run of bzip2: runs of zeros, of which
// images are full, are made of those.
const fullRun = bzipMaxRun - runBytes

// crcRuns is what fullRun equal bytes do to a checksum, which is linear in the
// checksum and in the byte: the bytes of the one, and the other.
type crcRuns struct {
	state [4][256]uint32
	run   [256]uint32
}

var crcFull = makeCRCRuns()

func makeCRCRuns() *crcRuns {
	var t crcRuns
	for b := 1; b < 256; b++ {
		low, rest := b&-b, b&(b-1) // its lowest bit, and all others
		if rest == 0 {
			t.run[b] = crcShort(0, byte(b), fullRun)
		} else {
			t.run[b] = t.run[low] ^ t.run[rest]
		}
		for i := range t.state {
			if rest == 0 {
				t.state[i][b] = crcShort(uint32(b)<<(8*i), 0, fullRun)
			} else {
				t.state[i][b] = t.state[i][low] ^ t.state[i][rest]
			}
		}
	}
	return &t
}

// crcRun is crcUpdate for n times the same byte.
func crcRun(crc uint32, b byte, n int) uint32 {
	if n >= fullRun {
		t := crcFull
		n -= fullRun
		crc = t.state[0][crc&0xff] ^ t.state[1][crc>>8&0xff] ^ t.state[2][crc>>16&0xff] ^ t.state[3][crc>>24] ^ t.run[b]
	}
	return crcShort(crc, b, n)
}

// crcShort does the same byte by byte.
func crcShort(crc uint32, b byte, n int) uint32 {
	for ; n > 0; n-- {
		crc = crc<<8 ^ crcTable[0][byte(crc>>24)^b]
	}
	return crc
}
