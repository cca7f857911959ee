package diff

// What parts of a patch cost once they are compressed, in 64ths of a byte, as
// it was measured on kernels, libraries and Go programs for arm64.
const (
	costRecord = 6 * 64 // a record: two lengths and a seek
	costEqual  = 1      // a diff byte that is zero
	costOther  = 52     // a diff byte that is not
	costExtra  = 38     // a byte that is sent as it is
)

// prune leaves out the covers that cost more than they save: short ones, whose
// bytes are sent as they are instead, and those between two pieces of one
// alignment, which then becomes one piece.
func prune(covers []cover, old, new []byte) []cover {
	p := pruner{old: old, new: new, kept: covers[:0]}
	for i := 0; i < len(covers); i++ {
		p.add(covers[i], covers[i+1:])
	}
	return p.kept
}

type pruner struct {
	old, new []byte
	kept     []cover
}

// add takes a cover, behind which rest is to come.
func (p *pruner) add(c cover, rest []cover) {
	if len(p.kept) == 0 {
		p.kept = append(p.kept, c)
		return
	}
	last := &p.kept[len(p.kept)-1]
	from := last.newPos + last.diff
	if c.diff > 0 && c.shift() == last.shift() && last.diff > 0 {
		// The same alignment goes on behind some extra bytes.
		if bridge, ok := p.aligned(from, c.newPos, last.shift()); ok && bridge <= last.extra*costExtra+costRecord {
			last.diff += last.extra + c.diff
			last.extra = c.extra
			return
		}
	}
	cost, ok := p.aligned(c.newPos, c.newPos+c.diff, c.shift())
	if c.diff == 0 || ok && c.diff*costExtra <= cost+costRecord {
		last.extra += c.diff + c.extra
		return
	}
	if len(rest) > 0 && last.diff > 0 && rest[0].diff > 0 && rest[0].shift() == last.shift() {
		bridge, ok := p.aligned(from, c.newPos+c.diff+c.extra, last.shift())
		if ok && bridge <= (last.extra+c.extra)*costExtra+cost+2*costRecord {
			// rest[0] comes next and is the same alignment, without extra.
			last.diff += last.extra + c.diff + c.extra
			last.extra = 0
			return
		}
	}
	p.kept = append(p.kept, c)
}

func (c cover) shift() int { return c.oldPos - c.newPos }

// aligned is what the bytes of new between from and to cost as a diff. It does
// not look at long pieces: they are false, and worth keeping.
func (p *pruner) aligned(from, to, shift int) (cost int, ok bool) {
	const most = 4096
	if to-from > most || from+shift < 0 || to+shift > len(p.old) {
		return 0, false
	}
	is, was := p.new[from:to], p.old[from+shift:to+shift]
	for i, b := range is {
		if b == was[i] {
			cost += costEqual
		} else {
			cost += costOther
		}
	}
	return cost, true
}
