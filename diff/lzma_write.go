package diff

// lzRange is the range coder's writing half.
type lzRange struct {
	out   []byte
	low   uint64
	rng   uint32
	cache byte
	held  int // bytes that a carry may still change
}

func (r *lzRange) reset() { *r = lzRange{out: r.out[:0], rng: 0xffffffff, held: 1} }

func (r *lzRange) shift() {
	if uint32(r.low) < 0xff000000 || r.low>>32 != 0 {
		carry := byte(r.low >> 32)
		for b := r.cache; r.held > 0; r.held-- {
			r.out = append(r.out, b+carry)
			b = 0xff
		}
		r.cache = byte(r.low >> 24)
	}
	r.held++
	r.low = r.low & 0x00ffffff << 8
}

func (r *lzRange) bit(p *prob, b uint32) {
	bound := r.rng >> lzProbBits * uint32(*p)
	if b == 0 {
		r.rng = bound
		*p += (1<<lzProbBits - *p) >> lzMoveBits
	} else {
		r.low += uint64(bound)
		r.rng -= bound
		*p -= *p >> lzMoveBits
	}
	if r.rng < lzTop {
		r.rng <<= 8
		r.shift()
	}
}

func (r *lzRange) tree(p []prob, n uint, v uint32) {
	m := uint32(1)
	for n > 0 {
		n--
		b := v >> n & 1
		r.bit(&p[m], b)
		m = m<<1 | b
	}
}

func (r *lzRange) reverse(p []prob, n uint, v uint32) {
	m := uint32(1)
	for range n {
		r.bit(&p[m], v&1)
		m = m<<1 | v&1
		v >>= 1
	}
}

func (r *lzRange) direct(v uint32, n uint) {
	for n > 0 {
		n--
		r.rng >>= 1
		if v>>n&1 == 1 {
			r.low += uint64(r.rng)
		}
		if r.rng < lzTop {
			r.rng <<= 8
			r.shift()
		}
	}
}

func (r *lzRange) finish() []byte {
	for range 5 {
		r.shift()
	}
	return r.out
}

// lzma packs sections. It is not safe for concurrent use.
type lzma struct {
	m     lzModel
	r     lzRange
	trees lzTrees
	plan  lzPlan
	p     []byte
	state uint32
	reps  [4]uint32
}

// encode packs p.
func (z *lzma) encode(p []byte, props lzProps, effort lzEffort) []byte {
	z.trees.depth, z.trees.nice, z.plan.nice = effort.depth, effort.nice, effort.nice
	z.m.reset(props)
	z.r.reset()
	z.trees.reset(p)
	z.p, z.state, z.reps = p, 0, [4]uint32{}
	for pos := 0; pos < len(p); {
		steps := z.plan.make(z, pos)
		for _, s := range steps {
			z.put(pos, s)
			pos += int(s.length)
		}
	}
	return append([]byte{props.encode()}, z.r.finish()...)
}

// lzStep is a literal (length 1, rep none), a repetition of the byte at the
// last distance (length 1, rep 0), of one of the last distances, or a match.
type lzStep struct {
	length uint32
	rep    int8 // which of the last distances, or one of these:
	dist   uint32
}

const (
	lzLiteral  = -1
	lzNewMatch = -2
)

// put writes one step and follows it.
func (z *lzma) put(pos int, s lzStep) {
	m, ps := &z.m, uint32(pos)&z.m.pbMask
	if s.rep == lzLiteral {
		z.r.bit(&m.isMatch[z.state][ps], 0)
		z.putLiteral(pos)
		z.state = afterLiteral(z.state)
		return
	}
	z.r.bit(&m.isMatch[z.state][ps], 1)
	if s.rep == lzNewMatch {
		z.r.bit(&m.isRep[z.state], 0)
		z.putLength(&m.length, s.length, ps)
		z.putDistance(s.dist, int(s.length))
	} else {
		z.r.bit(&m.isRep[z.state], 1)
		z.putRep(s, ps)
		if s.length > 1 {
			z.putLength(&m.repLength, s.length, ps)
		}
	}
	z.state, z.reps = s.after(z.state, z.reps)
}

// after is the state and the last distances behind a step.
func (s lzStep) after(state uint32, reps [4]uint32) (uint32, [4]uint32) {
	switch {
	case s.rep == lzLiteral:
		return afterLiteral(state), reps
	case s.rep == lzNewMatch:
		return afterMatch(state), [4]uint32{s.dist, reps[0], reps[1], reps[2]}
	case s.length == 1:
		return afterShortRep(state), reps
	}
	dist := reps[s.rep]
	copy(reps[1:s.rep+1], reps[:s.rep])
	reps[0] = dist
	return afterRep(state), reps
}

func (z *lzma) putRep(s lzStep, ps uint32) {
	m := &z.m
	if s.rep == 0 {
		z.r.bit(&m.isRepG0[z.state], 0)
		long := uint32(1)
		if s.length == 1 {
			long = 0
		}
		z.r.bit(&m.isRep0Long[z.state][ps], long)
		return
	}
	z.r.bit(&m.isRepG0[z.state], 1)
	if s.rep == 1 {
		z.r.bit(&m.isRepG1[z.state], 0)
		return
	}
	z.r.bit(&m.isRepG1[z.state], 1)
	z.r.bit(&m.isRepG2[z.state], uint32(s.rep-2))
}

func (z *lzma) putLiteral(pos int) {
	p := z.m.literals(pos, before(z.p, pos))
	b := uint32(z.p[pos])
	matched, offset := uint32(0), uint32(0)
	if z.state >= 7 {
		matched, offset = uint32(z.p[pos-int(z.reps[0])-1]), 0x100
	}
	for m := uint32(1); m < 0x100; {
		matched <<= 1
		bit := b >> 7 & 1
		mb := matched & offset
		z.r.bit(&p[offset+mb+m], bit)
		m = m<<1 | bit
		b <<= 1
		if bit == 0 {
			offset &= ^mb
		} else {
			offset &= mb
		}
	}
}

// before is the byte before pos, or zero.
func before(p []byte, pos int) byte {
	if pos == 0 {
		return 0
	}
	return p[pos-1]
}

func (z *lzma) putLength(l *lzLen, length, ps uint32) {
	switch n := length - lzMinMatch; {
	case n < lzLowSymbols:
		z.r.bit(&l.choice, 0)
		z.r.tree(l.low[ps][:], 3, n)
	case n < 2*lzLowSymbols:
		z.r.bit(&l.choice, 1)
		z.r.bit(&l.choice2, 0)
		z.r.tree(l.mid[ps][:], 3, n-lzLowSymbols)
	default:
		z.r.bit(&l.choice, 1)
		z.r.bit(&l.choice2, 1)
		z.r.tree(l.high[:], 8, n-2*lzLowSymbols)
	}
}

func (z *lzma) putDistance(dist uint32, length int) {
	slot := slotOf(dist)
	z.r.tree(z.m.slot[lenState(length)][:], 6, slot)
	if slot < 4 {
		return
	}
	n := uint(slot>>1 - 1)
	base := (2 | slot&1) << n
	if slot < lzEndModel {
		z.r.reverse(z.m.special[base-slot:], n, dist-base)
		return
	}
	z.r.direct((dist-base)>>lzAlignBits, n-lzAlignBits)
	z.r.reverse(z.m.align[:], lzAlignBits, dist&(1<<lzAlignBits-1))
}
