package diff

import (
	"cmp"
	"slices"
)

// A lane is one alignment: an old position less a new one. The cheapest way through a
// piece of the new image goes along lanes and, between them, over extra bytes. It
// is found as Viterbi does: for every place and every open lane what the cheapest
// way costs that ends there in this lane. Where nothing differs in any lane there is
// nothing to decide, so that the work is per differing byte.

// What the steps cost beside the bytes, in 256ths of a byte. Measured on arm64 images.
const (
	pathEqual  = 2    // a diff byte that is zero, between others
	pathOther  = 20   // a diff byte that is not, beside what the model says
	pathRecord = 3600 // a record that seeks far
	pathNear   = 3400 // one that seeks less than nearSeek
	pathSame   = 3000 // one in the lane of the one before
	nearSeek   = 1 << 15
)

const (
	lanesMost = 12 // open at a time
	// badMost is after how many differing bytes in which it is not the cheapest
	// way a lane is closed, unless it is held.
	badMost = 24
	// lookMost is how far ahead a lane is compared at a time. Most of the many
	// that are opened in zeros are closed again soon.
	lookMost = 256
	// extraFar is how many bytes that agree make extra hopeless.
	extraFar = 64
	hopeless = cost(1) << 60
)

// candidate is a lane that may be worth taking.
type candidate struct {
	from  int // where it begins, in new
	shift int // old position - new position
	hold  int // it stays open up to there
}

func byPlace(a, b candidate) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.shift, b.shift), cmp.Compare(a.hold, b.hold))
}

// lane is an open lane, or the extra bytes.
type lane struct {
	candidate
	cost  cost
	begun int   // where the way came into this lane
	prev  int32 // the piece before
	piece int32 // this piece, once another way goes on from it, or none
	next  int   // the next byte that differs
	bad   int
}

const none = -1

// piece is a part of a way: a lane from a place on.
type piece struct {
	prev  int32
	extra bool
	begun int
	shift int // for extra bytes that of the lane before
}

// pathfinder looks for the cheapest way through the new image from one place to
// its end. It may be used again.
type pathfinder struct {
	models
	old, new []byte // new up to the end of the piece
	at       int
	lanes    []lane
	extra    lane
	pieces   []piece
}

// find gives the covers of new from a place on. Candidates are in the order of
// byPlace. It is stopped by tick like an aligner, and gives none then.
func (p *pathfinder) find(from int, cands []candidate, tick func(at int) bool) []cover {
	p.at, p.lanes, p.pieces = from, p.lanes[:0], p.pieces[:0]
	p.extra = lane{begun: from, prev: none, piece: none}
	for steps := 1; p.at < len(p.new); steps++ {
		if steps%tickEvery == 0 && tick(p.at) {
			return nil
		}
		for len(cands) > 0 && cands[0].from <= p.at {
			p.open(cands[0])
			cands = cands[1:]
		}
		p.look()
		p.change()
		stop := len(p.new)
		if len(cands) > 0 {
			stop = min(stop, cands[0].from)
		}
		for i := range p.lanes {
			stop = min(stop, p.lanes[i].next)
		}
		if stop > p.at {
			p.agree(stop)
		} else {
			p.differ()
		}
	}
	return p.covers()
}

// open adds a lane, in place of the worst when there are too many.
func (p *pathfinder) open(c candidate) {
	for i := range p.lanes {
		if l := &p.lanes[i]; l.shift == c.shift {
			l.hold, l.bad = max(l.hold, c.hold), min(l.bad, badMost/2)
			return
		}
	}
	if len(p.lanes) >= lanesMost {
		worst := 0
		for i := range p.lanes {
			if p.worse(&p.lanes[i], &p.lanes[worst]) {
				worst = i
			}
		}
		p.lanes = slices.Delete(p.lanes, worst, worst+1)
	}
	p.lanes = append(p.lanes, lane{candidate: c, cost: hopeless, piece: none, next: p.differs(c.shift, p.at)})
}

func (p *pathfinder) worse(a, b *lane) bool {
	if held := a.hold > p.at; held != (b.hold > p.at) {
		return !held
	}
	return cmp.Or(cmp.Compare(a.bad, b.bad), cmp.Compare(a.cost, b.cost)) > 0
}

// look goes on looking for what differs in the lanes where nothing did so far.
func (p *pathfinder) look() {
	for i := range p.lanes {
		if l := &p.lanes[i]; l.next == p.at {
			l.next = p.differs(l.shift, p.at)
		}
	}
}

// differs gives the first place from one on where a lane has another byte, or
// has none, or up to where that was looked for.
func (p *pathfinder) differs(shift, from int) int {
	at := from + shift
	if at < 0 || at >= len(p.old) {
		return from
	}
	return from + common(p.new[from:min(from+lookMost, len(p.new))], p.old[at:])
}

// best is the lane, or extra, in which the cheapest way ends.
func (p *pathfinder) best() *lane {
	b := &p.extra
	for i := range p.lanes {
		if p.lanes[i].cost < b.cost {
			b = &p.lanes[i]
		}
	}
	return b
}

// change lets ways go over from the cheapest into the other lanes.
func (p *pathfinder) change() {
	b := p.best()
	b.bad = 0
	shift := b.shift
	if b == &p.extra && b.prev != none {
		shift = p.pieces[b.prev].shift
	}
	for i := range p.lanes {
		l := &p.lanes[i]
		if l == b || l.next == p.at || l.cost <= b.cost+pathSame {
			continue
		}
		record := cost(pathRecord)
		if d := l.shift - shift; d == 0 {
			record = pathSame
		} else if -nearSeek < d && d < nearSeek {
			record = pathNear
		}
		if b.cost+record < l.cost {
			p.enter(l, b, record)
		}
	}
	if b.cost < p.extra.cost {
		p.enter(&p.extra, b, 0)
	}
}

// enter begins a piece in a lane after one in another.
func (p *pathfinder) enter(l, after *lane, record cost) {
	if after.piece == none {
		after.piece = int32(len(p.pieces))
		q := piece{prev: after.prev, begun: after.begun, shift: after.shift, extra: after == &p.extra}
		if q.extra && q.prev != none {
			q.shift = p.pieces[q.prev].shift
		}
		p.pieces = append(p.pieces, q)
	}
	l.cost, l.begun, l.prev, l.piece = after.cost+record, p.at, after.piece, none
}

// agree goes to a place up to which all lanes agree with new.
func (p *pathfinder) agree(to int) {
	n := to - p.at
	for i := range p.lanes {
		p.lanes[i].cost += cost(n) * pathEqual
	}
	switch {
	case p.fresh(p.best()):
		p.extra.cost = hopeless
	case n > extraFar:
		p.extra.cost += cost(n) * costByte / 2
	default:
		p.extra.cost += p.extraCost(to)
	}
	p.at = to
}

// differ takes a byte that differs in some lane.
func (p *pathfinder) differ() {
	// What the cheapest way costs behind it, or less: whatever is dearer by a
	// record is not looked at, since it can be entered again.
	b := p.best()
	if b == &p.extra {
		b.cost += p.extraCost(p.at + 1)
	} else if b.next == p.at {
		b.cost += p.diffCost(b.shift)
	} else {
		b.cost += pathEqual
	}
	if b != &p.extra && b.next != p.at && p.fresh(b) {
		p.extra.cost = hopeless
	} else if b != &p.extra {
		p.extra.cost += p.extraCost(p.at + 1)
	}
	limit := b.cost + pathRecord
	kept := p.lanes[:0]
	for i := range p.lanes {
		l := p.lanes[i]
		switch best := &p.lanes[i] == b; {
		case l.next != p.at:
			if !best {
				l.cost += pathEqual
			}
		default:
			if at := p.at + l.shift; at >= len(p.old) {
				if !best {
					continue
				}
				l.cost = hopeless
			}
			if !best && l.cost+pathOther < limit {
				l.cost += p.diffCost(l.shift)
			} else if !best {
				l.cost = hopeless
			}
			l.next = p.differs(l.shift, p.at+1)
			if l.bad++; l.bad > badMost && p.at >= l.hold {
				continue
			}
		}
		kept = append(kept, l)
	}
	p.lanes = kept
	p.at++
}

// fresh says that extra has just been entered while a lane is the best: when that
// agrees with new, extra can as well be entered later.
func (p *pathfinder) fresh(b *lane) bool { return b != &p.extra && p.extra.begun == p.at }

// extraCost is what the bytes up to a place cost as they are.
func (p *pathfinder) extraCost(to int) (sum cost) {
	before := uint64(0)
	for _, b := range p.new[max(0, p.at-extraMore):p.at] {
		before = before<<8 | uint64(b)
	}
	for _, b := range p.new[p.at:to] {
		sum += p.models.extra.cost(before, b)
		before = before<<8 | uint64(b)
	}
	return sum
}

// diffCost is what the next byte costs in a lane where it differs.
func (p *pathfinder) diffCost(shift int) cost {
	at := p.at + shift
	if at < 0 || at >= len(p.old) {
		return hopeless
	}
	n := min(diffMore, p.at, at)
	before := uint64(0)
	was := p.old[at-n : at]
	for i, b := range p.new[p.at-n : p.at] {
		before = before<<8 | uint64(b-was[i])
	}
	return p.models.diff.cost(before, p.new[p.at]-p.old[at]) + pathOther
}

// covers goes back along the cheapest way.
func (p *pathfinder) covers() []cover {
	b := p.best()
	var way []piece
	p.enter(&lane{}, b, 0)
	for i := b.piece; i != none; i = p.pieces[i].prev {
		way = append(way, p.pieces[i])
	}
	slices.Reverse(way)
	var out []cover
	for i, q := range way {
		end := len(p.new)
		if i+1 < len(way) {
			end = way[i+1].begun
		}
		if q.extra {
			out = append(out, cover{newPos: q.begun, extra: end - q.begun})
		} else {
			out = append(out, cover{newPos: q.begun, oldPos: q.begun + q.shift, diff: end - q.begun})
		}
	}
	return out
}
