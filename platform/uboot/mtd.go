package uboot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nativeBig tells whether this machine is big-endian: U-Boot writes the
// checksum in the machine's order.
var nativeBig = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// geometry is what a flash chip is like, in bytes.
type geometry struct {
	size, block int64 // of the whole device; of what is erased at once
	nor         bool  // single bits can be cleared without an erase
}

// chip is an opened MTD device. Few machines have one, so the tests stand on
// the other side of this interface. Writing and erasing take the write
// protection off first, if there is one.
type chip interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	geometry() (geometry, error)
	// bad tells whether the block at off is bad. A chip that knows none has none.
	bad(off int64) (bool, error)
	// erase makes the block at off all ones.
	erase(off, n int64) error
}

// mtd is a place in raw flash memory.
type mtd struct {
	path  string
	open  func(path string, write bool) (chip, error)
	at    int64
	size  int64
	space int64 // bytes that may be used from at on, bad blocks included; 0 = as many as are needed

	marked bool // NOR, as found by the last load
}

func (m *mtd) nor() bool { return m.marked }

// layout is where the bytes of an environment lie: in the good blocks, the
// first of which it may begin within.
type layout struct {
	blocks []int64 // offsets of good blocks
	block  int64   // bytes of each
	skip   int64   // bytes before the environment in the first
}

func (m *mtd) layout(c chip) (layout, error) {
	g, err := c.geometry()
	if err != nil {
		return layout{}, err
	}
	if g.block <= 0 || g.size <= 0 || g.size > 1<<40 || g.block > 1<<30 {
		return layout{}, fmt.Errorf("a device of %d bytes in blocks of %d", g.size, g.block)
	}
	m.marked = g.nor
	at := m.at
	if at < 0 {
		at += g.size
	}
	l := layout{block: g.block, skip: at % g.block}
	need := (l.skip + m.size + g.block - 1) / g.block
	end := at - l.skip + need*g.block
	if m.space > 0 {
		end = max(end, at+m.space)
	}
	if at < 0 || end > g.size {
		return layout{}, fmt.Errorf("the environment at %#x does not lie within the device, which has %#x bytes", m.at, g.size)
	}
	for off := at - l.skip; off+g.block <= end && int64(len(l.blocks)) < need; off += g.block {
		bad, err := c.bad(off)
		if err != nil {
			return layout{}, fmt.Errorf("ask for bad blocks: %w", err)
		}
		if !bad {
			l.blocks = append(l.blocks, off)
		}
	}
	if int64(len(l.blocks)) < need {
		return layout{}, fmt.Errorf("only %d good blocks up to %#x, the environment needs %d", len(l.blocks), end, need)
	}
	return l, nil
}

// content reads all of the blocks.
func (l layout) content(c chip) ([]byte, error) {
	b := make([]byte, int64(len(l.blocks))*l.block)
	for i, off := range l.blocks {
		p := b[int64(i)*l.block:][:l.block]
		if n, err := c.ReadAt(p, off); n < len(p) {
			return nil, fmt.Errorf("at %#x: %w", off, errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
	return b, nil
}

// with opens the chip for f.
func (m *mtd) with(write bool, f func(chip, layout) error) error {
	c, err := m.open(m.path, write)
	if err != nil {
		return err
	}
	l, err := m.layout(c)
	if err == nil {
		err = f(c, l)
	}
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}

// load implements place.
func (m *mtd) load() (b []byte, err error) {
	err = m.with(false, func(c chip, l layout) error {
		all, err := l.content(c)
		if err == nil {
			b = bytes.Clone(all[l.skip : l.skip+m.size])
		}
		return err
	})
	return b, err
}

// store implements place. Whole blocks are erased: what else lies in them is
// written again, and lost if the power is cut in between. Give the environment
// blocks of its own.
func (m *mtd) store(b []byte) error {
	return m.with(true, func(c chip, l layout) error {
		all, err := l.content(c)
		if err != nil {
			return err
		}
		copy(all[l.skip:], b)
		for i, off := range l.blocks {
			if err := writeBlock(c, off, all[int64(i)*l.block:][:l.block]); err != nil {
				return fmt.Errorf("at %#x: %w", off, err)
			}
		}
		got, err := l.content(c)
		if err == nil && !bytes.Equal(got, all) {
			err = errors.New("read back: it is not what was written (the flash is worn out or write-protected)")
		}
		return err
	})
}

func writeBlock(c chip, off int64, b []byte) error {
	if err := c.erase(off, int64(len(b))); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	if n, err := c.WriteAt(b, off); n < len(b) {
		return fmt.Errorf("write: %w", errors.Join(err, io.ErrShortWrite))
	}
	return nil
}

// settle implements place: MTD has no cache, a write that returned is on it.
func (m *mtd) settle() error { return nil }

// obsolete implements obsoleting. The flag is not covered by the checksum.
func (m *mtd) obsolete() error {
	return m.with(true, func(c chip, l layout) error {
		off := l.blocks[0] + l.skip + crcSize
		if l.skip+crcSize >= l.block {
			return fmt.Errorf("the environment begins within the last %d bytes of a block", crcSize)
		}
		if _, err := c.WriteAt([]byte{0}, off); err != nil {
			return err
		}
		var got [1]byte
		if _, err := c.ReadAt(got[:], off); err != nil || got[0] != 0 {
			return errors.Join(errors.New("the old copy cannot be marked obsolete"), err)
		}
		return nil
	})
}

// linuxChip is a real MTD character device: MEMGETINFO, MEMGETBADBLOCK,
// MEMUNLOCK, MEMERASE, pread and pwrite.
type linuxChip struct{ *os.File }

func openChip(path string, write bool) (chip, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR | unix.O_SYNC
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	return linuxChip{f}, nil
}

func (c linuxChip) ioctl(request uint, arg unsafe.Pointer) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, c.Fd(), uintptr(request), uintptr(arg))
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

func (c linuxChip) geometry() (geometry, error) {
	var i unix.MtdInfo
	if _, err := c.ioctl(unix.MEMGETINFO, unsafe.Pointer(&i)); err != nil {
		return geometry{}, fmt.Errorf("MEMGETINFO: %w", err)
	}
	return geometry{size: int64(i.Size), block: int64(i.Erasesize), nor: i.Type == unix.MTD_NORFLASH}, nil
}

func (c linuxChip) bad(off int64) (bool, error) {
	n, err := c.ioctl(unix.MEMGETBADBLOCK, unsafe.Pointer(&off))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) {
		return false, nil
	}
	return n > 0, err
}

// unlock takes the write protection off a stretch. What cannot be locked needs
// none; what stays locked fails when it is written.
func (c linuxChip) unlock(off, n int64) {
	e := unix.EraseInfo{Start: uint32(off), Length: uint32(n)}
	_, _ = c.ioctl(unix.MEMUNLOCK, unsafe.Pointer(&e))
}

func (c linuxChip) erase(off, n int64) error {
	c.unlock(off, n)
	e := unix.EraseInfo{Start: uint32(off), Length: uint32(n)}
	_, err := c.ioctl(unix.MEMERASE, unsafe.Pointer(&e))
	return err
}

// WriteAt implements io.WriterAt: within one block.
func (c linuxChip) WriteAt(p []byte, off int64) (int, error) {
	if g, err := c.geometry(); err == nil && g.block > 0 {
		c.unlock(off-off%g.block, g.block)
	}
	return c.File.WriteAt(p, off)
}
