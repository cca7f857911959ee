package diff

import (
	"context"
	"sync"
)

// segmentSize is how much of the new image one goroutine covers at a time. It
// is fixed, so that the patch does not depend on the number of processors.
// Smaller ones cost next to nothing: patches of 68 MB of modules were 0.03 %
// larger with 8 and with 16 MiB than with 64, and those of a kernel smaller.
const segmentSize = 16 << 20

// covers cuts new into covers, segments of a size in goroutines, and joins them.
func covers(ctx context.Context, m matcher, t tuning, old, new []byte, segment, workers int, tick func(done int)) ([]cover, error) {
	n := (len(new) + segment - 1) / segment
	parts := make([][]cover, n)
	jobs := make(chan int)
	var mu sync.Mutex // guards done, and tick is not called twice at a time
	done := 0
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range jobs {
				from := i * segment
				to := min(len(new), from+segment)
				last := from
				// It begins as if the image had not moved. What does not belong
				// together (the shift of one place and the bytes of another)
				// made a patch of an image with long runs of zeros ten times as large.
				at := min(from, len(old))
				a := aligner{tuning: t, seeds: m, old: old, new: new[:to], scan: from, newEnd: from, oldEnd: at, shift: at - from}
				step := func(at int) bool {
					mu.Lock()
					done += at - last
					tick(done)
					mu.Unlock()
					last = at
					return ctx.Err() != nil
				}
				for c, ok := a.next(step); ok; c, ok = a.next(step) {
					parts[i] = append(parts[i], c)
				}
				step(to)
			}
		}()
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var j joiner
	for _, part := range parts {
		for i, c := range part {
			j.add(c, old, new, i == 0)
		}
	}
	return prune(j.covers, old, new), nil
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
