package diff

// unlzma undoes LZMA.
type unlzma struct {
	m  lzModel
	in []byte
}

// lzBits is the range coder's reading half. It is handed on by value, so that
// it stays in registers: what it reads from is given with each call.
type lzBits struct {
	rng, code uint32
	at        int // next byte of the input; behind the end come zeros
}

// ready makes the range large enough for the next bit.
func (r lzBits) ready(in []byte) lzBits {
	if r.rng < lzTop {
		r.rng <<= 8
		r.code <<= 8
		if uint(r.at) < uint(len(in)) {
			r.code |= uint32(in[r.at])
		}
		r.at++
	}
	return r
}

// bit decodes one bit, without a branch that depends on it: half of those
// would be guessed wrong.
func (r lzBits) bit(p *prob) (lzBits, uint32) {
	const down = 1<<lzProbBits - 1<<lzMoveBits + 1
	v := uint32(*p)
	bound := r.rng >> lzProbBits * v
	zero := uint32((int64(r.code) - int64(bound)) >> 63) // all ones when the bit is zero
	*p = prob(v - uint32(int32(v-zero&down)>>lzMoveBits))
	rest := r.rng - bound
	r.rng = rest + zero&(bound-rest)
	r.code = r.code - bound + zero&bound
	return r, zero + 1
}

// is decodes a bit that is mostly the same, so that guessing it pays.
func (r lzBits) is(p *prob) (lzBits, bool) {
	v := *p
	bound := r.rng >> lzProbBits * uint32(v)
	if r.code < bound {
		r.rng = bound
		*p = v + (1<<lzProbBits-v)>>lzMoveBits
		return r, false
	}
	r.rng -= bound
	r.code -= bound
	*p = v - v>>lzMoveBits
	return r, true
}

// decode fills dst from src, which is used up.
func (d *unlzma) decode(dst, src []byte, name string) error {
	props, ok := lzProps{}, false
	if len(src) > 0 {
		props, ok = decodeProps(src[0])
	}
	if !ok || len(src) < 6 || src[1] != 0 {
		return badf("its %s is no LZMA", name)
	}
	d.m.reset(props)
	d.in = src[2:]
	r := lzBits{rng: 0xffffffff}
	for range 4 {
		r.code = r.code<<8 | uint32(d.in[r.at])
		r.at++
	}
	r, ok = d.all(r, dst)
	if !ok {
		return badf("its %s is damaged", name)
	}
	if r = r.ready(d.in); r.at != len(d.in) || r.code != 0 {
		return badf("its %s does not end where it should", name)
	}
	return nil
}

// all decodes until dst is full; false when the bytes cannot be right.
func (d *unlzma) all(r lzBits, dst []byte) (lzBits, bool) {
	state, reps := uint32(0), [4]uint32{}
	m, in, isMatch := &d.m, d.in, false
	for pos := 0; pos < len(dst); {
		ps := uint32(pos) & m.pbMask & (lzPosStates - 1)
		if r, isMatch = r.ready(in).is(&m.isMatch[state%lzStateRoom][ps]); !isMatch {
			if state < 7 {
				r = d.literal(r, dst, pos)
			} else {
				r = d.matched(r, dst, pos, int(reps[0]))
			}
			state = afterLiteral(state)
			pos++
			continue
		}
		if r.at > len(in)+8 {
			return r, false // zeros behind the end would decode to something
		}
		length := 0
		r, length, state = d.match(r, &reps, state%lzStateRoom, ps)
		from := pos - int(reps[0]) - 1
		if from < 0 || length > len(dst)-pos {
			return r, false
		}
		again(dst, from, pos, length)
		pos += length
	}
	return r, true
}

// again copies what may overlap itself.
func again(dst []byte, from, pos, length int) {
	const short = 24
	if length > short && pos-from >= length {
		copy(dst[pos:pos+length], dst[from:])
		return
	}
	to, src := dst[pos:pos+length], dst[from:from+length]
	src = src[:len(to)]
	for i := range to {
		to[i] = src[i]
	}
}

// match decodes the rest of a step that is no literal: its length, and the
// distance, which comes first in reps.
func (d *unlzma) match(r lzBits, reps *[4]uint32, state, ps uint32) (lzBits, int, uint32) {
	m, in, yes := &d.m, d.in, false
	if r, yes = r.ready(in).is(&m.isRep[state]); !yes {
		r, length := d.length(r, &m.length, ps)
		r, dist := d.distance(r, length)
		*reps = [4]uint32{dist, reps[0], reps[1], reps[2]}
		return r, length, afterMatch(state)
	}
	if r, yes = r.ready(in).is(&m.isRepG0[state]); yes {
		r = d.older(r, reps, state)
	} else if r, yes = r.ready(in).is(&m.isRep0Long[state][ps]); !yes {
		return r, 1, afterShortRep(state)
	}
	r, length := d.length(r, &m.repLength, ps)
	return r, length, afterRep(state)
}

// literal decodes one byte.
func (d *unlzma) literal(r lzBits, dst []byte, pos int) lzBits {
	p, in, m, b := d.m.literals(pos, before(dst, pos)), d.in, uint32(1), uint32(0)
	for m < 0x100 {
		r, b = r.ready(in).bit(&p[m])
		m = m<<1 | b
	}
	dst[pos] = byte(m)
	return r
}

// matched decodes a byte behind a match, where the byte that would have come
// next, and did not match, helps.
func (d *unlzma) matched(r lzBits, dst []byte, pos, dist int) lzBits {
	p, in, m, b := d.m.literals(pos, before(dst, pos)), d.in, uint32(1), uint32(0)
	was, offset := uint32(dst[pos-dist-1]), uint32(0x100)
	for m < 0x100 {
		was <<= 1
		high := was & offset
		r, b = r.ready(in).bit(&p[(offset+high+m)%lzLiteralRoom])
		m = m<<1 | b
		offset &= ^(high ^ (0 - b)) // stays as long as the bits agree
	}
	dst[pos] = byte(m)
	return r
}

// older moves one of the last distances but the last to the front.
func (d *unlzma) older(r lzBits, reps *[4]uint32, state uint32) lzBits {
	m, in, yes, b := &d.m, d.in, false, uint32(0)
	if r, yes = r.ready(in).is(&m.isRepG1[state]); !yes {
		reps[0], reps[1] = reps[1], reps[0]
		return r
	}
	if r, b = r.ready(in).bit(&m.isRepG2[state]); b == 0 {
		reps[0], reps[1], reps[2] = reps[2], reps[0], reps[1]
		return r
	}
	reps[0], reps[1], reps[2], reps[3] = reps[3], reps[0], reps[1], reps[2]
	return r
}

func (d *unlzma) length(r lzBits, l *lzLen, ps uint32) (lzBits, int) {
	in, v, yes := d.in, uint32(0), false
	if r, yes = r.ready(in).is(&l.choice); !yes {
		r, v = d.tree(r, l.low[ps][:], lzLowSymbols)
		return r, lzMinMatch + int(v)
	}
	if r, yes = r.ready(in).is(&l.choice2); !yes {
		r, v = d.tree(r, l.mid[ps][:], lzLowSymbols)
		return r, lzMinMatch + lzLowSymbols + int(v)
	}
	r, v = d.tree(r, l.high[:], lzHighSymbols)
	return r, lzMinMatch + 2*lzLowSymbols + int(v)
}

// tree decodes one of n symbols, a power of two, the highest bit first.
func (d *unlzma) tree(r lzBits, p []prob, n uint32) (lzBits, uint32) {
	in, m, b := d.in, uint32(1), uint32(0)
	p = p[:n]
	for m < uint32(len(p)) {
		r, b = r.ready(in).bit(&p[m])
		m = m<<1 | b
	}
	return r, m - n
}

// reverse decodes n bits, the lowest first.
func (d *unlzma) reverse(r lzBits, p []prob, n uint) (lzBits, uint32) {
	in, m, v, b := d.in, uint32(1), uint32(0), uint32(0)
	for i := range n {
		r, b = r.ready(in).bit(&p[m])
		m = m<<1 | b
		v |= b << i
	}
	return r, v
}

// distance is less one, as in reps. It stays below 2^32 by its form.
func (d *unlzma) distance(r lzBits, length int) (lzBits, uint32) {
	r, slot := d.tree(r, d.m.slot[lenState(length)][:], 64)
	if slot < 4 {
		return r, slot
	}
	n := uint(slot>>1 - 1)
	base := (2 | slot&1) << n
	if slot < lzEndModel {
		r, v := d.reverse(r, d.m.special[base-slot:], n)
		return r, base + v
	}
	v := uint32(0)
	for range n - lzAlignBits { // these are not modelled
		r = r.ready(d.in)
		r.rng >>= 1
		r.code -= r.rng
		t := 0 - r.code>>31 // all ones when it was less
		r.code += r.rng & t
		v = v<<1 + t + 1
	}
	r, low := d.reverse(r, d.m.align[:], lzAlignBits)
	return r, base + v<<lzAlignBits + low
}
