package durable

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/disk"
)

// Spool is a file that a download grows in. What was written before the last
// successful [Spool.Sync] is still there after a power cut; what came later
// may be, or may read as zeros, whatever [Spool.Size] says. A Spool is safe
// for use by one goroutine at a time.
type Spool struct {
	f     *os.File
	path  string
	named bool // the directory has been synced since the file was made
}

// OpenSpool opens the spool at path, or makes an empty one that only its owner
// can read. Anything but a regular file of one name is refused: a symbolic
// link, a device, or a file that somebody holds by a second name and could
// change after it was verified.
func OpenSpool(path string) (*Spool, error) {
	// O_NONBLOCK: a FIFO in the spool's place must not hang us.
	const flags = os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("spool %s: is a symbolic link (remove it)", path)
	}
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := ordinary(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("spool %s: %w", path, err)
	}
	return &Spool{f: f, path: path}, nil
}

// ordinary refuses everything but a regular file of one name.
func ordinary(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("is not a regular file (remove it)")
	}
	if st.Nlink != 1 {
		return fmt.Errorf("has %d names, want one (remove the other links)", st.Nlink)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) { return s.f.ReadAt(p, off) }

// WriteAt implements io.WriterAt.
func (s *Spool) WriteAt(p []byte, off int64) (int, error) { return s.f.WriteAt(p, off) }

// Size is the file's length in bytes.
func (s *Spool) Size() (int64, error) {
	st, err := s.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Truncate makes the file size bytes long.
func (s *Spool) Truncate(size int64) error { return s.f.Truncate(size) }

// Sync returns when everything written before is on the medium, and the file's
// name with it: fsync of the file, then, once, of its directory.
func (s *Spool) Sync() error {
	if err := s.f.Sync(); err != nil {
		return err
	}
	if s.named {
		return nil
	}
	if err := disk.SyncDir(disk.OS{}, filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("sync directory of %s: %w", s.path, err)
	}
	s.named = true
	return nil
}

// Free says how many more bytes the file system would take now, in bytes. Others
// write there too: it is a forecast, no reservation.
func (s *Spool) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(s.f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.path, err)
	}
	blocks, size := uint64(st.Bavail), uint64(st.Bsize)
	if size == 0 || blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}

// Remove deletes the file and closes it. The name's going is synced, so that
// the spool of a finished update does not come back.
func (s *Spool) Remove() error {
	err := os.Remove(s.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = disk.SyncDir(disk.OS{}, filepath.Dir(s.path))
	}
	return errors.Join(err, s.Close())
}

// Close closes the file. What was not synced may be lost in a power cut.
func (s *Spool) Close() error { return s.f.Close() }

// Locked is a directory that this process holds: see [Lock].
type Locked struct{ f *os.File }

// Lock takes the directory dir for this process, or fails with
// [platform.ErrBusy] when another one holds it. The lock is an flock(2) of the
// directory itself: the kernel lets it go when the process ends, however it
// ends, and no file is left behind that could be stale.
func Lock(dir string) (*Locked, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &Locked{f: f}, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s: %w", dir, platform.ErrBusy)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

// Unlock lets the directory go.
func (l *Locked) Unlock() error { return l.f.Close() }
