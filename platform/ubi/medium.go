package ubi

import (
	"fmt"
	"io"
	"os"
)

// flash is a volume as the kernel gives it, for reading at any place and for
// changing one eraseblock at a time.
type flash interface {
	io.ReaderAt
	// change makes data the whole content of an eraseblock, atomically. What
	// it does not fill reads as 0xff.
	change(leb int32, data []byte) error
	// empty erases the volume and ends an interrupted update.
	empty() error
	Sync() error
	io.Closer
}

// medium is an opened volume. What is written gathers until the writer leaves
// the eraseblock, reads, or syncs. An error that comes then has already been
// promised away, so it stays: no later Sync can say that all is well.
type medium struct {
	f         flash
	name      string
	leb, size int64
	write     bool
	broken    error

	gather []byte // the content of one eraseblock
	start  int64  // where it begins in the volume
	lo, hi int64  // the part of it that was written to; none if equal
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
	if int64(len(p)) <= m.size-off {
		return m.f.ReadAt(p, off)
	}
	n, err := m.f.ReadAt(p[:m.size-off], off)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

// WriteAt implements io.WriterAt. What it takes may still be in memory when it
// returns: an error of the flash comes at the latest with Sync or Close.
func (m *medium) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case !m.write:
		return 0, m.failed("it was opened for reading only")
	case off < 0 || off > m.size || int64(len(p)) > m.size-off: // off + len(p) could overflow
		return 0, m.failed("write of %d bytes at %d: the slot ends at %d", len(p), off, m.size)
	case m.broken != nil:
		return 0, m.broken
	}
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
		if m.hi == m.leb {
			if err := m.flush(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// enter begins the eraseblock around at.
func (m *medium) enter(at int64) error {
	if err := m.flush(); err != nil {
		return err
	}
	if m.gather == nil {
		m.gather = make([]byte, m.leb)
	}
	m.lo = at % m.leb
	m.hi, m.start = m.lo, at-m.lo
	return nil
}

// flush changes the eraseblock to what has gathered, and to what the volume
// holds around it.
func (m *medium) flush() error {
	if m.broken != nil || m.lo == m.hi {
		return m.broken
	}
	err := m.fill(0, m.lo)
	if err == nil {
		err = m.fill(m.hi, m.leb)
	}
	if err == nil {
		err = m.f.change(int32(m.start/m.leb), m.gather)
	}
	m.lo, m.hi = 0, 0
	m.broken = err
	return err
}

func (m *medium) fill(from, to int64) error {
	if from == to {
		return nil
	}
	_, err := m.f.ReadAt(m.gather[from:to], m.start+from)
	return err
}

// Sync implements [platform.Medium]: the last eraseblock is changed as far as
// it has come, and the flash is told to hold nothing back.
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

// Close gives what has gathered to the flash and closes the volume.
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
