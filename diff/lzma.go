package diff

// Codec 3 is LZMA without its file formats: one byte of properties (lc, lp and
// pb, packed as in the .lzma header), then the range coder's bytes. There is no
// end marker, since the length is known, and the dictionary is the section.
// Reader and writer are our own, after the format's specification.

// Sizes of the LZMA model.
const (
	lzStates      = 12
	lzStateRoom   = 16 // a power of two, so that no index has to be checked
	lzPosStates   = 16
	lzLiterals    = 0x300
	lzLiteralRoom = 0x400 // the same, of which the last table shows the most
	lzMinMatch    = 2
	lzMaxMatch    = 273
	lzLenStates   = 4  // contexts of a distance's slot
	lzEndModel    = 14 // slots from here on have bits that are not modelled
	lzFullDist    = 128
	lzAlignBits   = 4
	lzProbBits    = 11
	lzProbInit    = 1 << (lzProbBits - 1)
	lzMoveBits    = 5
	lzTop         = 1 << 24
	lzMaxLCLP     = 4 // lc + lp: bounds the table of literals
	lzLowSymbols  = 8
	lzHighSymbols = 256
)

// prob is the probability of a zero, in 2048ths.
type prob = uint16

// lzLen is the model of lengths.
type lzLen struct {
	choice, choice2 prob
	low, mid        [lzPosStates][lzLowSymbols]prob
	high            [lzHighSymbols]prob
}

// lzModel is everything that adapts, and is the same at both ends.
type lzModel struct {
	isMatch, isRep0Long              [lzStateRoom][lzPosStates]prob
	isRep, isRepG0, isRepG1, isRepG2 [lzStateRoom]prob
	slot                             [lzLenStates][64]prob
	special                          [1 + lzFullDist - lzEndModel]prob
	align                            [1 << lzAlignBits]prob
	length, repLength                lzLen
	literal                          [lzLiterals<<lzMaxLCLP + lzLiteralRoom - lzLiterals]prob

	lc, lpMask, pbMask uint32
}

// lzProps are lc, lp and pb.
type lzProps struct{ lc, lp, pb uint8 }

func (p lzProps) encode() byte { return (p.pb*5+p.lp)*9 + p.lc }

func decodeProps(b byte) (lzProps, bool) {
	p := lzProps{b % 9, b / 9 % 5, b / 45}
	return p, p.pb <= 4 && p.lc+p.lp <= lzMaxLCLP
}

func fillProbs(p []prob) {
	for i := range p {
		p[i] = lzProbInit
	}
}

func (l *lzLen) reset() {
	l.choice, l.choice2 = lzProbInit, lzProbInit
	for i := range lzPosStates {
		fillProbs(l.low[i][:])
		fillProbs(l.mid[i][:])
	}
	fillProbs(l.high[:])
}

func (m *lzModel) reset(p lzProps) {
	for i := range lzStates {
		fillProbs(m.isMatch[i][:])
		fillProbs(m.isRep0Long[i][:])
	}
	for _, s := range [][]prob{m.isRep[:], m.isRepG0[:], m.isRepG1[:], m.isRepG2[:], m.special[:], m.align[:], m.literal[:lzLiterals<<(p.lc+p.lp)]} {
		fillProbs(s)
	}
	for i := range lzLenStates {
		fillProbs(m.slot[i][:])
	}
	m.length.reset()
	m.repLength.reset()
	m.lc, m.lpMask, m.pbMask = uint32(p.lc), 1<<p.lp-1, 1<<p.pb-1
}

// literals is the model of the literal at pos behind the byte prev.
func (m *lzModel) literals(pos int, prev byte) *[lzLiteralRoom]prob {
	at := ((uint32(pos)&m.lpMask)<<m.lc + uint32(prev)>>(8-m.lc)) * lzLiterals
	return (*[lzLiteralRoom]prob)(m.literal[at:])
}

// The state remembers the kinds of the last steps.
func afterLiteral(s uint32) uint32 {
	switch {
	case s < 4:
		return 0
	case s < 10:
		return s - 3
	}
	return s - 6
}

func afterStep(s, early, late uint32) uint32 {
	if s < 7 {
		return early
	}
	return late
}

func afterMatch(s uint32) uint32    { return afterStep(s, 7, 10) }
func afterRep(s uint32) uint32      { return afterStep(s, 8, 11) }
func afterShortRep(s uint32) uint32 { return afterStep(s, 9, 11) }

// lenState is the context of the slot of a distance.
func lenState(length int) int { return min(length-lzMinMatch, lzLenStates-1) }
