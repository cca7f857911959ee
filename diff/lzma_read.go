package diff

// unlzma undoes LZMA.
type unlzma struct {
	m         lzModel
	in        []byte
	rng, code uint32
	over      int // bytes that were needed behind the end of in
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
	d.in, d.rng, d.code, d.over = src[2:], 0xffffffff, 0, 0
	for range 4 {
		d.code = d.code<<8 | uint32(d.in[0])
		d.in = d.in[1:]
	}
	if !d.all(dst) {
		return badf("its %s is damaged", name)
	}
	d.normalize()
	if d.over > 0 || len(d.in) > 0 || d.code != 0 {
		return badf("its %s does not end where it should", name)
	}
	return nil
}

func (d *unlzma) normalize() {
	if d.rng < lzTop {
		d.rng <<= 8
		d.code <<= 8
		if len(d.in) == 0 {
			d.over++
			return
		}
		d.code |= uint32(d.in[0])
		d.in = d.in[1:]
	}
}

func (d *unlzma) bit(p *prob) uint32 {
	if d.rng < lzTop {
		d.normalize()
	}
	bound := d.rng >> lzProbBits * uint32(*p)
	if d.code < bound {
		d.rng = bound
		*p += (1<<lzProbBits - *p) >> lzMoveBits
		return 0
	}
	d.rng -= bound
	d.code -= bound
	*p -= *p >> lzMoveBits
	return 1
}

// tree gives n bits, the highest first.
func (d *unlzma) tree(p []prob, n uint) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | d.bit(&p[m])
	}
	return m - 1<<n
}

// reverse gives n bits, the lowest first.
func (d *unlzma) reverse(p []prob, n uint) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := d.bit(&p[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

func (d *unlzma) direct(n uint) uint32 {
	v := uint32(0)
	for range n {
		if d.rng < lzTop {
			d.normalize()
		}
		d.rng >>= 1
		d.code -= d.rng
		t := 0 - d.code>>31 // all ones when it was less
		d.code += d.rng & t
		v = v<<1 + t + 1
	}
	return v
}

// all decodes until dst is full; false when the bytes cannot be right.
func (d *unlzma) all(dst []byte) bool {
	state, reps := uint32(0), [4]uint32{}
	for pos := 0; pos < len(dst); {
		ps := uint32(pos) & d.m.pbMask
		if d.bit(&d.m.isMatch[state][ps]) == 0 {
			d.literal(dst, pos, state, reps[0])
			state = afterLiteral(state)
			pos++
			continue
		}
		if d.over > 8 {
			return false // zeros behind the end would decode to something
		}
		length := 0
		if d.bit(&d.m.isRep[state]) == 0 {
			length = d.length(&d.m.length, ps)
			reps = [4]uint32{d.distance(length), reps[0], reps[1], reps[2]}
			state = afterMatch(state)
		} else if d.bit(&d.m.isRepG0[state]) == 1 {
			d.again(state, &reps)
			length = d.length(&d.m.repLength, ps)
			state = afterRep(state)
		} else if d.bit(&d.m.isRep0Long[state][ps]) == 1 {
			length = d.length(&d.m.repLength, ps)
			state = afterRep(state)
		} else {
			length = 1
			state = afterShortRep(state)
		}
		if uint64(reps[0]) >= uint64(pos) || length > len(dst)-pos {
			return false
		}
		from := pos - int(reps[0]) - 1
		for i := range length { // may overlap
			dst[pos+i] = dst[from+i]
		}
		pos += length
	}
	return true
}

// literal decodes one byte; behind a match the byte that did not match helps.
func (d *unlzma) literal(dst []byte, pos int, state, rep0 uint32) {
	prev := byte(0)
	if pos > 0 {
		prev = dst[pos-1]
	}
	p := d.m.literals(pos, prev)
	rng, code, in := d.rng, d.code, d.in
	matched, offset := uint32(0), uint32(0)
	if state >= 7 {
		matched, offset = uint32(dst[pos-int(rep0)-1]), 0x100
	}
	m := uint32(1)
	for m < 0x100 {
		matched <<= 1
		b := matched & offset
		pr := &p[(offset+b+m)%lzLiterals]
		if rng < lzTop {
			rng <<= 8
			code <<= 8
			if len(in) > 0 {
				code |= uint32(in[0])
				in = in[1:]
			} else {
				d.over++
			}
		}
		bound := rng >> lzProbBits * uint32(*pr)
		if code < bound {
			rng = bound
			*pr += (1<<lzProbBits - *pr) >> lzMoveBits
			m <<= 1
			offset &= ^b
		} else {
			rng -= bound
			code -= bound
			*pr -= *pr >> lzMoveBits
			m = m<<1 | 1
			offset &= b
		}
	}
	d.rng, d.code, d.in = rng, code, in
	dst[pos] = byte(m)
}

// again moves one of the last distances but the last to the front.
func (d *unlzma) again(state uint32, reps *[4]uint32) {
	k := 1
	if d.bit(&d.m.isRepG1[state]) == 1 {
		k = 2 + int(d.bit(&d.m.isRepG2[state]))
	}
	dist := reps[k]
	copy(reps[1:k+1], reps[:k])
	reps[0] = dist
}

func (d *unlzma) length(l *lzLen, ps uint32) int {
	switch {
	case d.bit(&l.choice) == 0:
		return lzMinMatch + int(d.tree(l.low[ps][:], 3))
	case d.bit(&l.choice2) == 0:
		return lzMinMatch + lzLowSymbols + int(d.tree(l.mid[ps][:], 3))
	}
	return lzMinMatch + 2*lzLowSymbols + int(d.tree(l.high[:], 8))
}

// distance is less one, as in reps. It stays below 2^32 by its form.
func (d *unlzma) distance(length int) uint32 {
	slot := d.tree(d.m.slot[lenState(length)][:], 6)
	if slot < 4 {
		return slot
	}
	n := uint(slot>>1 - 1)
	base := (2 | slot&1) << n
	if slot < lzEndModel {
		return base + d.reverse(d.m.special[base-slot:], n)
	}
	return base + d.direct(n-lzAlignBits)<<lzAlignBits + d.reverse(d.m.align[:], lzAlignBits)
}
