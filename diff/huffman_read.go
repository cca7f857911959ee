package diff

// Limits of the bzip2 format.
const (
	maxCodeLen   = 20  // longest Huffman code that a reader must know
	maxSymbols   = 258 // 256 bytes, two run symbols and the end, less one
	maxTables    = 6
	minTables    = 2
	groupSymbols = 50     // symbols that share a table
	maxSelectors = 18_002 // groups in the largest block
)

// lookupBits is the length of the codes found with one look; longer ones are
// rare by their nature.
const lookupBits = 10

// codeTable decodes one canonical Huffman code.
type codeTable struct {
	quick [1 << lookupBits]uint16 // symbol<<5 | length; 0 for a longer code
	// For each length: one past the last code of that length, aligned to
	// maxCodeLen bits, and what to add to a code for its index in perm.
	limit [maxCodeLen + 1]uint32
	shift [maxCodeLen + 1]int32
	perm  [maxSymbols]uint16
}

// build makes the table from the length of each symbol's code, all of them
// between 1 and maxCodeLen. It refuses lengths that no code has.
func (t *codeTable) build(lens []uint8) error {
	var count [maxCodeLen + 2]int32
	for _, l := range lens {
		count[l]++
	}
	clear(t.quick[:])
	var next [maxCodeLen + 1]uint32
	code, index := uint32(0), int32(0)
	for l := 1; l <= maxCodeLen; l++ {
		next[l] = code
		t.shift[l] = index - int32(code)
		index += count[l]
		code += uint32(count[l])
		if code > 1<<l {
			return badf("a bzip2 block has a Huffman code with too many short symbols")
		}
		t.limit[l] = code << (maxCodeLen - l)
		code <<= 1
	}
	for s, l := range lens {
		c := next[l]
		next[l]++
		t.perm[int32(c)+t.shift[l]] = uint16(s)
		if l <= lookupBits {
			first := c << (lookupBits - l)
			for i := range uint32(1) << (lookupBits - l) {
				t.quick[first+i] = uint16(s)<<5 | uint16(l)
			}
		}
	}
	return nil
}

// noSymbol is what next gives for bits that are no code.
const noSymbol = 0xffff

// next decodes one symbol.
func (t *codeTable) next(b *bitReader) uint16 {
	if b.n < maxCodeLen {
		b.fill()
	}
	if e := t.quick[b.acc>>(b.n-lookupBits)&(1<<lookupBits-1)]; e != 0 {
		b.n -= uint(e & 31)
		return e >> 5
	}
	peek := uint32(b.acc >> (b.n - maxCodeLen) & (1<<maxCodeLen - 1))
	for l := lookupBits + 1; l <= maxCodeLen; l++ {
		if peek < t.limit[l] {
			b.n -= uint(l)
			return t.perm[int32(peek>>(maxCodeLen-l))+t.shift[l]]
		}
	}
	return noSymbol
}
