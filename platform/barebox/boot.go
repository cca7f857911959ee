// Package barebox is barebox's bootchooser as a boot loader of a device with two
// systems.
//
// Bootchooser starts the target of the highest priority that has attempts
// remaining, and takes one off before it does. Both numbers of each target are
// variables of a barebox state, which lies in three copies on a partition, an
// EEPROM or a file ("raw" format, "direct" storage); barebox takes the first
// copy that is whole. On raw flash the copies are kept in another way
// ("circular"), which this package refuses, as it does a state with an HMAC: there
// boot kind "script" can call barebox-state.
//
// Bootchooser counts every boot, also when no update is on trial. So the kept
// system is given more attempts than a machine can be started in its life (W8):
// that is also how it is told from one on trial. A trial has the higher
// priority and a few attempts; a slot that is neither has priority 0. Barebox
// must not refill the counters: leave bootchooser's reset_attempts and
// reset_priorities empty or at all-zero, and do not call `bootchooser -s` from
// its scripts. A new device needs such a state too: give the first target
// default = <1073741824> attempts in the device tree, or mend.
//
// The promise is that of package platform: a change is written into one copy
// after the other, each on the medium before the next is touched, and never
// while one of the others is damaged. Variables of others are kept.
//
// It trusts whoever can write the medium.
package barebox

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// Limits of a trial.
const (
	// DefaultAttempts is how many boots a system on trial has to be kept in.
	DefaultAttempts = 3
	// MaxAttempts is the largest number of attempts that can be configured.
	MaxAttempts = 100
	// Forever is what a kept system is given. Down to half of it, it counts as
	// kept.
	Forever = 1 << 30
)

// The priorities of a target; one that is neither has 0 and is not started.
const (
	priorityKept  = 20
	priorityTrial = 30
)

// lockPath is what barebox-state locks while it works.
const lockPath = "/run/barebox-state.lock"

// Target says where the two variables of a target are, in bytes from the start
// of the variables. Both are of type uint32.
type Target struct{ Priority, Attempts int }

// Config describes the state. [Describe] reads most of it from the device tree.
type Config struct {
	// Path is the partition, EEPROM or file that the state lies at the start of.
	Path string
	// Magic, Stride and Length are the state's: its number, the distance of
	// two copies and how many bytes of variables there are. Length matters when
	// a state is made anew; 0 is up to the last target.
	Magic          uint32
	Stride, Length int
	// Slots are the names of all slots, Targets the target of each.
	Slots   []string
	Targets map[string]Target
	// Attempts is how many boots a trial has, 0 for [DefaultAttempts].
	Attempts int
	// Running tells which slot the running system was started from.
	Running func() (string, error)
}

// Boot is barebox. It implements [platform.Boot], with a counter, and
// [platform.Checkable]. One process at a time may use it, beside barebox-state.
type Boot struct {
	disk  disk.Disk
	c     Config
	doubt bool // a write failed: what can be read may not be on the medium
}

// New makes a Boot. It reads and changes nothing.
func New(c Config) (*Boot, error) { return newOn(disk.OS{}, c) }

func newOn(d disk.Disk, c Config) (*Boot, error) {
	if c.Attempts == 0 {
		c.Attempts = DefaultAttempts
	}
	switch {
	case c.Path == "":
		return nil, errors.New("barebox: no path of the state given")
	case c.Attempts < 1 || c.Attempts > MaxAttempts:
		return nil, fmt.Errorf("barebox: %d boot attempts: want 1 to %d", c.Attempts, MaxAttempts)
	case c.Running == nil:
		return nil, errors.New("barebox: nobody says which slot runs")
	case len(c.Slots) < 2:
		return nil, fmt.Errorf("barebox: slots %q: want two", c.Slots)
	}
	used := map[int]bool{}
	for _, s := range c.Slots {
		t, ok := c.Targets[s]
		if !ok || s == "" {
			return nil, fmt.Errorf("barebox: slot %q has no target", s)
		}
		for _, at := range []int{t.Priority, t.Attempts} {
			if at < 0 || at%4 != 0 || at > MaxLength-4 || used[at] {
				return nil, fmt.Errorf("barebox: slot %q: a variable at byte %d (want multiples of 4, each once)", s, at)
			}
			used[at] = true
			c.Length = max(c.Length, at+4)
		}
	}
	if least := metaSize + headSize + c.Length; c.Length > MaxLength || c.Stride < least || c.Stride > MaxStride {
		return nil, fmt.Errorf("barebox: a stride of %d bytes for %d bytes of variables: want %d to %d", c.Stride, c.Length, least, MaxStride)
	}
	c.Slots, c.Targets = slices.Clone(c.Slots), maps.Clone(c.Targets)
	return &Boot{disk: d, c: c}, nil
}

// Running implements [platform.Boot].
func (b *Boot) Running() (slot string, err error) {
	slot, err = b.c.Running()
	if err != nil {
		return "", fmt.Errorf("barebox: which slot runs: %w", err)
	}
	if err := b.known(slot); err != nil {
		return "", fmt.Errorf("the running system: %w", err)
	}
	return slot, nil
}

// Try implements [platform.Boot]. It fails with [platform.ErrNoSlot].
func (b *Boot) Try(slot string) error {
	if err := b.known(slot); err != nil {
		return err
	}
	return b.change(func(kept string) choice {
		if slot == kept {
			return choice{kept: kept}
		}
		return choice{kept: kept, trial: slot, left: uint32(b.c.Attempts)}
	})
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	return b.change(func(string) choice { return choice{kept: slot} })
}

func (b *Boot) known(slot string) error {
	if !slices.Contains(b.c.Slots, slot) {
		return fmt.Errorf("barebox: slot %q (there are %q): %w", slot, b.c.Slots, platform.ErrNoSlot)
	}
	return nil
}

// choice is what bootchooser is told.
type choice struct {
	kept  string // the slot that is started for good
	trial string // the slot on trial, if left is not 0
	left  uint32 // boots that the trial still has
}

// understand finds the kept slot and the trial in the variables. A state that
// names no kept slot, or two, was not written by us: what bootchooser would do
// with it in the end is not what the platform promises (B1).
func (b *Boot) understand(v []byte) (c choice, err error) {
	priority := uint32(0)
	for _, s := range b.c.Slots {
		t := b.c.Targets[s]
		if max(t.Priority, t.Attempts)+4 > len(v) {
			return c, fmt.Errorf("it has %d bytes of variables, slot %s lies behind them", len(v), s)
		}
		p := order.Uint32(v[t.Priority:])
		if p == 0 || order.Uint32(v[t.Attempts:]) < Forever/2 {
			continue
		}
		if c.kept != "" {
			return c, fmt.Errorf("both %s and %s are kept (mending keeps the running one)", c.kept, s)
		}
		c.kept, priority = s, p
	}
	if c.kept == "" {
		return c, errors.New("no slot is kept: it was never prepared (mending keeps the running one)")
	}
	for _, s := range b.c.Slots {
		t := b.c.Targets[s]
		if p, left := order.Uint32(v[t.Priority:]), order.Uint32(v[t.Attempts:]); s != c.kept && p > priority && left > 0 {
			c.trial, c.left, priority = s, left, p
		}
	}
	return c, nil
}

// tell writes a choice into the variables.
func (b *Boot) tell(v []byte, c choice) {
	for _, s := range b.c.Slots {
		priority, attempts := uint32(0), uint32(0)
		switch {
		case s == c.kept:
			priority, attempts = priorityKept, Forever
		case s == c.trial && c.left > 0:
			priority, attempts = priorityTrial, c.left
		}
		order.PutUint32(v[b.c.Targets[s].Priority:], priority)
		order.PutUint32(v[b.c.Targets[s].Attempts:], attempts)
	}
}

// change makes a choice durable that is given the slot kept so far.
func (b *Boot) change(next func(kept string) choice) error {
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	medium, v, err := b.load()
	if err != nil {
		return err
	}
	was, err := b.understand(v)
	if err != nil {
		return fmt.Errorf("barebox state %s: %w", b.c.Path, err)
	}
	// Every copy is whole and the same before the first one is overwritten.
	if medium, err = b.write(medium, v); err != nil {
		return err
	}
	if c := next(was.kept); c != was {
		b.tell(v, c)
		_, err = b.write(medium, v)
	}
	return err
}

// load reads the copies.
func (b *Boot) load() (medium, variables []byte, err error) {
	if medium, err = b.read(); err != nil {
		return nil, nil, err
	}
	used, variables, wrong := first(medium, b.c.Stride, b.c.Magic)
	switch {
	case errors.Is(wrong, errSigned):
		return nil, nil, fmt.Errorf("barebox state %s: %w", b.c.Path, wrong)
	case used < 0:
		return medium, nil, fmt.Errorf("barebox state %s: no copy is whole: %w (mending makes it anew)", b.c.Path, wrong)
	}
	return medium, variables, nil
}

// read gives the part of the medium where the copies are.
func (b *Boot) read() ([]byte, error) {
	if _, real := b.disk.(disk.OS); real {
		st, err := os.Stat(b.c.Path)
		if err != nil {
			return nil, fmt.Errorf("barebox state: %w", err)
		}
		if st.Mode()&os.ModeCharDevice != 0 {
			return nil, fmt.Errorf("barebox state %s is raw flash, where copies are kept in another way (use a script with barebox-state)", b.c.Path)
		}
	}
	medium, err := rewrite.Head(b.disk, b.c.Path, Copies*b.c.Stride)
	if err != nil {
		return nil, fmt.Errorf("barebox state: %w", err)
	}
	return medium, nil
}

// write puts the variables into one copy after the other. Barebox takes the
// first that is whole: from the first write on that is the new one, or, while
// it is torn, the next.
func (b *Boot) write(medium, variables []byte) ([]byte, error) {
	next := bytes.Clone(medium)
	for i := range Copies {
		end := (i + 1) * b.c.Stride
		encode(next[i*b.c.Stride:end], variables, b.c.Magic)
		if err := b.put(medium[:end], next[:end]); err != nil {
			return nil, err
		}
		copy(medium, next[:end])
	}
	return next, nil
}

func (b *Boot) put(old, data []byte) error {
	if b.doubt {
		// The kernel does not write a page again after an error: change it all.
		old = make([]byte, len(data))
	}
	b.doubt = true
	if err := rewrite.InPlace(b.disk, b.c.Path, old, data); err != nil {
		return fmt.Errorf("barebox state: %w", err)
	}
	b.doubt = false
	return nil
}

// lock keeps barebox-state out for as long as it takes.
func (b *Boot) lock() (unlock func(), err error) {
	if _, real := b.disk.(disk.OS); !real {
		return func() {}, nil
	}
	f, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("barebox state: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("barebox state: lock %s: %w", lockPath, err)
	}
	return func() { f.Close() }, nil
}
