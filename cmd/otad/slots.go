package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/block"
	"github.com/leapslot/ota/platform/files"
	"github.com/leapslot/ota/platform/ubi"
)

// slotNames are how the configuration and the boot loader call the two slots.
var slotNames = [2]string{"a", "b"}

// openSlots describes the slots. Files are made when they are first written.
func openSlots(c slotsConfig) (s [2]platform.Slot, err error) {
	for i, path := range []string{c.A, c.B} {
		switch c.Kind {
		case "block":
			s[i], err = block.New(block.Config{Name: slotNames[i], Device: path, MinSize: int64(c.Size), Direct: c.Direct})
		case "ubi":
			s[i], err = ubi.New(ubi.Config{Name: slotNames[i], Volume: path, MinSize: int64(c.Size)})
		default:
			s[i], err = fileSlot(slotNames[i], path, int64(c.Size))
		}
		if err != nil {
			return s, exitf(exitConfig, "slots", "%w", err)
		}
	}
	return s, nil
}

func fileSlot(name, path string, size int64) (platform.Slot, error) {
	if fi, err := os.Stat(path); err == nil && fi.Size() > 0 {
		size = 0 // it is as large as it is
	}
	s, err := files.NewSlot(name, path, size)
	if err != nil {
		return nil, fmt.Errorf("%w (set slots.size for a file that does not exist yet)", err)
	}
	return s, nil
}

// slotsApart refuses two slots that are one, whatever their names are, and a slot
// that is this program: what runs is never written (S10).
func slotsApart(c slotsConfig) error {
	if c.Kind != "files" {
		return devicesApart(c)
	}
	a, b := locate(c.A), locate(c.B)
	if a.same(b) {
		return exitf(exitConfig, "slots", "%s and %s are the same file, so that the running system would be overwritten (name two files)", c.A, c.B)
	}
	self := locate("/proc/self/exe")
	for i, p := range []located{a, b} {
		if p.same(self) {
			return exitf(exitConfig, "slots", "slot %s is otad itself, which runs (name another file)", slotNames[i])
		}
	}
	return nil
}

// devicesApart refuses two names of one device. A device that is not there yet is
// found missing when it is used.
func devicesApart(c slotsConfig) error {
	slots, err := openSlots(c)
	if err != nil {
		return err
	}
	a, okA := slots[0].(*block.Slot)
	b, okB := slots[1].(*block.Slot)
	if !okA || !okB {
		return nil
	}
	da, errA := a.Device()
	db, errB := b.Device()
	if errA == nil && errB == nil && da.Number == db.Number {
		return exitf(exitConfig, "slots", "%s and %s are the same device, %s, so that the running system would be overwritten (name two partitions)", c.A, c.B, da.Number)
	}
	return nil
}

// located is a file, or the place where one will be.
type located struct {
	file, dir os.FileInfo
	name      string
}

func locate(path string) located {
	l := located{name: filepath.Base(path)}
	l.file, _ = os.Stat(path)
	l.dir, _ = os.Stat(filepath.Dir(path))
	return l
}

func (l located) same(o located) bool {
	if l.file != nil || o.file != nil {
		return l.file != nil && o.file != nil && os.SameFile(l.file, o.file)
	}
	return l.dir != nil && o.dir != nil && os.SameFile(l.dir, o.dir) && l.name == o.name
}
