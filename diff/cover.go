package diff

// tuning says when an alignment is worth its record, and how far it reaches.
type tuning struct {
	// gain is how many bytes better than going on in the current alignment
	// a match must be to begin a new record.
	gain int
	// An alignment is extended as long as equal times the bytes that agree
	// leads other times those that do not.
	equal, other int
}

// Tunings that were measured on arm64 images: plain takes small matches, since
// prune leaves the false ones out; quick is nearly that of the classic bsdiff, whose gain
// is 8; calm is best where almost nothing but addresses has changed.
var (
	plain = tuning{gain: 5, equal: 4, other: 3}
	quick = tuning{gain: 9, equal: 1, other: 1}
	calm  = tuning{gain: 16, equal: 1, other: 1}
)

// inherit is the length from which on a match is carried to the next position,
// one byte shorter, instead of searching for a longer one. Without it, a long
// match that is never quite good enough (zeros, most of all) is compared in
// full at every position.
const inherit = 512

// cover is a piece of the new image: diff bytes that resemble the old image at
// oldPos, then extra bytes.
type cover struct {
	newPos, oldPos, diff, extra int
}

// matcher finds a long piece of the old image that s begins with: its place
// and its length. It may be used by several goroutines.
type matcher interface {
	longest(s []byte) (pos, length int)
}

// aligner cuts the new image into covers, after the way of Percival's bsdiff:
// exact matches that gain something become alignments, each of which is then
// extended in both directions as its tuning says.
type aligner struct {
	tuning
	seeds matcher
	old   []byte
	new   []byte

	scan, pos, length int // the last match looked at: in new, in old, bytes
	// The end of the last cover: what follows it in new, and in old. shift
	// is old position - new position of the last match that was taken.
	newEnd, oldEnd, shift int

	steps int    // positions looked at, for tick
	notes *notes // takes the matches that are found, if set
}

// next gives the next cover; false at the end of the new image. tick is called
// now and then with the position reached, and stops the search by saying true.
func (a *aligner) next(tick func(at int) bool) (c cover, ok bool) {
	for a.scan < len(a.new) {
		score, stopped := a.seek(tick)
		if stopped {
			return cover{}, false
		}
		if a.length != score || a.scan == len(a.new) {
			return a.cut(), true
		}
	}
	return cover{}, false
}

// tickEvery is how many positions are looked at between two ticks.
const tickEvery = 1 << 12

// seek goes to the next match worth looking at, and gives how many of its
// bytes the last alignment has right as well.
func (a *aligner) seek(tick func(int) bool) (score int, stopped bool) {
	a.scan += a.length
	a.length = 0
	counted := a.scan
	for a.scan < len(a.new) {
		if a.steps++; a.steps%tickEvery == 0 && tick(a.scan) {
			return 0, true
		}
		if a.length > inherit {
			a.pos, a.length = a.pos+1, a.length-1
		} else {
			a.pos, a.length = a.seeds.longest(a.new[a.scan:])
			if a.notes != nil && a.length >= noteLeast {
				a.notes.add(a.scan, a.pos-a.scan, a.length)
			}
		}
		if end := a.scan + a.length; counted < end {
			score += a.agreeing(counted, end)
			counted = end
		}
		if a.length == score && score != 0 || a.length > score+a.gain {
			return score, false
		}
		if a.agrees(a.scan) && counted > a.scan {
			score--
		}
		a.scan++
		counted = max(counted, a.scan)
	}
	return score, false
}

// agrees says whether the last alignment has the byte at i of new right.
func (a *aligner) agrees(i int) bool {
	at := i + a.shift
	return at >= 0 && at < len(a.old) && a.old[at] == a.new[i]
}

// agreeing counts those bytes from one place of new to another.
func (a *aligner) agreeing(from, to int) int {
	from, to = max(from, -a.shift), min(to, len(a.old)-a.shift)
	if from >= to {
		return 0
	}
	n := 0
	is, was := a.new[from:to], a.old[from+a.shift:to+a.shift]
	for len(is) > 0 {
		same := common(is, was)
		n += same
		is, was = is[same:], was[same:]
		for len(is) > 0 && is[0] != was[0] {
			is, was = is[1:], was[1:]
		}
	}
	return n
}

// cut ends the cover of the last alignment where the new one begins.
func (a *aligner) cut() cover {
	forward := a.forward()
	back := 0
	if a.scan < len(a.new) {
		back = a.backward()
	}
	if over := a.newEnd + forward - (a.scan - back); over > 0 {
		keep := a.divide(forward, back, over)
		forward += keep - over
		back -= keep
	}
	c := cover{newPos: a.newEnd, oldPos: a.oldEnd, diff: forward}
	c.extra = a.scan - back - (a.newEnd + forward)
	a.newEnd, a.oldEnd, a.shift = a.scan-back, a.pos-back, a.pos-a.scan
	return c
}

// forward is how far the last alignment goes on behind its cover: to where
// the bytes that agree lead those that do not by the most.
func (a *aligner) forward() int {
	best, bestLen, lead := 0, 0, 0
	is := a.new[a.newEnd:a.scan]
	was := a.old[min(a.oldEnd, len(a.old)):]
	n := min(len(is), len(was))
	for i := 0; i < n; i++ {
		same := common(is[i:n], was[i:n])
		if i, lead = i+same, lead+a.equal*same; lead > best {
			best, bestLen = lead, i
		}
		lead -= a.other // for the byte at i
	}
	return bestLen
}

// backward is the same for the new alignment, to the left of its match.
func (a *aligner) backward() int {
	best, bestLen, same := 0, 0, 0
	for i := 1; a.scan-i >= a.newEnd && a.pos-i >= 0; i++ {
		if a.old[a.pos-i] == a.new[a.scan-i] {
			same++
		}
		if lead := a.equal*same - a.other*(i-same); lead > best {
			best, bestLen = lead, i
		}
	}
	return bestLen
}

// divide shares out over bytes that both alignments claim, and gives how many
// of them the last one keeps.
func (a *aligner) divide(forward, back, over int) int {
	newFrom := a.newEnd + forward - over
	last := a.old[a.oldEnd+forward-over:]
	next := a.old[a.pos-back:]
	best, keep, lead := 0, 0, 0
	for i, b := range a.new[newFrom : newFrom+over] {
		if b == last[i] {
			lead++
		}
		if b == next[i] {
			lead--
		}
		if lead > best {
			best, keep = lead, i+1
		}
	}
	return keep
}
