package diff

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// minZeros is the shortest run of zeros that interrupts literals. Naming each
// shorter one would keep the literals' distances from the codecs, which find
// what is regular in them: patches were 5 to 30 % larger with 16.
const minZeros = 256

// framer cuts covers into frames.
type framer struct {
	old, new []byte
	most     frameLimits
	emit     func(*plainFrame) // takes each frame
	now      *plainFrame
	oldPos   int // where the frame's last diff ended
	zeros    int // of the run that is open
	literals int
	at       int // end of the frame in new
	number   uint32
}

// frameLimits are what a frame may hold: framePlain and frameOut, or less.
type frameLimits struct{ plain, out int }

// plainFrame is a frame before its sections are compressed.
type plainFrame struct {
	info frameInfo
	part [sections][]byte
}

func (f *plainFrame) size() int {
	n := 0
	for _, p := range f.part {
		n += len(p)
	}
	return n
}

const (
	recordMost = 32      // bytes that a record takes at most, and the run it may end
	frameSpare = 4 << 10 // room that is not worth filling
)

// add takes the next cover.
func (f *framer) add(c cover) {
	old, is := c.oldPos, f.new[c.newPos:c.newPos+c.diff]
	extra := f.new[c.newPos+c.diff : c.newPos+c.diff+c.extra]
	for len(is)+len(extra) > 0 {
		room := f.room()
		// A diff byte takes up to a half more than itself: its run.
		d := min(len(is), room/2)
		e := 0
		if d == len(is) {
			e = min(len(extra), room-2*d)
		}
		f.record(old, is[:d], extra[:e])
		old, is, extra = old+d, is[d:], extra[e:]
	}
}

// room begins a frame where there is none, or where the last one is full, and
// gives how many bytes it takes for sure.
func (f *framer) room() int {
	if f.now != nil {
		room := min(f.most.plain-f.now.size()-recordMost, f.most.out-int(f.now.info.out))
		if room >= min(frameSpare, f.most.out/4) {
			return room
		}
		f.end()
	}
	f.now = &plainFrame{info: frameInfo{number: f.number, at: int64(f.at)}}
	f.oldPos, f.number = 0, f.number+1
	return min(f.most.plain-recordMost, f.most.out)
}

// record adds a record to the frame.
func (f *framer) record(old int, is, extra []byte) {
	n := f.now
	r := n.part[secRecords]
	r = binary.AppendUvarint(r, zigzag(int64(old-f.oldPos)))
	r = binary.AppendUvarint(r, uint64(len(is)))
	n.part[secRecords] = binary.AppendUvarint(r, uint64(len(extra)))
	n.part[secExtra] = append(n.part[secExtra], extra...)
	n.info.records++
	n.info.out += uint32(len(is) + len(extra))
	f.at += len(is) + len(extra)
	f.oldPos = old + len(is)
	was := f.old[old : old+len(is)]
	for len(is) > 0 {
		z := common(is, was)
		f.skip(z)
		is, was = is[z:], was[z:]
		k := 0
		for k < len(is) && is[k] != was[k] {
			n.part[secDiff] = append(n.part[secDiff], is[k]-was[k])
			k++
		}
		f.literals += k
		is, was = is[k:], was[k:]
	}
}

// skip adds zeros to the runs.
func (f *framer) skip(z int) {
	switch {
	case f.literals == 0:
		f.zeros += z
	case z < minZeros:
		f.now.part[secDiff] = append(f.now.part[secDiff], make([]byte, z)...)
		f.literals += z
	default:
		f.endRun()
		f.zeros = z
	}
}

func (f *framer) endRun() {
	if f.zeros+f.literals == 0 {
		return
	}
	runs := binary.AppendUvarint(f.now.part[secRuns], uint64(f.zeros))
	f.now.part[secRuns] = binary.AppendUvarint(runs, uint64(f.literals))
	f.zeros, f.literals = 0, 0
}

// end gives the frame away.
func (f *framer) end() {
	if f.now != nil {
		f.endRun()
		f.emit(f.now)
		f.now = nil
	}
}

// zigzag puts the sign of a number into its lowest bit.
func zigzag(n int64) uint64 { return uint64(n<<1) ^ uint64(n>>63) }

// compress gives the frame as it is in the patch.
func (f *plainFrame) compress(e *encoder) []byte {
	var packed []byte
	for i, plain := range f.part {
		c, out := e.encode(plain)
		f.info.codec[i], f.info.plain[i], f.info.stored[i] = c, uint32(len(plain)), uint32(len(out))
		packed = append(packed, out...)
	}
	f.info.sum = crc32.Checksum(packed, castagnoli)
	return append(f.info.encode(), packed...)
}

// packNative makes a native patch of covers, with so many frames at a time.
func packNative(ctx context.Context, old, new []byte, covers []cover, most frameLimits, best bool, workers int, tick func(done int)) ([][]byte, error) {
	encoders := make([]*encoder, workers)
	for i := range encoders {
		var err error
		if encoders[i], err = newEncoder(best); err != nil {
			return nil, err
		}
	}
	jobs := make(chan *plainFrame)
	var mu sync.Mutex // guards what follows
	frames := map[uint32][]byte{}
	codecs, done := uint8(0), 0
	var wg sync.WaitGroup
	for _, e := range encoders {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for f := range jobs {
				packed := f.compress(e)
				mu.Lock()
				frames[f.info.number] = packed
				done += int(f.info.out)
				for _, c := range f.info.codec {
					codecs |= 1 << c
				}
				mu.Unlock()
			}
		}()
	}
	f := framer{old: old, new: new, most: most, emit: func(p *plainFrame) {
		if ctx.Err() == nil {
			jobs <- p
		}
		mu.Lock()
		at := done
		mu.Unlock()
		tick(at)
	}}
	for _, c := range covers {
		f.add(c)
	}
	f.end()
	close(jobs)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nativeParts(old, new, frames, codecs), nil
}

// nativeParts puts the header before the frames.
func nativeParts(old, new []byte, frames map[uint32][]byte, codecs uint8) [][]byte {
	h := NativeInfo{OldSize: int64(len(old)), NewSize: int64(len(new)), OldSHA256: sha256.Sum256(old), NewSHA256: sha256.Sum256(new),
		PatchSize: NativeHeader, Frames: uint32(len(frames)), codecs: codecs}
	parts := make([][]byte, 1, len(frames)+1)
	for i := range uint32(len(frames)) {
		parts = append(parts, frames[i])
		h.PatchSize += int64(len(frames[i]))
	}
	parts[0] = h.encode()
	return parts
}
