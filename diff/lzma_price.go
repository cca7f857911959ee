package diff

// lzPrices is what coding the likelier or unlikelier bit costs.
var lzPrices = makePrices()

func makePrices() *[lzPriceSteps]uint32 {
	var t [lzPriceSteps]uint32
	const shift = lzProbBits - 7
	for i := range t {
		// -log2 of the middle of the step, by squaring.
		w := uint64(i<<shift + 1<<(shift-1))
		count := uint32(0)
		for range lzPriceBits {
			w *= w
			count <<= 1
			for w >= 1<<16 {
				w >>= 1
				count++
			}
		}
		t[i] = lzProbBits<<lzPriceBits - 15 - count
	}
	return &t
}

func price(p prob, bit uint32) uint32 {
	return lzPrices[(uint32(p)^(0-bit)&(1<<lzProbBits-1))>>(lzProbBits-7)]
}

func treePrice(p []prob, n uint, v uint32) uint32 {
	sum := uint32(0)
	for m := v | 1<<n; m > 1; m >>= 1 {
		sum += price(p[m>>1], m&1)
	}
	return sum
}

func reversePrice(p []prob, n uint, v uint32) uint32 {
	sum, m := uint32(0), uint32(1)
	for range n {
		b := v & 1
		sum += price(p[m], b)
		m = m<<1 | b
		v >>= 1
	}
	return sum
}

func (m *lzModel) repPrice(state, ps uint32, k int) uint32 {
	if k == 0 {
		return price(m.isRepG0[state], 0) + price(m.isRep0Long[state][ps], 1)
	}
	sum := price(m.isRepG0[state], 1)
	if k == 1 {
		return sum + price(m.isRepG1[state], 0)
	}
	return sum + price(m.isRepG1[state], 1) + price(m.isRepG2[state], uint32(k-2))
}

func (z *lzma) literalPrice(pos int, state, rep0 uint32) uint32 {
	p := z.m.literals(pos, before(z.p, pos))
	b := uint32(z.p[pos])
	if state < 7 {
		return treePrice(p[:256], 8, b)
	}
	matched, offset, sum := uint32(z.p[pos-int(rep0)-1]), uint32(0x100), uint32(0)
	for m := uint32(1); m < 0x100; {
		matched <<= 1
		bit := b >> 7 & 1
		mb := matched & offset
		sum += price(p[offset+mb+m], bit)
		m = m<<1 | bit
		b <<= 1
		if bit == 0 {
			offset &= ^mb
		} else {
			offset &= mb
		}
	}
	return sum
}
