package ubi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
)

// device is the character device of a volume.
type device struct{ *os.File }

// openDevice opens the volume's character device. The kernel lets in one
// writer at a time.
func openDevice(v Volume, write bool) (flash, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	dev := v.tables.Dev
	if dev == "" {
		dev = "/dev"
	}
	f, err := os.OpenFile(filepath.Join(dev, v.node()), flags, 0)
	if err != nil {
		return nil, busy(err)
	}
	st, err := f.Stat()
	if err == nil && charNumber(st) != v.number {
		err = fmt.Errorf("%s is device %s, the volume is %s", f.Name(), charNumber(st), v.number)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return device{f}, nil
}

// charNumber is the number of a character device as sysfs writes it.
func charNumber(st os.FileInfo) string {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode()&os.ModeCharDevice == 0 {
		return "no character device"
	}
	return fmt.Sprintf("%d:%d", unix.Major(uint64(s.Rdev)), unix.Minor(uint64(s.Rdev)))
}

func busy(err error) error {
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w (%w)", platform.ErrBusy, err)
	}
	return err
}

// changeRequest is struct ubi_leb_change_req of the kernel's mtd/ubi-user.h:
// the eraseblock and how many bytes will follow, both 32 bits in the machine's
// own order, one byte that means nothing any more, and seven of padding.
func changeRequest(leb int32, bytes int) (r [16]byte) {
	binary.NativeEndian.PutUint32(r[0:], uint32(leb))
	binary.NativeEndian.PutUint32(r[4:], uint32(bytes))
	r[8] = 3 // "no hint", for kernels before 3.4
	return r
}

// updateRequest is the 64-bit length that UBI_IOCVOLUP takes.
func updateRequest(bytes int64) (r [8]byte) {
	binary.NativeEndian.PutUint64(r[:], uint64(bytes))
	return r
}

// change announces the bytes, then writes them: when the last one has come,
// the kernel makes the change. A process that ends in between changes nothing.
func (d device) change(leb int32, data []byte) error {
	r := changeRequest(leb, len(data))
	if err := d.ioctl(unix.UBI_IOCEBCH, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("changing eraseblock %d: %w", leb, busy(err))
	}
	if _, err := d.Write(data); err != nil {
		return fmt.Errorf("changing eraseblock %d: %w", leb, err)
	}
	return nil
}

// empty is an update of no bytes, which is complete at once.
func (d device) empty() error {
	r := updateRequest(0)
	return busy(d.ioctl(unix.UBI_IOCVOLUP, unsafe.Pointer(&r)))
}

func (d device) ioctl(request uint, arg unsafe.Pointer) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, d.Fd(), uintptr(request), uintptr(arg))
		switch e {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return os.NewSyscallError("ioctl", e)
	}
}
