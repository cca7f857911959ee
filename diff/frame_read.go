package diff

import "encoding/binary"

// frameCursor walks through one decoded frame.
type frameCursor struct {
	number        uint32
	left          int64 // of its output
	diffLeft      int64 // of its diff bytes that no record has claimed yet
	records, runs []byte
	diff, extra   []byte
	recordsLeft   uint32

	oldPos         int64 // where the current record's diff goes on
	nowDiff        int64 // what is left of the current record
	nowExtra       int64
	zeros, literal int64 // what is left of the current run
	begunRuns      bool
}

func (f *frameCursor) begin(h *frameInfo, parts [sections][]byte) {
	*f = frameCursor{number: h.number, left: int64(h.out), diffLeft: int64(h.out) - int64(len(parts[secExtra])),
		records: parts[secRecords], runs: parts[secRuns], diff: parts[secDiff], extra: parts[secExtra], recordsLeft: h.records}
}

// next gives some bytes of the frame's output; none when it went to the next
// record or run instead.
func (f *frameCursor) next(p []byte, w *window) (int, error) {
	if f.nowDiff == 0 && f.nowExtra == 0 {
		if err := f.record(w.size); err != nil {
			return 0, err
		}
	}
	if f.nowDiff > 0 {
		n, err := f.patched(p[:min(int64(len(p)), f.nowDiff)], w)
		if err != nil {
			return 0, err
		}
		f.nowDiff -= int64(n)
		f.left -= int64(n)
		return n, f.finish()
	}
	n := copy(p[:min(int64(len(p)), f.nowExtra)], f.extra)
	f.extra = f.extra[n:]
	f.nowExtra -= int64(n)
	f.left -= int64(n)
	return n, f.finish()
}

// finish checks, at the end of the output, that every section was used up.
func (f *frameCursor) finish() error {
	if f.left > 0 {
		return nil
	}
	if len(f.records)+len(f.runs)+len(f.diff)+len(f.extra) > 0 || f.recordsLeft > 0 || f.zeros+f.literal+f.nowDiff+f.nowExtra > 0 {
		return badf("frame %d holds more than its output takes", f.number)
	}
	return nil
}

// record reads the next record and holds it to the rules.
func (f *frameCursor) record(oldSize int64) error {
	seek, ok := takeSigned(&f.records)
	diff, ok2 := takeVarint(&f.records)
	extra, ok3 := takeVarint(&f.records)
	if !ok || !ok2 || !ok3 || f.recordsLeft == 0 {
		return badf("frame %d has too few records, or one that is no number", f.number)
	}
	f.recordsLeft--
	switch {
	case seek < -f.oldPos || seek > oldSize-f.oldPos:
		return badf("frame %d seeks outside of the old image (from %d by %d, size %d)", f.number, f.oldPos, seek, oldSize)
	case diff > f.diffLeft || extra > int64(len(f.extra)) || diff+extra == 0:
		return badf("frame %d has a record of %d and %d bytes where %d and %d are left", f.number, diff, extra, f.diffLeft, len(f.extra))
	case diff > oldSize-(f.oldPos+seek):
		return badf("frame %d reads behind the end of the old image (%d bytes at %d, size %d)", f.number, diff, f.oldPos+seek, oldSize)
	}
	f.oldPos += seek
	f.nowDiff, f.nowExtra = diff, extra
	f.diffLeft -= diff
	return nil
}

// patched fills p with old bytes, and adds what the runs say.
func (f *frameCursor) patched(p []byte, w *window) (int, error) {
	n, err := w.copyAt(p, f.oldPos, f.nowDiff)
	if err != nil {
		return 0, err
	}
	p = p[:n]
	for len(p) > 0 {
		if f.zeros == 0 && f.literal == 0 {
			if err := f.run(); err != nil {
				return 0, err
			}
		}
		if skip := min(f.zeros, int64(len(p))); skip > 0 {
			f.zeros -= skip
			p = p[skip:]
			continue
		}
		k := min(f.literal, int64(len(p)))
		add(p[:k], f.diff)
		f.diff = f.diff[k:]
		f.literal -= k
		p = p[k:]
	}
	f.oldPos += int64(n)
	return n, nil
}

// run reads the next run. Only the first may have no zeros, and only the last
// no literals, so that each does something.
func (f *frameCursor) run() error {
	zeros, ok := takeVarint(&f.runs)
	literal, ok2 := takeVarint(&f.runs)
	last := len(f.runs) == 0
	if !ok || !ok2 || zeros == 0 && f.begunRuns || literal == 0 && !last || zeros+literal == 0 ||
		zeros > frameOut || literal > int64(len(f.diff)) {
		return badf("frame %d has a run that does not fit", f.number)
	}
	f.begunRuns = true
	f.zeros, f.literal = zeros, literal
	return nil
}

// takeVarint takes a number below 2^62 off the front of p.
func takeVarint(p *[]byte) (int64, bool) {
	u, n := binary.Uvarint(*p)
	if n <= 0 || u >= 1<<62 {
		return 0, false
	}
	*p = (*p)[n:]
	return int64(u), true
}

// takeSigned takes a number with a sign, which is its lowest bit.
func takeSigned(p *[]byte) (int64, bool) {
	u, n := binary.Uvarint(*p)
	if n <= 0 {
		return 0, false
	}
	*p = (*p)[n:]
	return int64(u>>1) ^ -int64(u&1), true
}
