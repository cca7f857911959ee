package block

import (
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls for block devices that the standard library has no words for.

// deviceSize is BLKGETSIZE64: bytes, in 64 bits on every machine.
func deviceSize(f *os.File) (int64, error) {
	var n uint64
	err := ioctl(f, unix.BLKGETSIZE64, unsafe.Pointer(&n))
	return int64(n), err
}

// sectorSize is BLKSSZGET: the smallest piece that the device reads and writes.
func sectorSize(f *os.File) (int64, error) {
	n, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKSSZGET)
	return int64(n), os.NewSyscallError("BLKSSZGET", err)
}

// writeProtected is BLKROGET. A protected device can be opened for writing all
// the same: only the first write would fail.
func writeProtected(f *os.File) (bool, error) {
	n, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKROGET)
	return n != 0, os.NewSyscallError("BLKROGET", err)
}

// discard is BLKDISCARD: the bytes are of no use any more. What is read there
// afterwards is anything.
func discard(f *os.File, off, n int64) error {
	r := [2]uint64{uint64(off), uint64(n)}
	return ioctl(f, unix.BLKDISCARD, unsafe.Pointer(&r))
}

func ioctl(f *os.File, request uint, arg unsafe.Pointer) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(request), uintptr(arg))
		switch e {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return os.NewSyscallError("ioctl", e)
	}
}

// punch makes the device read as zeros there, without writing them: the device
// does it by itself and may give the space free.
func punch(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if err != unix.EINTR {
			return os.NewSyscallError("fallocate", err)
		}
	}
}

// bypass makes the file read and write past the page cache from now on.
func bypass(f *os.File) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags|unix.O_DIRECT)
	}
	return os.NewSyscallError("fcntl O_DIRECT", err)
}

func unixStat(st fs.FileInfo) (rdev uint64, ok bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(s.Rdev), true
}
