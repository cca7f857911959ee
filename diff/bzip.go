package diff

import "encoding/binary"

// Sizes that a bzip2 writer keeps to. Blocks stay 19 bytes below their nominal
// size, as those of libbz2 do, since some readers count on it.
const (
	bzipLevel    = 9
	bzipSpare    = 19
	bzipBlock    = bzipLevel*bzipLevelBytes - bzipSpare
	bzipMaxRun   = 255 // longest run in one piece: 4 bytes and a count up to 251
	bzipRunSpace = 5   // what a run takes at most
)

// sorter is what packing a block takes; several bzip may share one, one block
// at a time.
type sorter struct {
	sa      []int32
	rotated []byte
	symbols []uint16
	lens    [maxTables][maxSymbols]uint8
}

// bzip writes one bzip2 stream. The standard library only reads them, and the
// classic bspatch stops at the end of the first stream of a section, so that
// it has to be one.
type bzip struct {
	out   bitWriter
	tmp   *sorter
	most  int    // bytes of a block
	block []byte // runs counted
	last  byte   // the byte of the current run
	run   int    // its length so far, not yet in block

	blockCRC, streamCRC uint32
}

func newBzip(tmp *sorter) *bzip { return newBzipLevel(tmp, bzipLevel) }

// newBzipLevel begins a stream with blocks of level times 100,000 bytes.
func newBzipLevel(tmp *sorter, level int) *bzip {
	z := &bzip{tmp: tmp, most: level*bzipLevelBytes - bzipSpare, blockCRC: ^uint32(0)}
	z.out.put('B'<<16|'Z'<<8|'h', 24)
	z.out.put('0'+uint32(level), 8)
	return z
}

// write adds bytes to the stream.
func (z *bzip) write(p []byte) {
	for i := 0; i < len(p); {
		b := p[i]
		if z.run > 0 && (b != z.last || z.run == bzipMaxRun) {
			z.endRun()
		}
		z.last = b
		from, most := i, min(len(p), i+bzipMaxRun-z.run)
		i++
		for same := uint64(b) * 0x0101010101010101; i+8 <= most && binary.LittleEndian.Uint64(p[i:]) == same; i += 8 {
		}
		for ; i < most && p[i] == b; i++ {
		}
		z.run += i - from
	}
}

// endRun moves the current run into the block; a full block is packed first,
// so that a run is never split and the block ends with its count.
func (z *bzip) endRun() {
	if len(z.block) > z.most-bzipRunSpace {
		z.endBlock()
	}
	z.blockCRC = crcRun(z.blockCRC, z.last, z.run)
	for range min(z.run, runBytes) {
		z.block = append(z.block, z.last)
	}
	if z.run >= runBytes {
		z.block = append(z.block, byte(z.run-runBytes))
	}
	z.run = 0
}

// finish ends the stream and gives all of it.
func (z *bzip) finish() []byte {
	if z.run > 0 {
		z.endRun()
	}
	if len(z.block) > 0 {
		z.endBlock()
	}
	z.block = nil
	z.out.put(bzipEndMagic>>24, 24)
	z.out.put(bzipEndMagic&0xffffff, 24)
	z.out.put(z.streamCRC, 32)
	return z.out.finish()
}

func (z *bzip) endBlock() {
	sum := ^z.blockCRC
	z.streamCRC = (z.streamCRC<<1 | z.streamCRC>>31) ^ sum
	z.out.put(bzipBlockMagic>>24, 24)
	z.out.put(bzipBlockMagic&0xffffff, 24)
	z.out.put(sum, 32)
	z.out.put(0, 1) // not randomised
	var used [256]bool
	for _, b := range z.block {
		used[b] = true
	}
	start := z.tmp.sortBlock(z.block)
	z.out.put(uint32(start), 24)
	z.putUsed(&used)
	z.tmp.moveToFront(z.block, &used)
	z.putSymbols()
	z.block, z.blockCRC = z.block[:0], ^uint32(0)
}

// putUsed writes which bytes occur in the block.
func (z *bzip) putUsed(used *[256]bool) {
	var rows uint32
	var cols [16]uint32
	for b, yes := range used {
		if yes {
			rows |= 1 << (15 - b>>4)
			cols[b>>4] |= 1 << (15 - b&15)
		}
	}
	z.out.put(rows, 16)
	for _, c := range cols {
		if c != 0 {
			z.out.put(c, 16)
		}
	}
}

// sortBlock turns block into the last column of its sorted rotations, and
// gives the row of the block itself.
//
// Rotations are sorted as suffixes. That is the same when the text begins with
// its smallest rotation: where one suffix is the beginning of another, and so
// comes first, what follows it in the rotation is that smallest one, and so
// not above what follows in the other.
func (s *sorter) sortBlock(block []byte) int {
	n := len(block)
	first := smallestRotation(block)
	s.rotated = append(append(s.rotated[:0], block[first:]...), block[:first]...)
	if cap(s.sa) < n {
		s.sa = make([]int32, n, max(n, min(2*n, bzipBlock)))
	}
	s.sa = s.sa[:n]
	sortSuffixes(s.rotated, s.sa, func() bool { return false })
	own, start := int32((n-first)%n), 0
	for i, j := range s.sa {
		if j == own {
			start = i
		}
		if j == 0 {
			j = int32(n)
		}
		block[i] = s.rotated[j-1]
	}
	return start
}

// smallestRotation gives where the smallest rotation of p begins. It holds two
// candidates against each other; whichever loses at distance k takes the k
// positions behind it along.
func smallestRotation(p []byte) int {
	n := len(p)
	i, j, k := 0, 1, 0
	at := func(x int) byte {
		if x >= n {
			x -= n
		}
		return p[x]
	}
	for i < n && j < n && k < n {
		a, b := at(i+k), at(j+k)
		switch {
		case a == b:
			k++
			continue
		case a > b:
			i += k + 1
		default:
			j += k + 1
		}
		if i == j {
			j++
		}
		k = 0
	}
	return min(i, j)
}

// moveToFront turns the last column into symbols: positions in the list of
// recently seen bytes, runs of zeros as numbers with the digits runA and runB,
// and the end.
func (s *sorter) moveToFront(column []byte, used *[256]bool) {
	var order [256]byte
	n := 0
	for b, yes := range used {
		if yes {
			order[n] = byte(b)
			n++
		}
	}
	out, run := s.symbols[:0], 0
	for _, b := range column {
		if b == order[0] {
			run++
			continue
		}
		out, run = appendZeros(out, run), 0
		prev, i := order[0], 0
		for prev != b {
			i++
			prev, order[i] = order[i], prev
		}
		order[0] = b
		out = append(out, uint16(i+1))
	}
	s.symbols = append(appendZeros(out, run), uint16(n+1))
}

// appendZeros writes a number in the digits 1 (runA) and 2 (runB), the lowest
// first.
func appendZeros(out []uint16, run int) []uint16 {
	for ; run > 0; run = (run - 1) >> 1 {
		out = append(out, uint16((run-1)&1))
	}
	return out
}

// bitWriter collects bits, the most significant first.
type bitWriter struct {
	buf []byte
	acc uint64
	n   uint
}

// put adds the lowest k bits of v, at most 32.
func (w *bitWriter) put(v uint32, k uint) {
	w.acc = w.acc<<k | uint64(v)
	w.n += k
	for w.n >= 8 {
		w.n -= 8
		w.buf = append(w.buf, byte(w.acc>>w.n))
	}
}

// finish fills the last byte with zeros and gives all.
func (w *bitWriter) finish() []byte {
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
	return w.buf
}
