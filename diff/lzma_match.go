package diff

import "encoding/binary"

// lzMatch is a place to copy from: a length and a distance less one.
type lzMatch struct{ length, dist uint32 }

// Limits of the search.
const (
	lzHashBits = 16
	lzShortFar = 1 << 14 // how far back matches of two and three bytes are worth it
)

// lzEffort is how long is looked for a match.
type lzEffort struct {
	depth int // nodes of a tree that are looked at
	nice  int // a match so long ends the plan: it is taken
}

// In diff bytes runs of zeros are long: what takes them whole (thorough) packs 3 to
// 5 % smaller in half as much time again, and hasty serves to compare properties.
var (
	hasty    = lzEffort{depth: 16, nice: 32}
	normal   = lzEffort{depth: 48, nice: 128}
	thorough = lzEffort{depth: 512, nice: lzMaxMatch}
)

// lzTrees finds, for each length, the nearest earlier place of what follows:
// binary trees of suffixes by the hash of their first four bytes, and the last
// places of two and of three bytes.
type lzTrees struct {
	p     []byte
	hash4 [1 << lzHashBits]int32
	hash3 [1 << lzHashBits]int32
	hash2 [1 << 16]int32
	sons  []int32 // of each position: smaller, larger; plus one
	found []lzMatch
	depth int
	nice  int
	// runEnd is where the run of equal bytes ends that the last position is in.
	runEnd int
}

func (t *lzTrees) reset(p []byte) {
	t.p = p
	t.runEnd = 0
	clear(t.hash4[:])
	clear(t.hash3[:])
	clear(t.hash2[:])
	if cap(t.sons) < 2*len(p) {
		t.sons = make([]int32, 2*framePlain)
	}
	t.sons = t.sons[:2*len(p)]
}

// at gives the matches at pos, longer and farther ones later, and enters pos.
// It has to be called for every position in order.
func (t *lzTrees) at(pos int) []lzMatch {
	t.found = t.found[:0]
	s := t.p[pos:]
	if len(s) < 4 {
		return t.found
	}
	if t.inRun(pos) {
		return append(t.found, lzMatch{uint32(min(t.runEnd-pos, lzMaxMatch)), 0})
	}
	v := binary.LittleEndian.Uint32(s)
	h2, h3, h4 := v&0xffff, v<<8*0x9e3779b1>>(32-lzHashBits), v*0x9e3779b1>>(32-lzHashBits)
	best := 1
	for _, place := range [2]int32{t.hash2[h2], t.hash3[h3]} {
		if from := int(place) - 1; from >= 0 {
			if n := common(t.p[from:], s[:min(len(s), lzMaxMatch)]); n > best && pos-from <= lzShortFar {
				best = n
				t.found = append(t.found, lzMatch{uint32(n), uint32(pos - from - 1)})
			}
		}
	}
	first := t.hash4[h4]
	t.hash2[h2], t.hash3[h3], t.hash4[h4] = int32(pos+1), int32(pos+1), int32(pos+1)
	t.descend(pos, first, best)
	return t.found
}

// inRun says whether pos is inside of a run of equal bytes that goes on for as long
// as is looked for: then the byte before is as good a place as any, and no tree
// needs to know this one.
func (t *lzTrees) inRun(pos int) bool {
	if pos >= t.runEnd {
		b := t.p[pos]
		for t.runEnd = pos + 1; t.runEnd < len(t.p) && t.p[t.runEnd] == b; t.runEnd++ {
		}
		return false
	}
	return t.runEnd-pos >= t.nice
}

// descend searches the tree and makes pos its root.
func (t *lzTrees) descend(pos int, node int32, best int) {
	smaller, larger := 2*pos, 2*pos+1 // where the next son belongs
	lowLen, highLen := 0, 0
	most := min(len(t.p)-pos, lzMaxMatch)
	for depth := t.depth; ; depth-- {
		if node == 0 || depth == 0 {
			t.sons[smaller], t.sons[larger] = 0, 0
			return
		}
		from := int(node - 1)
		n := min(lowLen, highLen)
		n += common(t.p[from+n:from+most], t.p[pos+n:pos+most])
		if n > best {
			best = n
			t.found = append(t.found, lzMatch{uint32(n), uint32(pos - from - 1)})
		}
		if n == most {
			t.sons[smaller], t.sons[larger] = t.sons[2*from], t.sons[2*from+1]
			return
		}
		if t.p[from+n] < t.p[pos+n] {
			t.sons[smaller] = node
			smaller = 2*from + 1
			node = t.sons[smaller]
			lowLen = n
		} else {
			t.sons[larger] = node
			larger = 2 * from
			node = t.sons[larger]
			highLen = n
		}
	}
}
