// Package rewrite changes the small files that a boot loader reads, in the two
// ways that there are, over the gate of platform/internal/disk.
//
// [InPlace] writes into the blocks that the file has already. A boot loader
// looks at the medium with a small reader of its own that knows no journal: a
// file that was renamed over another may be there for the kernel, which replays
// its journal first, and not yet for the boot loader. Blocks that were
// overwritten are the same for both. The promise: what is in one sector changes
// at once or not at all, and the sectors change from the first to the last.
//
// [Replace] is for a file that is not there, or is of no use as it is.
//
// Both read back what they wrote, from the medium where the system lets go of
// what it has cached. They trust the directory.
package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform/internal/disk"
)

// Sector is how many bytes a medium writes at least at once: all or nothing.
const Sector = 512

// ErrTooLong means that a file is longer than anything the boot loader reads.
var ErrTooLong = errors.New("the file is too long")

// Read gives the whole file, or [ErrTooLong] when it has more than most bytes.
func Read(d disk.Disk, path string, most int) ([]byte, error) {
	f, err := d.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", path, most, ErrTooLong)
	}
	return b, nil
}

// Head gives the first n bytes of a file or of a device that is larger.
func Head(d disk.Disk, path string, n int) ([]byte, error) {
	f, err := d.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read %d bytes of %s: %w", n, path, err)
	}
	return b, nil
}

// InPlace puts data at the start of a file or a device, where old is now, which
// must be as long. Each sector that changes is on the medium before the next one is
// written. When nothing changes it makes durable what is there: it may have
// been written by a process that was killed before it could.
func InPlace(d disk.Disk, path string, old, data []byte) error {
	if len(old) != len(data) {
		return fmt.Errorf("write %s: %d bytes in the place of %d", path, len(data), len(old))
	}
	f, err := d.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = sectors(f, old, data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return verify(d, path, data)
}

// sectors writes up to the last sector that is new. An equal one before it is
// written again, which changes nothing.
func sectors(f disk.File, old, data []byte) error {
	last := len(data)
	for last > 0 && old[last-1] == data[last-1] {
		last--
	}
	for from := 0; from < last; from += Sector {
		to := min(from+Sector, len(data))
		if _, err := f.Write(data[from:to]); err != nil {
			return err
		}
		if bytes.Equal(old[from:to], data[from:to]) {
			continue
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Sync()
}

// Replace puts a file with the content data at path, by way of the file temp in
// the same directory, which is removed first if a cut left one behind. It is
// fsync, rename, fsync of the directory; what a cut does in between is up to
// the file system: on one without a journal (FAT) both names may be there, or
// the sector of the directory that holds them be damaged.
func Replace(d disk.Disk, path, temp string, data []byte, perm fs.FileMode) error {
	if err := d.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the rest of an interrupted write: %w", err)
	}
	f, err := d.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		// Before the name changes: afterwards it is too late to find out.
		err = verify(d, temp, data)
	}
	if err == nil {
		err = d.Rename(temp, path)
	}
	if err != nil {
		d.Remove(temp) // best effort: the next write removes it, too
		return fmt.Errorf("write %s: %w", temp, err)
	}
	if err := disk.SyncDir(d, filepath.Dir(path)); err != nil {
		return fmt.Errorf("sync directory %s: %w", filepath.Dir(path), err)
	}
	return nil
}

// verify reads the file back.
func verify(d disk.Disk, path string, want []byte) error {
	f, err := d.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	defer f.Close()
	if real, ok := f.(interface{ Fd() uintptr }); ok {
		// It was synced, so nothing is lost by forgetting it. An advice that is
		// not taken leaves a weaker check, not a wrong one.
		_ = unix.Fadvise(int(real.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	got, err := io.ReadAll(io.LimitReader(f, int64(len(want))))
	if err != nil {
		return fmt.Errorf("read back %s: %w", path, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("read back %s: it is not what was written (the medium is failing or write-protected)", path)
	}
	return nil
}
