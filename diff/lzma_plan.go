package diff

import "math/bits"

// slotOf is the slot of a distance: its two highest bits and their place.
func slotOf(dist uint32) uint32 {
	if dist < 4 {
		return dist
	}
	n := uint32(bits.Len32(dist)) - 1
	return n<<1 | dist>>(n-1)&1
}

// Prices are in 16ths of a bit.
const (
	lzPriceBits  = 4
	lzPriceSteps = 1 << 7
	lzInfinite   = 1 << 30
	lzHorizon    = 2048 // positions that are planned together
	lzLearn      = 256  // positions after which prices are too old
)

// lzNode is the cheapest way to a position.
type lzNode struct {
	price uint32
	state uint32
	reps  [4]uint32
	way   lzWay // from the node before
}

// lzWay is how a node is reached: by one step, or by a step (if it has any
// length), a literal, and a repetition at the last distance, which is often
// cheap where its first two parts alone are not.
type lzWay struct {
	lead, step lzStep
	joined     bool // lead and a literal come before step
}

// length is how far the way goes.
func (w *lzWay) length() int {
	n := int(w.step.length)
	if w.joined {
		n += 1 + int(w.lead.length)
	}
	return n
}

// after is the state and the last distances behind the way.
func (w *lzWay) after(state uint32, reps [4]uint32) (uint32, [4]uint32) {
	if w.joined {
		if w.lead.length > 0 {
			state, reps = w.lead.after(state, reps)
		}
		state = afterLiteral(state)
	}
	return w.step.after(state, reps)
}

// lzPlan finds the cheapest steps for the next positions, with prices that
// are not much older.
type lzPlan struct {
	nodes   [lzHorizon + 2*lzMaxMatch + 2]lzNode
	steps   []lzStep
	lengths [2][lzPosStates][lzMaxMatch + 1]uint32 // of matches, of repetitions
	near    [lzLenStates][lzFullDist]uint32
	slots   [lzLenStates][64]uint32
	align   [1 << lzAlignBits]uint32
	far     int // the last position that has a node
	nice    int
	learnAt int // the position from which on prices are learnt again
}

func (l *lzLen) prices(t *[lzMaxMatch + 1]uint32, ps int) {
	short, mid, high := price(l.choice, 0), price(l.choice, 1)+price(l.choice2, 0), price(l.choice, 1)+price(l.choice2, 1)
	for n := range uint32(lzLowSymbols) {
		t[lzMinMatch+n] = short + treePrice(l.low[ps][:], 3, n)
		t[lzMinMatch+lzLowSymbols+n] = mid + treePrice(l.mid[ps][:], 3, n)
	}
	for n := range uint32(lzHighSymbols) {
		t[lzMinMatch+2*lzLowSymbols+n] = high + treePrice(l.high[:], 8, n)
	}
}

// learn takes the prices from the model.
func (t *lzPlan) learn(m *lzModel) {
	for ps := range int(m.pbMask) + 1 {
		m.length.prices(&t.lengths[0][ps], ps)
		m.repLength.prices(&t.lengths[1][ps], ps)
	}
	for s := range lzLenStates {
		for slot := range uint32(64) {
			t.slots[s][slot] = treePrice(m.slot[s][:], 6, slot)
			if slot >= lzEndModel {
				t.slots[s][slot] += (slot>>1 - 1 - lzAlignBits) << lzPriceBits
			}
		}
		for dist := range uint32(lzFullDist) {
			slot := slotOf(dist)
			t.near[s][dist] = t.slots[s][slot]
			if slot >= 4 {
				n := uint(slot>>1 - 1)
				base := (2 | slot&1) << n
				t.near[s][dist] += reversePrice(m.special[base-slot:], n, dist-base)
			}
		}
	}
	for v := range t.align {
		t.align[v] = reversePrice(m.align[:], lzAlignBits, uint32(v))
	}
}

func (t *lzPlan) distance(dist uint32, length int) uint32 {
	s := lenState(length)
	if dist < lzFullDist {
		return t.near[s][dist]
	}
	return t.slots[s][slotOf(dist)] + t.align[dist&(1<<lzAlignBits-1)]
}

// make plans from pos on.
func (t *lzPlan) make(z *lzma, pos int) []lzStep {
	if pos >= t.learnAt || pos == 0 {
		t.learn(&z.m)
		t.learnAt = pos + lzLearn
	}
	t.nodes[0] = lzNode{state: z.state, reps: z.reps}
	t.far = 0
	i, end := 0, min(lzHorizon, len(z.p)-pos)
	for ; i < end; i++ {
		n := &t.nodes[i]
		if i > 0 {
			from := &t.nodes[i-n.way.length()]
			n.state, n.reps = n.way.after(from.state, from.reps)
		}
		found := z.trees.at(pos + i)
		if s := t.spread(z, pos, i, found); int(s.length) >= t.nice {
			// As good as it gets: the plan ends behind it.
			t.nodes[i+int(s.length)].way = lzWay{step: s}
			for k := range int(s.length) - 1 {
				z.trees.at(pos + i + 1 + k)
			}
			i += int(s.length)
			break
		}
	}
	t.steps = t.steps[:0]
	for at := i; at > 0; {
		w := &t.nodes[at].way
		t.steps = append(t.steps, w.step)
		if w.joined {
			t.steps = append(t.steps, lzStep{length: 1, rep: lzLiteral})
			if w.lead.length > 0 {
				t.steps = append(t.steps, w.lead)
			}
		}
		at -= w.length()
	}
	for a, b := 0, len(t.steps)-1; a < b; a, b = a+1, b-1 {
		t.steps[a], t.steps[b] = t.steps[b], t.steps[a]
	}
	return t.steps
}

// reach offers a way to position i.
func (t *lzPlan) reach(i int, price uint32, s lzStep) {
	for t.far < i {
		t.far++
		t.nodes[t.far].price = lzInfinite
	}
	if n := &t.nodes[i]; price < n.price {
		n.price = price
		n.way = lzWay{step: s}
	}
}

// join offers a way from position i that goes on behind lead with a literal
// and a repetition at dist, if there is one. cost, state and dist are those
// behind lead.
func (t *lzPlan) join(z *lzma, pos, i int, lead lzStep, cost, state, dist uint32) {
	at := pos + i + int(lead.length) // of the literal
	from := at - int(dist) - 1
	if from < 0 || at+1+lzMinMatch > len(z.p) || z.p[from] == z.p[at] {
		return
	}
	length := common(z.p[from+1:], z.p[at+1:min(len(z.p), at+1+lzMaxMatch)])
	if length < lzMinMatch {
		return
	}
	m, ps := &z.m, uint32(at)&z.m.pbMask
	cost += price(m.isMatch[state][ps], 0) + z.literalPrice(at, state, dist)
	state, ps = afterLiteral(state), uint32(at+1)&m.pbMask
	cost += price(m.isMatch[state][ps], 1) + price(m.isRep[state], 1) + m.repPrice(state, ps, 0) + t.lengths[1][ps][length]
	end := i + int(lead.length) + 1 + length
	t.reach(end, lzInfinite, lzStep{})
	if n := &t.nodes[end]; cost < n.price {
		n.price = cost
		n.way = lzWay{lead: lead, step: lzStep{length: uint32(length)}, joined: true}
	}
}

// spread offers everything that can follow position i, and gives the longest.
func (t *lzPlan) spread(z *lzma, pos, i int, found []lzMatch) (longest lzStep) {
	n, m, at := &t.nodes[i], &z.m, pos+i
	ps := uint32(at) & m.pbMask
	t.reach(i+1, n.price+price(m.isMatch[n.state][ps], 0)+z.literalPrice(at, n.state, n.reps[0]), lzStep{length: 1, rep: lzLiteral})
	t.join(z, pos, i, lzStep{}, n.price, n.state, n.reps[0])
	match := n.price + price(m.isMatch[n.state][ps], 1)
	longest = t.repeat(z, pos, i, match+price(m.isRep[n.state], 1))
	match += price(m.isRep[n.state], 0)
	l := lzMinMatch
	for _, f := range found {
		cost := uint32(0)
		for ; l <= int(f.length); l++ {
			cost = match + t.lengths[0][ps][l] + t.distance(f.dist, l)
			t.reach(i+l, cost, lzStep{length: uint32(l), rep: lzNewMatch, dist: f.dist})
		}
		if int(f.length) < t.nice {
			t.join(z, pos, i, lzStep{length: f.length, rep: lzNewMatch, dist: f.dist}, cost, afterMatch(n.state), f.dist)
		}
	}
	if k := len(found); k > 0 && found[k-1].length > longest.length {
		longest = lzStep{length: found[k-1].length, rep: lzNewMatch, dist: found[k-1].dist}
	}
	return longest
}

// repeat offers the last distances, and gives the longest of them.
func (t *lzPlan) repeat(z *lzma, pos, i int, again uint32) (longest lzStep) {
	n, m, at := &t.nodes[i], &z.m, pos+i
	ps := uint32(at) & m.pbMask
	left := min(len(z.p)-at, lzMaxMatch)
	for k, d := range n.reps {
		from := at - int(d) - 1
		if from < 0 {
			continue
		}
		length := common(z.p[from:], z.p[at:at+left])
		if length == 0 {
			continue
		}
		s := lzStep{length: uint32(length), rep: int8(k)}
		if s.length > longest.length {
			longest = s
		}
		if k == 0 {
			t.reach(i+1, again+price(m.isRepG0[n.state], 0)+price(m.isRep0Long[n.state][ps], 0), lzStep{length: 1})
		}
		rep := again + m.repPrice(n.state, ps, k)
		for l := lzMinMatch; l <= length; l++ {
			t.reach(i+l, rep+t.lengths[1][ps][l], lzStep{length: uint32(l), rep: int8(k)})
		}
		if length >= lzMinMatch && length < t.nice {
			t.join(z, pos, i, s, rep+t.lengths[1][ps][length], afterRep(n.state), d)
		}
	}
	return longest
}
