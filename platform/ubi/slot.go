// Package ubi is a slot on a UBI volume, which is how raw NAND is used: UBI
// spreads the wear and goes around bad blocks (S12).
//
// The promise is that of package platform, with one addition: each logical
// eraseblock is changed as a whole (UBI_IOCEBCH, an atomic change), so that
// after a power cut every one of them is old or new. An update by
// UBI_IOCVOLUP, as ubiupdatevol does it, would have to begin anew after every
// cut and could not go on in the middle; changing block by block can. A sync in
// the middle of an eraseblock costs one erasure more.
//
// Only dynamic volumes can be slots: a static one has a checksum over all of
// its content, which is not known before the last byte. What is read comes from
// the flash: UBI has no cache.
//
// It trusts the kernel, and whoever may write to the volume.
package ubi

import (
	"fmt"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/block"
)

// Config says which volume is the slot.
type Config struct {
	// Name is the slot's name, "a" or "b".
	Name string
	// Volume is the path of the volume's device, /dev/ubi0_1, or ubi0:NAME.
	Volume string
	// MinSize is how many bytes the volume must have, 0 for any.
	MinSize int64
	// Tables is where the kernel's tables are, for tests; zero is the real ones.
	Tables block.Tables
}

// Slot is a UBI volume. It implements [platform.Slot].
type Slot struct {
	cfg  Config
	open func(v Volume, write bool) (flash, error)
}

// New describes a slot. It does not look at the volume, which may be attached
// later: every other call finds it anew.
func New(cfg Config) (*Slot, error) {
	if cfg.Name == "" || cfg.MinSize < 0 {
		return nil, fmt.Errorf("slot %q on %q with a minimum of %d bytes: want a name and a minimum of 0 or more", cfg.Name, cfg.Volume, cfg.MinSize)
	}
	if err := checkSpec(cfg.Volume); err != nil {
		return nil, fmt.Errorf("slot %s: %w", cfg.Name, err)
	}
	return &Slot{cfg, openDevice}, nil
}

// Name implements [platform.Slot].
func (s *Slot) Name() string { return s.cfg.Name }

// Volume finds the slot's volume.
func (s *Slot) Volume() (Volume, error) {
	v, err := Find(s.cfg.Tables, s.cfg.Volume)
	if err == nil && v.LEB*v.Count < s.cfg.MinSize {
		err = fmt.Errorf("%s has %d bytes, the slot needs %d at least (is it the right volume?)", v.node(), v.LEB*v.Count, s.cfg.MinSize)
	}
	if err != nil {
		return v, fmt.Errorf("slot %s: %w", s.cfg.Name, err)
	}
	return v, nil
}

// Holds reports whether the root is on this slot's volume.
func (s *Slot) Holds(root block.Root) (bool, error) {
	v, err := s.Volume()
	return err == nil && v.heldBy(root), err
}

// Size implements [platform.Slot].
func (s *Slot) Size() (int64, error) {
	v, err := s.Volume()
	return v.LEB * v.Count, err
}

// Open implements [platform.Slot]. With write it fails with
// [platform.ErrRunning] on the volume that the running system was started from,
// and with [platform.ErrBusy] on one that is mounted or held by anybody else;
// somebody who only reads it makes the first write fail with ErrBusy. A volume
// that an interrupted ubiupdatevol left without content is emptied when it is
// opened for writing, and cannot be read before.
func (s *Slot) Open(write bool) (platform.Medium, error) {
	v, err := s.Volume()
	if err != nil {
		return nil, err
	}
	m, err := s.take(v, write)
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", s.cfg.Name, err)
	}
	return m, nil
}

func (s *Slot) take(v Volume, write bool) (*medium, error) {
	switch {
	case write:
		if err := guard(s.cfg.Tables, v); err != nil {
			return nil, err
		}
	case v.Interrupted:
		return nil, fmt.Errorf("%s holds nothing: an update of it by ubiupdatevol was interrupted (install an image again)", v.node())
	}
	f, err := s.open(v, write)
	if err != nil {
		return nil, err
	}
	if write && v.Interrupted {
		if err := f.empty(); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: the interrupted update of it cannot be ended: %w", v.node(), err)
		}
	}
	return &medium{f: f, name: s.cfg.Name, leb: v.LEB, size: v.LEB * v.Count, write: write}, nil
}

// guard refuses a volume that the running system lives on (S10) or that is
// mounted (S6). The kernel would refuse a second writer, but not who reads.
func guard(t block.Tables, v Volume) error {
	root, err := t.Root()
	if err != nil {
		return err
	}
	if v.heldBy(root) {
		return fmt.Errorf("%s: %w", v.node(), platform.ErrRunning)
	}
	all, err := t.Mounts()
	if err != nil {
		return err
	}
	for _, m := range all {
		if v.mounted(m.Source, []block.Number{m.Number}) {
			return fmt.Errorf("%s is mounted at %s (unmount it): %w", v.node(), m.Point, platform.ErrBusy)
		}
	}
	return nil
}
