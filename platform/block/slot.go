// Package block is a slot on a block device: a partition of an eMMC, an SD card
// or a disk, or a whole disk.
//
// The promise is that of package platform. Nothing is written to a device that
// the running system lives on, that is mounted, in whole or in part, or that
// anybody else holds; and what is read after DropCache comes from the medium,
// not from memory. Writes may have any size and place: what is no multiple of
// a sector is read, changed and written back. How much written data waits in
// memory is bounded, so that the device does not stall when it is synced.
//
// Pieces of an image that are all zeros are not written where the device can
// make zeros by itself: it is asked to (which gives the space free on flash),
// and reads as zeros there afterwards, as if they had been written. That keeps
// no state, so that an interrupted download goes on at any byte.
//
// It trusts the kernel, and whoever may write to the device.
package block

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
)

// Config says which device is the slot.
type Config struct {
	// Name is the slot's name, "a" or "b".
	Name string
	// Device is the path of the device, PARTUUID=... or PARTLABEL=...
	Device string
	// MinSize is how many bytes the device must have, 0 for any: a guard
	// against a wrong device.
	MinSize int64
	// Direct writes past the page cache (O_DIRECT). Without it, a few MiB at
	// most wait in the page cache while the next are computed.
	Direct bool
	// Tables is where the kernel's tables are, for tests; zero is the real ones.
	Tables Tables
}

// Slot is a block device. It implements [platform.Slot].
type Slot struct{ cfg Config }

// New describes a slot. It does not look at the device, which may come later:
// every other call finds it anew.
func New(cfg Config) (*Slot, error) {
	if cfg.Name == "" || cfg.MinSize < 0 {
		return nil, fmt.Errorf("slot %q on %q with a minimum of %d bytes: want a name and a minimum of 0 or more", cfg.Name, cfg.Device, cfg.MinSize)
	}
	if err := checkSpec(cfg.Device); err != nil {
		return nil, fmt.Errorf("slot %s: %w", cfg.Name, err)
	}
	return &Slot{cfg}, nil
}

// Name implements [platform.Slot].
func (s *Slot) Name() string { return s.cfg.Name }

// Device finds the slot's device.
func (s *Slot) Device() (Device, error) {
	d, err := s.cfg.Tables.Find(s.cfg.Device)
	if err != nil {
		return d, fmt.Errorf("slot %s: %w", s.cfg.Name, err)
	}
	return d, nil
}

// Holds reports whether the root is on this slot's device, on a partition of
// it, or on what is stacked on it.
func (s *Slot) Holds(root Root) (bool, error) {
	d, err := s.Device()
	if err != nil {
		return false, err
	}
	kin, err := s.cfg.Tables.kin(d.Number)
	if err != nil {
		return false, fmt.Errorf("slot %s: %w", s.cfg.Name, err)
	}
	return slices.ContainsFunc(root.Devices, func(n Number) bool { return slices.Contains(kin, n) }), nil
}

// Size implements [platform.Slot]: the device's size, which must not be below
// the configured minimum.
func (s *Slot) Size() (int64, error) {
	m, err := s.Open(false)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	return m.(*medium).size, nil
}

// Open implements [platform.Slot]. With write it fails with
// [platform.ErrRunning] on the device that the running system was started from,
// and with [platform.ErrBusy] on one that is mounted or held by anybody else.
// The [platform.Medium] that it returns is [platform.Uncached], and has
//
//	Trim(from int64) error
//
// which tells the device that what is from there to the end is of no use any more.
func (s *Slot) Open(write bool) (platform.Medium, error) {
	d, err := s.Device()
	if err != nil {
		return nil, err
	}
	m, err := s.open(d, write)
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", s.cfg.Name, err)
	}
	return m, nil
}

func (s *Slot) open(d Device, write bool) (*medium, error) {
	flags := os.O_RDONLY
	if write {
		if err := s.cfg.Tables.guard(d); err != nil {
			return nil, err
		}
		// For a block device O_EXCL means: nobody else has it exclusively,
		// and a mount is such a holder. It closes the gap after the guard.
		flags = os.O_RDWR | os.O_EXCL
		if s.cfg.Direct {
			flags |= unix.O_DIRECT
		}
	}
	f, err := os.OpenFile(d.Path, flags, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%s is held by another process, a mount elsewhere, swap or RAID: %w", d.Path, platform.ErrBusy)
	case err != nil:
		return nil, err
	}
	m := &medium{f: f, name: s.cfg.Name, write: write, direct: write && s.cfg.Direct}
	if err := m.measure(d, s.cfg.MinSize); err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

// measure asks the device for its size and makes sure that it is the one that
// was looked at: the node may have been exchanged meanwhile (T6).
func (m *medium) measure(d Device, least int64) error {
	st, err := m.f.Stat()
	if err != nil {
		return err
	}
	if n, ok := numberOf(st); !ok || n != d.Number {
		return fmt.Errorf("%s was exchanged while it was opened", d.Path)
	}
	if protected, err := writeProtected(m.f); m.write && err == nil && protected {
		return fmt.Errorf("%s is write-protected (blockdev --setrw %s, or the card's own lock)", d.Path, d.Path)
	}
	if m.sector, err = sectorSize(m.f); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	if m.sector < 512 || m.sector > maxSector || m.sector&(m.sector-1) != 0 {
		return fmt.Errorf("%s has sectors of %d bytes: 512 to %d are possible", d.Path, m.sector, maxSector)
	}
	size, err := deviceSize(m.f)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	m.size = size &^ (m.sector - 1)
	if m.size < max(least, 1) {
		return fmt.Errorf("%s has %d bytes, the slot needs %d at least (is it the right device?)", d.Path, m.size, max(least, 1))
	}
	return nil
}
