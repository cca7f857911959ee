// Package files is a machine made of ordinary files: each slot is a file, and
// the boot loader is a function that keeps its environment in two copies.
//
// It is for development, tests and demonstrations, and for devices that
// install something smaller than a system: what lies in the slot is started by
// a supervisor. The boot loader's logic is real: it counts the attempts of a
// trial down before it starts the system on trial, and goes back to the kept
// slot when none are left, so that everything that can happen on a board can
// happen here.
//
// The promise is that of package platform, and it is proved by the suite in
// platform/platformtest with a power cut at every step. It trusts whoever can
// write to the directory and the files.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/disk"
)

// Slot is an ordinary file in the place of a partition. It implements
// [platform.Slot].
type Slot struct {
	name, path string
	size       int64 // as configured; 0 = the file's length
}

// NewSlot describes the slot name that lives in the file at path and takes
// size bytes, or, with size 0, as many as the file is long. It changes
// nothing: a missing or empty file is made, sparse, when the slot is first
// opened for writing. What cannot become a slot is refused here: a
// symbolic link, a device, and a missing or empty file without a size.
func NewSlot(name, path string, size int64) (*Slot, error) {
	if name == "" || path == "" || size < 0 {
		return nil, fmt.Errorf("slot %q in file %q with size %d: want a name, a path and a size of 0 or more", name, path, size)
	}
	s := &Slot{name: name, path: path, size: size}
	if _, err := s.Size(); err != nil {
		return nil, err
	}
	return s, nil
}

// Name implements [platform.Slot].
func (s *Slot) Name() string { return s.name }

// Path is the file the slot lives in.
func (s *Slot) Path() string { return s.path }

// Size implements [platform.Slot].
func (s *Slot) Size() (int64, error) {
	st, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.size > 0:
		return s.size, nil
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("slot %s: %s does not exist (make it, or give the slot a size)", s.name, s.path)
	case err != nil:
		return 0, fmt.Errorf("slot %s: %w", s.name, err)
	case !st.Mode().IsRegular():
		return 0, fmt.Errorf("slot %s: %s is not a regular file but %s", s.name, s.path, kind(st.Mode()))
	case s.size > 0:
		return s.size, nil
	case st.Size() == 0:
		return 0, fmt.Errorf("slot %s: %s is empty (make it as long as the slot is to be, or give the slot a size)", s.name, s.path)
	}
	return st.Size(), nil
}

func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeDevice != 0:
		return "a device (use slots of kind block)"
	}
	return "something special"
}

// Open implements [platform.Slot]. The [platform.Medium] that it returns is
// [platform.Uncached].
func (s *Slot) Open(write bool) (platform.Medium, error) {
	size, err := s.Size()
	if err != nil {
		return nil, err
	}
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(s.path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", s.name, err)
	}
	m := &medium{f: f, name: s.name, size: size}
	if write {
		err = m.take(s.path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("slot %s: %w", s.name, err)
	}
	return m, nil
}

// medium is an opened slot.
type medium struct {
	f    *os.File
	name string
	size int64
}

// take excludes other writers and makes the file as long as the slot.
func (m *medium) take(path string) error {
	err := unix.Flock(int(m.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w", path, platform.ErrBusy)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	st, err := m.f.Stat()
	if err != nil || st.Size() >= m.size {
		return err
	}
	if err := m.f.Truncate(m.size); err != nil {
		return err
	}
	// The file may be new: its name must outlive a power cut like its content.
	return disk.SyncDir(disk.OS{}, filepath.Dir(path))
}

// ReadAt implements io.ReaderAt. The slot ends at its size, however long the
// file is.
func (m *medium) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("slot %s: read at %d", m.name, off)
	}
	if off >= m.size {
		return 0, io.EOF
	}
	if left := m.size - off; int64(len(p)) > left {
		n, err := m.f.ReadAt(p[:left], off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return m.f.ReadAt(p, off)
}

// WriteAt implements io.WriterAt.
func (m *medium) WriteAt(p []byte, off int64) (int, error) {
	// By subtraction: off + len(p) could overflow.
	if off < 0 || off > m.size || int64(len(p)) > m.size-off {
		return 0, fmt.Errorf("slot %s: write of %d bytes at %d: the slot ends at %d", m.name, len(p), off, m.size)
	}
	return m.f.WriteAt(p, off)
}

// Sync implements [platform.Medium]: fsync(2).
func (m *medium) Sync() error { return m.f.Sync() }

// DropCache implements [platform.Uncached]: posix_fadvise(2), DONTNEED.
func (m *medium) DropCache() error {
	return unix.Fadvise(int(m.f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// Close closes the file, which lets the lock go.
func (m *medium) Close() error { return m.f.Close() }
