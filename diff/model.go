package diff

import (
	"math"
	"math/bits"
)

// model says what a byte costs behind others, once it is compressed, from how
// often that was seen before. Bytes are diff bytes or extra bytes.
//
// Four contexts are counted, from no byte before to several. Each refines what the
// shorter one says, by as much as it has seen.
type model struct {
	plain  [256]uint16       // by byte
	behind [256][256]uint16  // by the byte before, and byte
	long   [2]counts         // by hashes of more bytes
	masks  [2]uint64         // which bytes before belong to each of long
	totals [257]uint32       // of behind, and at the end of plain
	price  [priceSteps]int16 // of a probability, in cost
}

// cost is in 256ths of a byte.
type cost = int64

const (
	costByte    = 256
	priceSteps  = 4096
	costUnknown = 1.0 / 300 // the probability of a byte of which nothing is known
	// trust is how many sightings a context needs to count as much as the
	// shorter one.
	trust = 1.5
)

// counts are sightings of a byte behind a context, by hash. There is nothing against
// collisions but room: with a quarter of it, patches were up to a third larger.
type counts struct {
	pair, all []uint16
	shift     uint // 64 - bits of pair
}

const (
	countBitsLeast = 12
	countBitsMost  = 22
)

// countBits is the size of the tables for an image of a size.
func countBits(size int64) int {
	return min(max(bits.Len64(uint64(size))-2, countBitsLeast), countBitsMost)
}

// modelMemory is what two models take, in bytes.
func modelMemory(size int64) int64 { return 2 * (2*(2+1)<<countBits(size) + 200<<10) }

func newCounts(bits int) counts {
	return counts{pair: make([]uint16, 1<<bits), all: make([]uint16, 1<<(bits-1)), shift: uint(64 - bits)}
}

func (t *counts) at(ctx uint64, b byte) (pair, all uint64) {
	h := (ctx + 1) * 0x9e3779b97f4a7c15
	return (h ^ uint64(b)*0xc2b2ae3d27d4eb4f) * 0xd6e8feb86659fd93 >> t.shift, h >> (t.shift + 1)
}

func (t *counts) add(ctx uint64, b byte) {
	p, a := t.at(ctx, b)
	if t.all[a] < math.MaxUint16 && t.pair[p] < math.MaxUint16 {
		t.pair[p]++
		t.all[a]++
	}
}

// newModel makes one that looks at so many bytes before, the longer last.
func newModel(bits int, some, more uint) *model {
	m := &model{masks: [2]uint64{1<<(8*some) - 1, 1<<(8*more) - 1}}
	for i := range m.long {
		m.long[i] = newCounts(bits)
	}
	for i := range m.price {
		m.price[i] = int16(costOf((float64(i) + 0.5) / priceSteps))
	}
	return m
}

// costOf gives the cost of something of a probability.
func costOf(p float64) float64 { return -math.Log2(p) * costByte / 8 }

// add counts b behind ctx, which has the bytes before, the last one lowest.
func (m *model) add(ctx uint64, b byte) {
	if m.totals[256] < math.MaxUint16 {
		m.plain[b]++
		m.totals[256]++
	}
	if c := byte(ctx); m.totals[c] < math.MaxUint16 {
		m.behind[c][b]++
		m.totals[c]++
	}
	for i := range m.long {
		m.long[i].add(ctx&m.masks[i], b)
	}
}

// cost of b behind ctx. One sighting is left out of each count: it may be that of
// the very byte that is asked for. Without that, what was chosen before always looks
// cheaper than what could be chosen instead, and patches were a tenth larger.
func (m *model) cost(ctx uint64, b byte) cost {
	c := byte(ctx)
	p := refine(costUnknown, m.plain[b], m.totals[256])
	p = refine(p, m.behind[c][b], m.totals[c])
	for i := range m.long {
		t := &m.long[i]
		pair, all := t.at(ctx&m.masks[i], b)
		p = refine(p, t.pair[pair], uint32(t.all[all]))
	}
	if i := int(p * priceSteps); i >= 16 {
		return cost(m.price[min(i, priceSteps-1)])
	}
	return cost(costOf(float64(p)))
}

func refine(p float32, seen uint16, of uint32) float32 {
	if of < 2 {
		return p
	}
	n := min(float32(max(seen, 1)-1), float32(of-1))
	return (n + trust*p) / (float32(of-1) + trust)
}

const (
	diffSome, diffMore   = 3, 7 // bytes before that a diff byte is seen behind
	extraSome, extraMore = 2, 3
	// A piece of a diff of denseSize bytes, denseFrom of which differ, might as
	// well be extra: it teaches both models, so that the choice is open.
	denseSize, denseFrom = 128, 40
	// zerosAsOne is how many zeros far from anything else count once.
	zerosAsOne = 64
)

// models are what is known of diff bytes and of extra bytes.
type models struct{ diff, extra *model }

// learn counts what covers make of two images.
func learn(old, new []byte, covers []cover) models {
	size := countBits(int64(len(new)))
	m := models{newModel(size, diffSome, diffMore), newModel(size, extraSome, extraMore)}
	diffs, extras := uint64(0), uint64(0)
	for _, c := range covers {
		is, was := new[c.newPos:c.newPos+c.diff], old[c.oldPos:c.oldPos+c.diff]
		extras = m.learnDense(is, was, extras)
		for len(is) > 0 {
			if diffs&m.diff.masks[1] == 0 {
				n := common(is, was)
				is, was = is[n:], was[n:]
				for range min(n/zerosAsOne, 1000) {
					m.diff.add(0, 0)
				}
				if len(is) == 0 {
					break
				}
			}
			b := is[0] - was[0]
			m.diff.add(diffs, b)
			diffs = diffs<<8 | uint64(b)
			is, was = is[1:], was[1:]
		}
		end := c.newPos + c.diff
		extras = m.learnExtra(new[end:end+c.extra], extras)
	}
	return m
}

func (m *models) learnExtra(p []byte, before uint64) uint64 {
	for _, b := range p {
		m.extra.add(before, b)
		before = before<<8 | uint64(b)
	}
	return before
}

// learnDense teaches the extra bytes that a diff could be instead.
func (m *models) learnDense(is, was []byte, before uint64) uint64 {
	for ; len(is) >= denseSize; is, was = is[denseSize:], was[denseSize:] {
		if common(is[:denseSize], was) > denseSize-denseFrom {
			continue
		}
		other := 0
		for i, b := range is[:denseSize] {
			if b != was[i] {
				other++
			}
		}
		if other >= denseFrom {
			before = m.learnExtra(is[:denseSize], before)
		}
	}
	return before
}
