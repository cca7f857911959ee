// Package durable writes what is still there after a power cut.
//
// Writing a file is not enough: until fsync returns, the bytes are in memory,
// and until the directory is synced too, so is the file's name. Between those
// points a power cut leaves the old content, the new, a mixture of both, or an
// empty file. The package has three answers:
//
//   - [WriteFile] replaces a whole file, once and again: old or new.
//   - [Pair] holds one small value in two copies, for records that change all
//     the time: old or new, and one copy may go bad.
//   - [Spool] is a file that a download grows in. It promises no more than
//     [Spool.Sync] does; what is in it is proved by a digest, not by its length.
//
// [Lock] keeps a second process out of a directory.
//
// The promise holds for file systems that keep fsync's promise, and is proved
// by tests that cut the power at every call on a model of a disk that forgets,
// tears and reorders whatever was not synced. It trusts the directory: whoever
// can write there can put anything into it. The checks find accidents, they
// are no signature.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/platform/internal/disk"
)

// WriteFile replaces the content of the file at path by data, or creates it
// with the permissions perm (before umask). After a power cut, or an error,
// the file holds what it held before or all of data, and when WriteFile has
// returned nil it holds data. One writer at a time for each path. A symbolic
// link at path is replaced, not followed.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return writeFile(disk.OS{}, path, data, perm)
}

// writeFile is open, write, fsync, rename, fsync of the directory. The order
// is the whole point:
//
//   - fsync before rename: a rename may reach the medium before the content
//     does, and would then name an empty file;
//   - fsync of the directory after rename: the new name is only in memory
//     until then.
func writeFile(d disk.Disk, path string, data []byte, perm fs.FileMode) error {
	dir, name := filepath.Split(filepath.Clean(path))
	dir = filepath.Clean(dir)
	// The same directory, since rename does not cross file systems. The same
	// name each time, so that a power cut leaves one file behind at most.
	temp := filepath.Join(dir, "."+name+".tmp")
	if err := d.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the rest of an interrupted write: %w", err)
	}
	if err := create(d, temp, data, perm); err != nil {
		d.Remove(temp) // best effort: the next write removes it, too
		return err
	}
	if err := d.Rename(temp, path); err != nil {
		d.Remove(temp)
		return err
	}
	if err := disk.SyncDir(d, dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// create writes a file that does not exist yet, and syncs it.
func create(d disk.Disk, path string, data []byte, perm fs.FileMode) error {
	f, err := d.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	return finish(f, path, data)
}

// finish writes data to f from its position, syncs and closes it.
func finish(f disk.File, path string, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	// Close last and always; an error of close(2) comes after a good fsync
	// and is reported all the same.
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
