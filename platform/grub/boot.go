// Package grub is GRUB as a boot loader of a device with two systems.
//
// GRUB remembers by an environment block, grubenv, which is a file of 1024
// bytes. Three variables of it are ours: otad_slot is the kept slot, otad_trial
// the one on trial, and otad_left how many boots the trial still has. The
// deciding is done by a few lines of GRUB script, packaging/grub/otad.cfg: it
// counts otad_left down and saves it before it starts the system on trial, and
// starts otad_slot when none are left or when it cannot save.
//
// The promise is that of package platform. GRUB writes into the sectors of the
// file that it finds, and so does this package: a file that was renamed over
// another would be seen by the kernel at once, and by GRUB, which replays no
// journal, only some time later. Our variables lie together right behind the
// block's first lines and always take the same space, so that every change of
// them is a change within one sector, which a medium writes whole or not at
// all. The variables of others are kept.
//
// It trusts whoever can write grubenv and grub.cfg. Where those lie must be a
// file system that GRUB can write on and that overwrites in place: ext4, FAT,
// XFS; not btrfs, ZFS, F2FS, nor a RAID or LVM volume.
package grub

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// Limits.
const (
	// DefaultAttempts is how many boots a system on trial has to be kept in.
	DefaultAttempts = 3
	// MaxAttempts is the largest number of attempts: GRUB's script cannot
	// calculate, and counts down one digit.
	MaxAttempts = 9
	// MaxName is how many bytes the name of a slot may have.
	MaxName = 32
)

// DefaultPath is where Debian keeps the environment.
const DefaultPath = "/boot/grub/grubenv"

// The variables, which packaging/grub/otad.cfg reads.
const (
	varSlot  = "otad_slot"
	varTrial = "otad_trial"
	varLeft  = "otad_left"
)

// Config says where GRUB's environment is and what it speaks of.
type Config struct {
	// Path is the environment block, [DefaultPath] when empty.
	Path string
	// Slots are the names of all slots, as grub.cfg knows them.
	Slots []string
	// Attempts is how many boots a trial has, 0 for [DefaultAttempts].
	Attempts int
	// Running tells which slot the running system was started from.
	Running func() (string, error)
}

// Boot is GRUB. It implements [platform.Boot], with a counter, and
// [platform.Checkable]. One process at a time may use it.
type Boot struct {
	disk  disk.Disk
	c     Config
	width int  // what our variables take in the block
	doubt bool // a write failed: what can be read may not be on the medium
}

var slotName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,` + strconv.Itoa(MaxName) + `}$`)

// New makes a Boot. It reads and changes nothing.
func New(c Config) (*Boot, error) { return newOn(disk.OS{}, c) }

func newOn(d disk.Disk, c Config) (*Boot, error) {
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if c.Attempts == 0 {
		c.Attempts = DefaultAttempts
	}
	if c.Attempts < 1 || c.Attempts > MaxAttempts {
		return nil, fmt.Errorf("grub: %d boot attempts: want 1 to %d", c.Attempts, MaxAttempts)
	}
	if c.Running == nil {
		return nil, errors.New("grub: nobody says which slot runs")
	}
	if len(c.Slots) < 2 {
		return nil, fmt.Errorf("grub: slots %q: want two", c.Slots)
	}
	longest := 0
	for i, s := range c.Slots {
		if !slotName.MatchString(s) || slices.Contains(c.Slots[:i], s) {
			return nil, fmt.Errorf("grub: slots %q: want different names of up to %d letters, digits, '.', '_' or '-'", c.Slots, MaxName)
		}
		longest = max(longest, len(s))
	}
	c.Slots = slices.Clone(c.Slots)
	var b block
	for _, v := range []string{varSlot, varTrial} {
		b.set(v, fmt.Sprintf("%*s", longest, ""))
	}
	b.set(varLeft, "0")
	return &Boot{disk: d, c: c, width: b.length() + 2}, nil // 2: the shortest filling
}

// Running implements [platform.Boot].
func (b *Boot) Running() (slot string, err error) {
	slot, err = b.c.Running()
	if err != nil {
		return "", fmt.Errorf("grub: which slot runs: %w", err)
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
	e, err := b.load()
	if err != nil {
		return err
	}
	if slot == e.kept {
		return b.save(e, state{kept: e.kept})
	}
	return b.save(e, state{kept: e.kept, trial: slot, left: b.c.Attempts})
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	e, err := b.load()
	if err != nil {
		return err
	}
	return b.save(e, state{kept: slot})
}

func (b *Boot) known(slot string) error {
	if !slices.Contains(b.c.Slots, slot) {
		return fmt.Errorf("grub: slot %q (there are %q): %w", slot, b.c.Slots, platform.ErrNoSlot)
	}
	return nil
}

// state is what the three variables say.
type state struct {
	kept  string // the slot that is started for good
	trial string // the slot on trial, if left is not 0
	left  int    // boots that the trial still has
}

// env is the environment as it was read.
type env struct {
	state
	data  []byte // the file
	block block
}

// load reads the environment. One that was damaged or never prepared is an
// error: to write into it would be to say "marked" to nobody (B1).
func (b *Boot) load() (env, error) {
	data, err := rewrite.Read(b.disk, b.c.Path, Size)
	if errors.Is(err, rewrite.ErrTooLong) || errors.Is(err, fs.ErrNotExist) {
		return env{}, fmt.Errorf("grub environment: %w (mending makes it anew)", err)
	}
	if err != nil {
		return env{}, fmt.Errorf("grub environment: %w", err)
	}
	e := env{data: data}
	if e.block, err = parse(data); err != nil {
		return e, fmt.Errorf("grub environment %s: %w (mending makes it anew)", b.c.Path, err)
	}
	e.state, err = b.state(e.block)
	if err != nil {
		return e, fmt.Errorf("grub environment %s: %w", b.c.Path, err)
	}
	return e, nil
}

// state understands the three variables as the script does: a trial counts
// while its attempts are one digit from 1.
func (b *Boot) state(k block) (s state, err error) {
	kept, ok := k.get(varSlot)
	if !ok {
		return s, fmt.Errorf("%s is not set: it was never prepared (mending sets it)", varSlot)
	}
	if err := b.known(kept); err != nil {
		return s, fmt.Errorf("%s: %w (mending sets it)", varSlot, err)
	}
	s.kept = kept
	trial, _ := k.get(varTrial)
	left, _ := k.get(varLeft)
	if trial != "" && len(left) == 1 && left[0] >= '1' && left[0] <= '9' {
		s.trial, s.left = trial, int(left[0]-'0')
	}
	return s, nil
}

// layout is the block with our variables first, in a space that does not
// depend on their values.
func (b *Boot) layout(others block, s state) block {
	others = others.without(varSlot, varTrial, varLeft).dense()
	var k block
	if len(others.lines) > 0 && others.lines[0].raw == warning {
		k.lines, others.lines = others.lines[:1:1], others.lines[1:]
	}
	before := k.length()
	k.set(varSlot, s.kept)
	if s.left > 0 {
		k.set(varTrial, s.trial)
	}
	k.set(varLeft, strconv.Itoa(s.left))
	k.lines = append(k.lines, fill(b.width-(k.length()-before)))
	k.lines = append(k.lines, others.lines...)
	return k
}

// save writes the next state into the place of the environment. When another
// tool has moved our variables since, more than one sector changes. The first
// one then has them all; what the second still says of them until it is
// overwritten, too, is what was true before, and GRUB takes the last word.
func (b *Boot) save(e env, next state) error {
	data, err := b.layout(e.block, next).encode()
	if err != nil {
		return fmt.Errorf("grub environment %s: %w", b.c.Path, err)
	}
	_, err = b.write(e.data, data)
	return err
}

// write puts data into the place of old.
func (b *Boot) write(old, data []byte) ([]byte, error) {
	if b.doubt {
		// The kernel does not write a page again after an error: change it all.
		old = make([]byte, len(data))
	}
	b.doubt = true
	if err := rewrite.InPlace(b.disk, b.c.Path, old, data); err != nil {
		return nil, fmt.Errorf("grub environment: %w", err)
	}
	b.doubt = false
	return data, nil
}
