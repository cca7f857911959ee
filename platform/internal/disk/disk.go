// Package disk is the small gate through which platform/durable reaches the
// file system. It exists so that a test can stand on the other side of it and
// cut the power at every single call: see platform/internal/forgetful.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is a file system. [OS] is the real one. Its calls are the system calls
// of the same names; what they promise about a power cut is what POSIX
// promises, which is nothing until the file, or the directory, is synced.
type Disk interface {
	// OpenFile is open(2) with the flags of package os. The last element of
	// the path is never followed if it is a symbolic link. A directory opened
	// with os.O_RDONLY can be synced.
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	// Rename is rename(2): atomic as seen by others, durable only when the
	// directory has been synced.
	Rename(from, to string) error
	// Remove is unlink(2).
	Remove(path string) error
}

// File is an opened file, read and written from its start.
type File interface {
	io.ReadWriteCloser
	// Sync is fsync(2).
	Sync() error
}

// OS is the real file system.
type OS struct{}

// OpenFile implements [Disk].
func (OS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename implements [Disk].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [Disk].
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir makes the names in the directory dir durable: open, fsync, close.
// Without it a file that was created or renamed, and synced itself, can be
// missing after a power cut, or have its old name.
func SyncDir(d Disk, dir string) error {
	return SyncFile(d, filepath.Clean(dir))
}

// SyncFile makes the content of a file durable, whoever wrote it: fsync works
// on the file, not on what was written through one descriptor.
func SyncFile(d Disk, path string) error {
	f, err := d.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	// A file system that knows no such call (EINVAL), or takes no writes at
	// all (EROFS), has nothing waiting to be written.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EROFS) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
