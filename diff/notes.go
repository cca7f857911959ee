package diff

const (
	noteLeast = 12  // bytes of the shortest match that is noted
	noteBack  = 256 // how far a lane may begin before its match
	noteDrop  = 12  // how much what differs may lead there
	// notePer bytes of new have one note at most. Images have a third of that.
	notePer  = 32
	noteSize = 12      // bytes
	noteFree = 1 << 16 // bytes of new that may be full of them
)

// lanesMemory is what the notes on an image take, with what they grow by.
func lanesMemory(newSize int64) int64 { return newSize / notePer * noteSize * 5 / 4 }

// note is where a lane begins: the place behind the beginning of its segment, and the
// lane's shift in two halves. There are millions of them beside a large index.
type note struct {
	from, low uint32
	high      int32
}

func newNote(from, shift int) note {
	return note{uint32(from), uint32(shift), int32(int64(shift) >> 32)}
}

// lane gives the lane of a note of the segment that begins there.
func (n note) lane(segment int) candidate {
	return candidate{from: segment + int(n.from), shift: int(int64(n.high)<<32 | int64(n.low))}
}

// notes are the lanes of the matches that a search came across, taken or not.
type notes struct {
	old, new []byte
	from     int // no lane begins before
	found    []note
	last     [8]candidate // the latest, hold being the end of the match
	turn     int
}

// add takes a match at a place of new. What goes on in one of the latest lanes is
// no news.
func (n *notes) add(at, shift, length int) {
	for i := range n.last {
		if l := &n.last[i]; l.shift == shift && at <= l.hold {
			l.hold = max(l.hold, at+length)
			return
		}
	}
	n.last[n.turn%len(n.last)] = candidate{at, shift, at + length}
	n.turn++
	if len(n.found)*notePer > at-n.from+noteFree {
		return
	}
	n.found = append(n.found, newNote(n.begin(at, shift)-n.from, shift))
}

// begin gives where a lane is worth being open: before its match too, as long
// as more bytes agree than not, about.
func (n *notes) begin(at, shift int) int {
	begin, lead := at, 0
	for i := at - 1; i >= n.from && i+shift >= 0 && at-i <= noteBack && lead >= -noteDrop; i-- {
		if n.new[i] != n.old[i+shift] {
			lead -= 2
		} else if lead++; lead > 0 {
			begin, lead = i, 0
		}
	}
	return begin
}
