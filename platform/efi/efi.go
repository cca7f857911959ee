// Package efi is the boot manager in a UEFI firmware: each slot has a boot entry
// of its own, and a trial is started by BootNext, which the firmware forgets as
// it obeys it.
//
// Four kinds of variables count. Boot#### is an entry: a name ("otad a"), a
// partition and a file in it. BootOrder lists the entries that are started, the
// kept slot's first. BootNext is the one that is started next, once. OtadTrial
// is our own: the slot that was tried last. Firmware is known to drop entries
// and to put its own in front (B4), so what is kept is not read from BootOrder
// alone: the running slot is the kept one, unless it is the tried one and the
// firmware still has another slot first.
//
// The promise is that of package platform with one attempt: a trial that fails
// falls back at the next start without anybody's help, and so does firmware that
// loses BootNext. Each variable is written in one call, which the firmware does
// whole or not at all, and BootNext last, so a power cut between two of them
// leaves the old system or the new one; each is read back. It trusts the
// firmware to keep what it says it has kept: some boards' EFI (U-Boot's, when its
// variables are a file) takes variables from a running system and loses them, so
// try one update before a thousand.
package efi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leapslot/ota/platform"
)

// Limits of the boot manager's settings.
const (
	// MaxEntries is how many boot entries a firmware may have.
	MaxEntries = 512
	// MaxSlotName is how many bytes the name of a slot may have.
	MaxSlotName = 32
)

// entryName is what the boot entry of a slot is called.
const entryName = "otad "

// The variables.
const (
	orderName   = "BootOrder"
	nextName    = "BootNext"
	currentName = "BootCurrent"
	trialName   = "OtadTrial"
)

// ErrDamaged means that a variable cannot be what it is said to be. Mend helps.
var ErrDamaged = errors.New("damaged")

// Target is what the firmware starts for a slot.
type Target struct {
	// Partition holds the file, mostly an EFI system partition: see
	// [FindPartition].
	Partition Partition
	// Loader is the file: a boot loader or a kernel, \EFI\otad\a\linux.efi.
	Loader string
	// Arguments are handed over to it: for a kernel its command line, best with
	// otad.slot=NAME in it.
	Arguments string
}

// Config says how the machine starts.
type Config struct {
	// Dir is where the variables are, "" for [DefaultDir].
	Dir string
	// Slots are the names of the slots.
	Slots []string
	// Targets is what is started for each of them.
	Targets map[string]Target
	// Running says which slot runs. Without it the entry that the firmware has
	// started tells.
	Running func() (string, error)
}

// Boot is the firmware's boot manager. It implements [platform.Boot] and
// [platform.Checkable]. One process at a time may call Try, Keep, Check and
// Mend.
type Boot struct {
	cfg     Config
	vars    *Variables
	options map[string]LoadOption
}

// New describes the boot manager. It changes and reads nothing yet.
func New(cfg Config) (*Boot, error) { return newOn(osDirectory{}, cfg) }

func newOn(d directory, cfg Config) (*Boot, error) {
	b := &Boot{cfg: cfg, vars: variablesOn(d, cfg.Dir), options: map[string]LoadOption{}}
	b.cfg.Slots = slices.Clone(cfg.Slots)
	if len(cfg.Slots) < 2 || len(cfg.Targets) != len(cfg.Slots) {
		return nil, fmt.Errorf("boot: %d slots and %d targets: want two slots or more, and a target for each", len(cfg.Slots), len(cfg.Targets))
	}
	for i, slot := range cfg.Slots {
		if slot == "" || len(slot) > MaxSlotName || slices.Contains(cfg.Slots[:i], slot) {
			return nil, fmt.Errorf("boot slots %q: want different names of 1 to %d bytes", cfg.Slots, MaxSlotName)
		}
		target, ok := cfg.Targets[slot]
		if !ok {
			return nil, fmt.Errorf("boot slot %s has no target", slot)
		}
		o, err := target.option(entryName + slot)
		if err != nil {
			return nil, fmt.Errorf("boot slot %s: %w", slot, err)
		}
		b.options[slot] = o
	}
	return b, nil
}

// option is the boot entry that starts the target.
func (t Target) option(name string) (LoadOption, error) {
	file := strings.ReplaceAll(t.Loader, "/", `\`)
	if strings.Trim(file, `\`) == "" || strings.ContainsRune(file+t.Arguments, 0) {
		return LoadOption{}, fmt.Errorf("loader %q with arguments %q: want the path of a file, and no NUL", t.Loader, t.Arguments)
	}
	if t.Partition.Number == 0 {
		return LoadOption{}, errors.New("the partition has no number")
	}
	part, err := t.Partition.node()
	if err != nil {
		return LoadOption{}, err
	}
	o := LoadOption{Attributes: Active, Description: name}
	o.Path = []Node{part, {Type: typeMedia, Subtype: subtypeFile, Data: textBytes(`\` + strings.TrimPrefix(file, `\`))}}
	if t.Arguments != "" {
		o.Optional = textBytes(t.Arguments)
	}
	_, err = o.Bytes()
	return o, err
}

// Running implements [platform.Boot].
func (b *Boot) Running() (string, error) {
	if b.cfg.Running != nil {
		slot, err := b.cfg.Running()
		if err != nil {
			return "", err
		}
		return slot, b.known(slot)
	}
	current, err := b.number(currentName)
	if err != nil {
		return "", fmt.Errorf("which boot entry was started: %w", err)
	}
	e, err := b.readEntry(current)
	if err != nil {
		return "", fmt.Errorf("the boot entry %04X that was started: %w", current, err)
	}
	slot, ours := strings.CutPrefix(e.Description, entryName)
	if !ours {
		return "", fmt.Errorf("the firmware has started %q, which is no slot's (mend the boot entries and start again)", e.Description)
	}
	return slot, b.known(slot)
}

// Try implements [platform.Boot], with one attempt. It fails with
// [platform.ErrNoSlot].
func (b *Boot) Try(slot string) error {
	if err := b.known(slot); err != nil {
		return err
	}
	s, err := b.load()
	if err != nil {
		return err
	}
	kept := s.kept()
	first, err := b.place(s, kept, false)
	if err != nil {
		return err
	}
	spare := first
	if slot != kept {
		// The entry is made as configured, also when it was altered or made
		// inactive (B3): should that be wrong, then the trial fails, not the
		// device.
		if spare, err = b.place(s, slot, true); err != nil {
			return err
		}
	}
	// First what a start without BootNext needs, whatever the firmware did.
	if err := b.order(s, first, spare); err != nil {
		return err
	}
	if slot == kept {
		return b.vars.Delete(nextName, Global)
	}
	// The name of the trial before the trial: if the power is cut in between,
	// the running slot is not the tried one, and so the kept one.
	if err := b.vars.Write(trialName, Own, []byte(slot)); err != nil {
		return err
	}
	return b.vars.Write(nextName, Global, binary.LittleEndian.AppendUint16(nil, spare))
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error {
	s, err := b.load()
	if err != nil {
		return err
	}
	n, err := b.place(s, s.running, false)
	if err != nil {
		return err
	}
	// The order first: from then on the running slot is started, and what is
	// left of the trial is of no meaning.
	if err := b.order(s, n); err != nil {
		return err
	}
	return errors.Join(b.vars.Delete(nextName, Global), b.vars.Delete(trialName, Own))
}

// place makes sure that the slot has an entry, and gives its number. One that
// is there is left as it is, since it may be what the machine starts from, but
// made active; with anew it is made as configured.
func (b *Boot) place(s *state, slot string, anew bool) (uint16, error) {
	numbers := s.of(slot)
	for _, n := range numbers {
		if anew && s.same(n, b.options[slot]) {
			return n, nil
		}
	}
	n, o := s.free(), b.options[slot]
	switch {
	case len(numbers) > 0:
		n = numbers[0]
	case len(s.entries) >= MaxEntries:
		return 0, fmt.Errorf("the firmware has %d boot entries already", len(s.entries))
	}
	if len(numbers) > 0 && !anew {
		o = *s.entries[n]
		if o.Attributes&Active != 0 {
			return n, nil
		}
		o.Attributes |= Active
	}
	data, err := o.Bytes()
	if err != nil {
		return 0, err
	}
	if err := b.vars.Write(entryVariable(n), Global, data); err != nil {
		return 0, err
	}
	s.entries[n] = &o
	return n, nil
}

// order puts the first of the numbers first in BootOrder and the others at its
// end if they are missing. The rest keeps its order.
func (b *Boot) order(s *state, numbers ...uint16) error {
	next := []uint16{numbers[0]}
	for _, n := range slices.Concat(s.order, numbers) {
		if !slices.Contains(next, n) {
			next = append(next, n)
		}
	}
	s.order = next
	var data []byte
	for _, n := range next {
		data = binary.LittleEndian.AppendUint16(data, n)
	}
	return b.vars.Write(orderName, Global, data)
}

func (b *Boot) known(slot string) error {
	if !slices.Contains(b.cfg.Slots, slot) {
		return fmt.Errorf("boot slot %q (there are %q): %w", slot, b.cfg.Slots, platform.ErrNoSlot)
	}
	return nil
}
