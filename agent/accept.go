package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/leapslot/ota"
)

// archiveOverhead is the part of an image that an archive of it may be larger by.
const archiveOverhead = 100

// accept refuses what this device cannot do at all, and bounds how often it
// tries the same package.
func (a *Agent) accept(_ context.Context, u *Update) error {
	n := u.Notice
	if n.Module != a.system.Name {
		return fmt.Errorf("module %s cannot be upgraded here: [[module]] configures no installer for it", n.Module)
	}
	if len(n.Files) != 1 {
		return fmt.Errorf("a package of %d files cannot be installed into a slot", len(n.Files))
	}
	if err := a.canFetch(n); err != nil {
		return err
	}
	return a.countTry(n)
}

func (a *Agent) canFetch(n ota.Notice) error {
	if _, _, ok := a.streams(); n.Stream != nil && !ok {
		return errors.New("a download over MQTT is not possible with this agent: choose HTTPS for the package")
	}
	return nil
}

func (a *Agent) countTry(n ota.Notice) error {
	if a.rec.condemned(n) {
		return fmt.Errorf("version %s was marked bad on this device: make a new version", n.Version)
	}
	if tries := a.rec.count(n); tries > a.cfg.Attempts {
		return fmt.Errorf("version %s failed here %d times, the bound is %d: make a new version", n.Version, tries-1, a.cfg.Attempts)
	}
	return nil
}

// room finds what would make the writing fail before a byte is written: a slot
// that is too small, or a running image that is not the patch's source.
func (a *Agent) room(ctx context.Context, u *Update) error {
	size, err := a.spare.Size()
	if err != nil {
		return err
	}
	if g := u.Grant; g.ImageSize > size {
		return fmt.Errorf("the signed image has %d bytes, slot %s takes %d", g.ImageSize, u.Target, size)
	}
	if !u.Notice.IsDiff {
		// What cannot be compressed is a little larger as an archive than the
		// image in it; that is bounded again when its kind is known.
		if u.Notice.Files[0].Size > size+size/archiveOverhead {
			return fmt.Errorf("the package has %d bytes, slot %s takes %d", u.Notice.Files[0].Size, u.Target, size)
		}
		return nil
	}
	if _, known := a.source(u); !known {
		return nil // a native patch names its source, another one is refused when it is seen to be none
	}
	return a.checkSource(ctx, u)
}

// mayBeSpooled refuses a patch in the classic format that there is no room for, or whose
// source is not known.
func (a *Agent) mayBeSpooled(u *Update) error {
	if free, err := a.cfg.Spool.Free(); err == nil {
		have, _ := a.cfg.Spool.Size()
		if need := u.Notice.Files[0].Size - have; need > free {
			return fmt.Errorf("the patch needs %d bytes more in the state directory, free are %d", need, free)
		}
	}
	if _, known := a.source(u); !known && !a.cfg.PatchUnknownSource {
		return a.unknownSource()
	}
	return nil
}

func (a *Agent) unknownSource() error {
	return fmt.Errorf("the digest of the running image in slot %s was never recorded, so a patch onto it is refused: run otad doctor --record-slot, or send the full package", a.running.Name())
}

// checkSource compares the running slot with the digest that is signed for the
// patch's source, or was recorded when the running image was written (S9).
func (a *Agent) checkSource(ctx context.Context, u *Update) error {
	im, ok := a.source(u)
	if !ok {
		if a.cfg.PatchUnknownSource {
			return nil
		}
		return a.unknownSource()
	}
	got, err := digestOf(ctx, a.running, im.Size)
	if err != nil {
		return fmt.Errorf("the running slot %s cannot be read: %w; send the full package", a.running.Name(), err)
	}
	if got != im.SHA256 {
		return fmt.Errorf("the running image in slot %s was modified, or is not the patch's source: SHA-256 %s, wanted is %s; send the full package", a.running.Name(), got, im.SHA256)
	}
	return nil
}
