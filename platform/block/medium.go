package block

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	window    = 1 << 20  // bytes that are written, or read ahead, at once
	maxSector = 64 << 10 // bytes; the kernel's largest
	align     = 4 << 10  // of memory, for O_DIRECT
)

// medium is an opened device. What is written gathers in one window, a part of
// the device that begins at a multiple of its length, until the writer leaves
// the window, reads, or syncs. An error that comes then has already been
// promised away, so it stays: no later Sync can say that all is well.
type medium struct {
	f            *os.File
	name         string
	size, sector int64
	write        bool
	direct       bool // f goes past the page cache
	noPunch      bool // the device cannot make zeros by itself
	broken       error

	gather []byte // the window being written
	start  int64  // where it begins on the device
	lo, hi int64  // the part of it that was written to; none if equal
	back   writeback

	ahead          []byte // what was read ahead, for direct reading
	aheadAt        int64
	aheadLen, next int64 // bytes in ahead; where a reader in order goes on
}

// aligned makes a buffer where O_DIRECT takes it.
func aligned(n int) []byte {
	b := make([]byte, n+align)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (align - 1)
	return b[skip : skip+n : skip+n]
}

// ReadAt implements io.ReaderAt.
func (m *medium) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, m.failed("read at %d", off)
	}
	if err := m.flush(); err != nil {
		return 0, err
	}
	if off >= m.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > m.size-off
	if short {
		p = p[:m.size-off]
	}
	n, err := m.read(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (m *medium) read(p []byte, off int64) (int, error) {
	if !m.direct {
		return m.f.ReadAt(p, off)
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at < m.aheadAt || at >= m.aheadAt+m.aheadLen {
			if err := m.readAhead(at, int64(len(p)-done)); err != nil {
				return done, err
			}
		}
		done += copy(p[done:], m.ahead[at-m.aheadAt:m.aheadLen])
	}
	m.next = off + int64(done)
	return done, nil
}

// readAhead reads the sectors around at: as many as are wanted, or a whole
// window for somebody who reads in order.
func (m *medium) readAhead(at, want int64) error {
	if m.ahead == nil {
		m.ahead = aligned(window)
	}
	m.aheadAt, m.aheadLen = m.down(at), 0
	n := int64(window)
	if at != m.next && at != 0 {
		n = min(n, m.up(at+want)-m.aheadAt)
	}
	n = min(n, m.size-m.aheadAt)
	if _, err := m.f.ReadAt(m.ahead[:n], m.aheadAt); err != nil {
		return err
	}
	m.aheadLen = n
	return nil
}

func (m *medium) down(off int64) int64 { return off &^ (m.sector - 1) }
func (m *medium) up(off int64) int64   { return m.down(off + m.sector - 1) }

// WriteAt implements io.WriterAt. What it takes may still be in memory when it
// returns: an error of the device comes at the latest with Sync or Close.
func (m *medium) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case !m.write:
		return 0, m.failed("it was opened for reading only")
	case off < 0 || off > m.size || int64(len(p)) > m.size-off: // off + len(p) could overflow
		return 0, m.failed("write of %d bytes at %d: the slot ends at %d", len(p), off, m.size)
	case m.broken != nil:
		return 0, m.broken
	}
	m.aheadLen = 0
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if m.lo == m.hi || at != m.start+m.hi {
			if err := m.enter(at); err != nil {
				return done, err
			}
		}
		n := copy(m.gather[m.hi:], p[done:])
		m.hi += int64(n)
		done += n
		if m.hi == window {
			if err := m.flush(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// enter begins the window around at.
func (m *medium) enter(at int64) error {
	if err := m.flush(); err != nil {
		return err
	}
	if m.gather == nil {
		m.gather = aligned(window)
	}
	m.start = at &^ (window - 1)
	m.lo = at - m.start
	m.hi = m.lo
	return nil
}

// flush gives what has gathered to the device.
func (m *medium) flush() error {
	if m.broken != nil || m.lo == m.hi {
		return m.broken
	}
	lo, hi := m.down(m.lo), m.up(m.hi)
	err := m.fillEdges(lo, hi)
	if err == nil {
		err = m.put(m.gather[lo:hi], m.start+lo)
	}
	m.lo, m.hi = 0, 0
	m.broken = err
	return err
}

// fillEdges completes the first and the last sector of the window's written
// part by what the device holds there.
func (m *medium) fillEdges(lo, hi int64) error {
	if lo == m.lo && hi == m.hi {
		return nil
	}
	old := aligned(int(m.sector))
	if lo < m.lo {
		if _, err := m.f.ReadAt(old, m.start+lo); err != nil {
			return err
		}
		copy(m.gather[lo:m.lo], old)
	}
	if m.hi < hi {
		if _, err := m.f.ReadAt(old, m.start+hi-m.sector); err != nil {
			return err
		}
		copy(m.gather[m.hi:hi], old[m.sector-(hi-m.hi):])
	}
	return nil
}

// Sync implements [platform.Medium]: fsync(2), which also empties the cache of
// the device itself.
func (m *medium) Sync() error {
	if !m.write {
		return nil
	}
	if err := m.flush(); err != nil {
		return err
	}
	m.broken = m.f.Sync()
	return m.broken
}

// DropCache implements [platform.Uncached]. What is read from now on goes past
// the page cache (O_DIRECT), which is surer than emptying it: others could
// fill it again.
func (m *medium) DropCache() error {
	if err := m.Sync(); err != nil {
		return err
	}
	m.aheadLen, m.next = 0, 0
	if !m.direct {
		// The pages are of no use any more; that they stay would do no harm.
		_ = unix.Fadvise(int(m.f.Fd()), 0, 0, unix.FADV_DONTNEED)
		if err := bypass(m.f); err != nil {
			return m.failed("cannot be read past the cache: %w", err)
		}
		m.direct = true
	}
	return nil
}

// Trim tells the device that its bytes from there to the end are of no use any
// more. It is a hint: a device that cannot take it is no error.
func (m *medium) Trim(from int64) error {
	if from < 0 || from > m.size || !m.write {
		return m.failed("trim from %d of %d", from, m.size)
	}
	if err := m.flush(); err != nil {
		return err
	}
	m.aheadLen = 0
	if from = m.up(from); from == m.size {
		return nil
	}
	err := discard(m.f, from, m.size-from)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// Close gives what has gathered to the device and closes it. What was not
// synced may be lost in a power cut.
func (m *medium) Close() error {
	err := m.flush()
	if cerr := m.f.Close(); err == nil {
		err = cerr
	}
	m.broken = os.ErrClosed
	return err
}

func (m *medium) failed(format string, a ...any) error {
	return fmt.Errorf("slot "+m.name+": "+format, a...)
}
