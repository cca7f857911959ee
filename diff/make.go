package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
)

// MaxOldSize is the size of the largest old image that can be indexed by its
// suffixes, in bytes: positions in it are kept in 32 bits. Larger ones are
// indexed by seeds alone, [Options] Best or not.
const MaxOldSize = math.MaxInt32

// ErrMemory is wrapped by [Make] when [Options] MaxMemory is not enough.
var ErrMemory = errors.New("too little memory")

// Options of [Make]. The zero value is what most callers want.
type Options struct {
	// Format of the patch: BSDIFF40, which is also meant by "", or Native.
	Format Format
	// Best looks for a smaller patch with several tunings, and with a
	// suffix array as well as with seeds. It takes several times as long.
	Best bool
	// MaxMemory is what Make may take beside the two images, in bytes; 0 is
	// no limit. See [Options.Memory].
	MaxMemory int64
	// Workers is how many goroutines share the work; 0 is one for each
	// processor. The patch does not depend on it.
	Workers int
	// Progress, if set, is called now and then, from one goroutine at a
	// time, with how much of the work is done. done never goes back and
	// ends at total.
	Progress func(done, total int64)
}

// suffixes says whether the old image is indexed by its suffixes as well.
func (o Options) suffixes(oldSize int64) bool { return o.Best && oldSize > 0 && oldSize <= MaxOldSize }

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// What Make takes beside its index and the patch, in bytes.
const (
	workerMemory       = 16 << 20
	pathMemory         = 32 << 20 // the pieces of ways
	nativeWorkerMemory = 64 << 20 // all codecs are tried
	baseMemory         = 48 << 20
)

// Memory is what [Make] takes at most beside the two images, in bytes. Images
// that have nothing in common take up to the size of the new one more, for a
// patch that is as long.
func (o Options) Memory(oldSize, newSize int64) int64 {
	index, worker := seedsMemory(oldSize), int64(workerMemory)
	if o.Best {
		// The lanes are there with either, and never both at a time.
		index = max(index, modelMemory(newSize)) + lanesMemory(newSize)
		worker += pathMemory
	}
	if o.suffixes(oldSize) {
		index = max(index, 4*oldSize+oldSize/8+lanesMemory(newSize))
	}
	if o.Format == Native {
		worker = max(worker, nativeWorkerMemory)
	}
	return index + newSize/2 + int64(o.workers())*worker + baseMemory
}

// Make writes a patch that makes new out of old, in the format that the
// classic bspatch applies, or in our own. The same images and options always
// give the same patch. Both images may be empty, or larger than 4 GiB where
// that is possible: they may well be files in memory (mmap).
//
// When ctx ends, Make returns its error within a second or two for each 10 MB
// of old (sorting is not interrupted in its inner loops); what was written to
// w by then is nothing.
func Make(ctx context.Context, w io.Writer, old, new []byte, o Options) error {
	if o.Format != "" && o.Format != BSDIFF40 && o.Format != Native {
		return fmt.Errorf("format %q cannot be written", o.Format)
	}
	if need := o.Memory(int64(len(old)), int64(len(new))); o.MaxMemory > 0 && need > o.MaxMemory {
		return fmt.Errorf("%w: %d bytes are needed beside the images, and %d are allowed", ErrMemory, need, o.MaxMemory)
	}
	m := &maker{old: old, new: new, Options: o}
	m.plan()
	m.step(0)
	best, parts, err := m.best(ctx)
	switch {
	case err != nil:
	case o.Format == Native:
		parts, err = packNative(ctx, old, new, best, frameLimits{framePlain, frameOut}, o.Best, o.workers(), m.step)
	case parts == nil:
		parts, err = packClassic(ctx, old, new, best, o.workers())
	}
	if err != nil {
		return err
	}
	m.finish()
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("writing the patch: %w", err)
		}
	}
	return nil
}

// maker is one run of Make.
type maker struct {
	old, new []byte
	Options
	work   int64 // that there is in all
	before int64 // work of the steps that are done
	shown  int64
}

// trial is one way to find covers.
type trial struct {
	suffixes bool
	tuning   tuning
	path     bool // then by cost, from what the tuning found
}

// calmShare says for which patches the second trial, seeds with the calm tuning, is worth
// its time: those of less than one part in so many of the image. Of eight real pairs it
// won with one, whose patch is one part in 130; with larger ones it lost by 4 % and more.
const calmShare = 64

// trials has the largest index first, so that what comes after it finds room there.
func (m *maker) trials() []trial {
	if !m.Best {
		return []trial{{false, quick, false}}
	}
	return []trial{{m.suffixes(int64(len(m.old))), plain, true}, {false, calm, false}}
}

// plan counts the work: a byte of an index, of a search, of a path and of packing
// count the same.
func (m *maker) plan() {
	indexes, passes := int64(1), int64(2)
	if m.Best {
		indexes, passes = 2, 4
	}
	m.work = indexes*int64(len(m.old)) + passes*int64(len(m.new))
}

// total is what progress is counted in: the bytes of both images.
func (m *maker) total() int64 { return int64(len(m.old)) + int64(len(m.new)) }

// step says how far the current step is.
func (m *maker) step(done int) {
	if m.Progress == nil {
		return
	}
	at := int64(float64(m.before+int64(done)) / float64(max(m.work, 1)) * float64(m.total()))
	if at > m.shown && at < m.total() || at == 0 {
		m.shown = at
		m.Progress(at, m.total())
	}
}

func (m *maker) next(size int) {
	m.step(size)
	m.before += int64(size)
}

func (m *maker) finish() {
	if m.Progress != nil {
		m.Progress(m.total(), m.total())
	}
}

// best gives the covers that pack best, and their classic patch when it was
// made to find that out.
func (m *maker) best(ctx context.Context) (found []cover, patch [][]byte, err error) {
	trials := m.trials()
	for i, t := range trials {
		cs, err := m.covers(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		if len(trials) == 1 {
			return cs, nil, nil
		}
		parts, err := packClassic(ctx, m.old, m.new, cs, m.workers())
		if err != nil {
			return nil, nil, err
		}
		if i == 0 || sizeOf(parts) < sizeOf(patch) {
			found, patch = cs, parts
		}
		if sizeOf(patch) > len(m.new)/calmShare {
			break
		}
	}
	return found, patch, nil
}

// covers makes one trial.
func (m *maker) covers(ctx context.Context, t trial) ([]cover, error) {
	index := m.index(ctx, t.suffixes)
	if index == nil {
		return nil, ctx.Err()
	}
	m.next(len(m.old))
	s := search{old: m.old, new: m.new, segment: segmentSize, workers: m.workers(), tick: m.step}
	cs, lanes, err := s.greedy(ctx, index, t.tuning, t.path)
	if err != nil {
		return nil, err
	}
	m.next(len(m.new))
	if !t.path {
		return cs, nil
	}
	// The index is several times the image, and by itself the collector would only
	// come when there is as much again.
	index = nil
	runtime.GC()
	cs, err = s.cheapest(ctx, cs, lanes)
	m.next(len(m.new))
	return cs, err
}

func (m *maker) index(ctx context.Context, suffixes bool) matcher {
	stop := func() bool { return ctx.Err() != nil }
	if suffixes {
		if x := newIndex(m.old, stop); x != nil {
			return x
		}
		return nil
	}
	if x := newSeeds(m.old, stop); x != nil {
		return x
	}
	return nil
}

func sizeOf(parts [][]byte) int {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n
}
