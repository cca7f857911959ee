package agent

import (
	"context"
	"fmt"

	"github.com/leapslot/ota/platform"
)

// Inspect gives the status that the record holds, without an agent: for a
// command line beside a service that is not running. running is the slot that
// runs, system the module that lives in the slots with the version that the
// factory installed. It changes nothing.
func Inspect(store Store, running string, system Module) (Status, []Result, error) {
	rec, err := loadRecord(store)
	if err != nil {
		return Status{}, nil, err
	}
	s := Status{Module: system.Name, Version: system.Version, Slot: running, Stage: Idle, Owed: len(rec.Owed), Paused: rec.Paused}
	if im := rec.Images[running]; im.Version != "" {
		s.Version = im.Version
	}
	s.Modules = map[string]string{s.Module: s.Version}
	if u := rec.Update; u != nil {
		s.show(u, running)
		s.Percent = u.percent(max(u.Mark.In, u.Mark.Spooled))
		if !u.Stage.before(Switch) {
			s.Percent = restartPercent
		}
	}
	if n := len(rec.History); n > 0 {
		s.Last = &rec.History[n-1]
	}
	return s, rec.History, nil
}

// RecordSlot notes length and SHA-256 of the image in a slot that the agent did
// not write, the factory's, so that a first patch onto it is accepted. size is
// the image's length in bytes; 0 is the whole slot. No agent may be running,
// and no update may be unfinished ([ErrBusy]).
func RecordSlot(ctx context.Context, store Store, slot platform.Slot, size int64) (Image, error) {
	rec, err := loadRecord(store)
	if err != nil {
		return Image{}, err
	}
	if rec.Update != nil {
		return Image{}, ErrBusy
	}
	if size == 0 {
		if size, err = slot.Size(); err != nil {
			return Image{}, err
		}
	}
	sum, err := digestOf(ctx, slot, size)
	if err != nil {
		return Image{}, fmt.Errorf("slot %s cannot be read: %w", slot.Name(), err)
	}
	im := Image{Size: size, SHA256: sum, Version: rec.Images[slot.Name()].Version}
	rec.setImage(slot.Name(), im)
	return im, store.Save(rec.encode())
}
