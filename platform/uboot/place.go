package uboot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// place is where one copy of an environment lies.
type place interface {
	// load reads the copy: all its bytes, or fewer when the medium ends before.
	// A copy that is not there at all is fs.ErrNotExist.
	load() ([]byte, error)
	// store writes all of the copy, which is on the medium when it returns nil
	// and was read back from there.
	store(b []byte) error
	// settle makes durable what load gives: another process may have written it
	// and been killed before it could.
	settle() error
}

// obsoleting is a place in NOR flash, where U-Boot does not count its copies
// but marks the old one: its flag is 1, and a bit can be cleared without an
// erase.
type obsoleting interface {
	obsolete() error
}

// kind is what a path leads to.
type kind int

const (
	regular kind = iota
	block
	flashChip
)

// majorMTD is the number that Linux has given to MTD character devices.
const majorMTD = 90

// kindOf follows the links of a path to what it is. What does not exist yet is
// a file.
func kindOf(path string) (string, kind, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(filepath.Clean(path), "/dev/") {
		return "", 0, fmt.Errorf("there is no device %s", path) // and no file is to be made in its place
	}
	if errors.Is(err, fs.ErrNotExist) {
		return path, regular, nil
	}
	if err != nil {
		return "", 0, err
	}
	var st unix.Stat_t
	if err := unix.Stat(real, &st); err != nil {
		return "", 0, &fs.PathError{Op: "stat", Path: real, Err: err}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return real, regular, nil
	case unix.S_IFBLK:
		return real, block, nil
	case unix.S_IFCHR:
		if unix.Major(uint64(st.Rdev)) == majorMTD {
			return real, flashChip, nil
		}
		return "", 0, fmt.Errorf("%s: a character device that is no MTD device (an environment in UBI is not supported)", path)
	}
	return "", 0, fmt.Errorf("%s: neither a file nor a block device nor an MTD device", path)
}

// stretch is a place in a file or on a block device.
type stretch struct {
	disk disk.Disk
	path string
	at   int64
	size int64
	file bool // it may be made, or made longer
}

func (s stretch) load() ([]byte, error) {
	f, err := s.disk.OpenFile(s.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := s.read(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	return b, nil
}

func (s stretch) read(f disk.File) ([]byte, error) {
	if err := seek(f, s.at); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, s.size))
}

// store writes in place. A file on a FAT partition is what U-Boot finds by its
// name: to rename a new one over it would change the directory and the
// allocation table too, which on FAT is no single step, while blocks that are
// overwritten leave both as they are. Only a file that is not there is made by
// a rename, and then its directory is synced too (W13).
func (s stretch) store(b []byte) error {
	f, err := s.disk.OpenFile(s.path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && s.file && s.at == 0 {
		return rewrite.Replace(s.disk, s.path, s.path+".new", b, 0o600)
	}
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (it is write-protected; an eMMC boot partition is opened by writing 0 to /sys/block/NAME/force_ro)", err)
	}
	if err != nil {
		return err
	}
	err = s.write(f, b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && s.file {
		err = disk.SyncDir(s.disk, filepath.Dir(s.path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return s.verify(b)
}

// write is one write and one sync: on a single copy the time between them is
// the window in which a power cut spoils it.
func (s stretch) write(f disk.File, b []byte) error {
	if err := seek(f, s.at); err != nil {
		return err
	}
	if n, err := f.Write(b); err != nil || n != len(b) {
		return errors.Join(err, fmt.Errorf("%d of %d bytes were written", n, len(b)))
	}
	return f.Sync()
}

func (s stretch) verify(want []byte) error {
	f, err := s.disk.OpenFile(s.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	defer f.Close()
	if real, ok := f.(interface{ Fd() uintptr }); ok {
		// It was synced, so nothing is lost by forgetting it. An advice that is
		// not taken leaves a weaker check, not a wrong one.
		_ = unix.Fadvise(int(real.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	got, err := s.read(f)
	if err != nil {
		return fmt.Errorf("read back %s: %w", s.path, err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("read back %s: it is not what was written (the medium is failing or write-protected)", s.path)
	}
	return nil
}

func (s stretch) settle() error {
	if err := disk.SyncFile(s.disk, s.path); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	if !s.file {
		return nil
	}
	if err := disk.SyncDir(s.disk, filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("sync directory %s: %w", filepath.Dir(s.path), err)
	}
	return nil
}

// seek goes to an offset; a negative one is counted from the end.
func seek(f disk.File, at int64) error {
	if s, ok := f.(io.Seeker); ok {
		whence := io.SeekStart
		if at < 0 {
			whence = io.SeekEnd
		}
		_, err := s.Seek(at, whence)
		return err
	}
	if at < 0 {
		return errors.New("the offset is negative, and the end is not known")
	}
	n, err := io.CopyN(io.Discard, f, at)
	if err == io.EOF {
		return fmt.Errorf("it ends at %d, before the offset %d", n, at)
	}
	return err
}

// backup is the name of a file's second copy, which packaging/uboot/boot.cmd
// reads when the file is bad: uboot.env, uboot.bak.
func backup(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".bak"
}

// unreadable tells whether a copy could not be read because its medium is bad.
// Everything else that keeps us from reading, from a missing permission to too
// many open files, says nothing about the copy: taking it for damage could
// overwrite the only good one.
func unreadable(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EBADMSG) || errors.Is(err, fs.ErrNotExist)
}

// onRoot tells whether the directory of path belongs to the root file system.
func onRoot(path string) bool {
	var root, dir unix.Stat_t
	return unix.Stat("/", &root) == nil && unix.Stat(filepath.Dir(path), &dir) == nil && root.Dev == dir.Dev
}
