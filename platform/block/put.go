package block

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

const (
	zeroBlock = 64 << 10 // bytes; smaller pieces of zeros are written
	batch     = 4 << 20  // bytes that are handed to the device at once; twice as many wait at most
)

// put writes whole sectors. Aligned blocks of zeros are left to the device.
func (m *medium) put(p []byte, off int64) error {
	for len(p) > 0 {
		n, zeros := m.run(p, off)
		if zeros {
			if err := punch(m.f, off, int64(n)); err == nil {
				p, off = p[n:], off+int64(n)
				continue
			} else if !cannot(err) {
				return err
			}
			m.noPunch = true // the zeros are written, now and from now on
		}
		if err := m.store(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// run is how many bytes from the beginning of p are to be treated alike, and
// whether they are zeros that the device can make by itself.
func (m *medium) run(p []byte, off int64) (n int, zeros bool) {
	if m.noPunch {
		return len(p), false
	}
	for n < len(p) {
		end := min(len(p), n+zeroBlock-int((off+int64(n))%zeroBlock))
		z := end-n == zeroBlock && isZero(p[n:end])
		if n > 0 && z != zeros {
			return n, zeros
		}
		zeros, n = z, end
	}
	return n, zeros
}

func isZero(p []byte) bool {
	return p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1])
}

func cannot(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

func (m *medium) store(p []byte, off int64) error {
	if _, err := m.f.WriteAt(p, off); err != nil {
		return err
	}
	if m.direct {
		return nil
	}
	return m.back.wrote(m, off, int64(len(p)))
}

// writeback bounds what waits in the page cache: while a batch gathers there,
// the one before is on its way to the device and the one before that is done.
type writeback struct{ before, now span }

type span struct{ off, n int64 }

func (w *writeback) wrote(m *medium, off, n int64) error {
	if w.now.n > 0 && off != w.now.off+w.now.n {
		if err := w.next(m); err != nil {
			return err
		}
	}
	if w.now.n == 0 {
		w.now.off = off
	}
	w.now.n += n
	if w.now.n < batch {
		return nil
	}
	return w.next(m)
}

// next starts writing the batch that has gathered and waits for the one before.
// An error that the kernel tells here it does not tell fsync again: it must not
// be lost.
func (w *writeback) next(m *medium) error {
	const start, wait = unix.SYNC_FILE_RANGE_WRITE, unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	fd := int(m.f.Fd())
	err := unix.SyncFileRange(fd, w.now.off, w.now.n, start)
	if err == nil && w.before.n > 0 {
		err = unix.SyncFileRange(fd, w.before.off, w.before.n, wait)
		// An image is written once: its pages only push out others.
		_ = unix.Fadvise(fd, w.before.off, w.before.n, unix.FADV_DONTNEED)
	}
	if err == unix.ENOSYS {
		err = m.f.Sync()
	}
	w.before, w.now = w.now, span{}
	return err
}
