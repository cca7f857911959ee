package diff

import (
	"context"
	"runtime"
	"slices"
	"sync"
)

// segmentSize is how much of the new image one goroutine covers at a time. It
// is fixed, so that the patch does not depend on the number of processors.
// Smaller ones cost next to nothing: patches of 68 MB of modules were 0.03 %
// larger with 8 and with 16 MiB than with 64, and those of a kernel smaller.
const segmentSize = 16 << 20

// search cuts new into covers, segments of a size in goroutines.
type search struct {
	old, new []byte
	segment  int
	workers  int
	tick     func(done int)
}

// greedy gives covers in the way of an aligner and, when they are asked for, the
// lanes that it came across in each segment.
func (s *search) greedy(ctx context.Context, m matcher, t tuning, wantLanes bool) (found []cover, lanes [][]note, err error) {
	parts, lanes := make([][]cover, s.count()), make([][]note, s.count())
	err = s.each(ctx, func(r *scratch, i, from, to int, step func(int) bool) {
		// It begins as if the image had not moved. What does not belong
		// together (the shift of one place and the bytes of another)
		// made a patch of an image with long runs of zeros ten times as large.
		at := min(from, len(s.old))
		a := aligner{tuning: t, seeds: m, old: s.old, new: s.new[:to], scan: from, newEnd: from, oldEnd: at, shift: at - from}
		if wantLanes {
			a.notes = &notes{old: s.old, new: s.new, from: from, found: r.notes[:0]}
		}
		r.covers = r.covers[:0]
		for c, ok := a.next(step); ok; c, ok = a.next(step) {
			r.covers = append(r.covers, c)
		}
		parts[i] = slices.Clone(r.covers)
		if wantLanes {
			r.notes = a.notes.found
			lanes[i] = slices.Clone(r.notes)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return prune(s.join(parts, true), s.old, s.new), lanes, nil
}

// cheapest gives covers chosen by their cost, from lanes and other covers. What
// bytes cost is learnt from the latter.
func (s *search) cheapest(ctx context.Context, others []cover, lanes [][]note) ([]cover, error) {
	known := learn(s.old, s.new, others)
	parts := make([][]cover, s.count())
	err := s.each(ctx, func(r *scratch, i, from, to int, step func(int) bool) {
		r.lanes = r.lanes[:0]
		for _, n := range lanes[i] {
			r.lanes = append(r.lanes, n.lane(from))
		}
		r.lanes = append(r.lanes, lanesOf(others, from, to)...)
		slices.SortFunc(r.lanes, byPlace)
		p := pathfinder{models: known, old: s.old, new: s.new[:to]}
		parts[i] = p.find(from, r.lanes, step)
		lanes[i] = nil
	})
	if err != nil {
		return nil, err
	}
	return s.join(parts, false), nil
}

// lanesOf gives the lanes of covers, from one place of new to another.
func lanesOf(covers []cover, from, to int) (lanes []candidate) {
	for _, c := range covers {
		if c.diff > 0 && c.newPos < to && c.newPos+c.diff > from {
			lanes = append(lanes, candidate{from: max(from, c.newPos), shift: c.shift(), hold: c.newPos + c.diff})
		}
	}
	return lanes
}

func (s *search) count() int { return (len(s.new) + s.segment - 1) / s.segment }

// scratch is what a goroutine uses again for each of its segments: slices that grow
// anew would leave several times their size behind.
type scratch struct {
	covers []cover
	notes  []note
	lanes  []candidate
}

// each does the segments. step is to be called now and then with the place
// reached, and says whether to stop. It collects what the index and the segments leave
// behind: beside an index of several times the image the collector would not come.
func (s *search) each(ctx context.Context, do func(r *scratch, i, from, to int, step func(at int) bool)) error {
	jobs := make(chan int)
	var mu sync.Mutex // guards done, and tick is not called twice at a time
	done := 0
	var wg sync.WaitGroup
	for range min(s.workers, s.count()) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var r scratch
			for i := range jobs {
				from := i * s.segment
				to := min(len(s.new), from+s.segment)
				last := from
				step := func(at int) bool {
					mu.Lock()
					done += at - last
					s.tick(done)
					mu.Unlock()
					last = at
					return ctx.Err() != nil
				}
				runtime.GC()
				do(&r, i, from, to, step)
				step(to)
			}
		}()
	}
	for i := range s.count() {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	runtime.GC()
	return ctx.Err()
}

// join puts the covers of segments in a row; carry lets the alignment at the end
// of each go on into the next.
func (s *search) join(parts [][]cover, carry bool) []cover {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	j := joiner{make([]cover, 0, n)}
	for _, part := range parts {
		for i, c := range part {
			j.add(c, s.old, s.new, carry && i == 0)
		}
	}
	return j.covers
}

// joiner puts the covers of segments in a row.
type joiner struct{ covers []cover }

// add takes the next cover, first when it is the first of its segment: then
// the alignment of the one before is carried on as far as it is any good.
func (j *joiner) add(c cover, old, new []byte, first bool) {
	if first && len(j.covers) > 0 {
		c = j.carry(c, old, new)
	}
	if c.diff+c.extra == 0 {
		return
	}
	if len(j.covers) > 0 {
		last := &j.covers[len(j.covers)-1]
		if last.extra == 0 && c.oldPos == last.oldPos+last.diff {
			last.diff += c.diff
			last.extra = c.extra
			return
		}
		if c.diff == 0 {
			last.extra += c.extra
			return
		}
	}
	j.covers = append(j.covers, c)
}

func (j *joiner) carry(c cover, old, new []byte) cover {
	last := &j.covers[len(j.covers)-1]
	if c.diff > 0 || last.extra > 0 {
		return c
	}
	a := aligner{tuning: plain, old: old, new: new, scan: c.newPos + c.extra, newEnd: c.newPos, oldEnd: last.oldPos + last.diff}
	n := a.forward()
	last.diff += n
	return cover{newPos: c.newPos + n, oldPos: c.oldPos + n, extra: c.extra - n}
}
