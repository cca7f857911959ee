package efi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// state is what the firmware's variables say.
type state struct {
	slots   []string
	running string
	trial   string // the slot tried last, "" if none is noted
	order   []uint16
	entries map[uint16]*LoadOption // nil for one that cannot be read
	started int                    // the entry that was started, -1 if it is not known
}

// load reads what Try and Keep decide on.
func (b *Boot) load() (*state, error) {
	s, err := b.loadEntries()
	if err != nil {
		return nil, err
	}
	_, data, err := b.vars.Read(orderName, Global)
	if err != nil && !absent(err) {
		return nil, err
	}
	if s.order, err = parseOrder(data); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, errBootMend)
	}
	_, trial, err := b.vars.Read(trialName, Own)
	if err != nil && !absent(err) {
		return nil, err
	}
	s.trial = string(trial)
	return s, nil
}

// loadEntries is load without the order and the trial.
func (b *Boot) loadEntries() (*state, error) {
	running, err := b.Running()
	if err != nil {
		return nil, err
	}
	s := &state{slots: b.cfg.Slots, running: running, started: -1}
	if n, err := b.number(currentName); err == nil {
		s.started = int(n)
	}
	s.entries, err = b.readEntries()
	return s, err
}

// readEntries reads all boot entries, those of others too: their numbers are
// taken.
func (b *Boot) readEntries() (map[uint16]*LoadOption, error) {
	names, err := b.vars.d.List(b.vars.dir)
	if err != nil {
		return nil, fmt.Errorf("EFI variables: %w (was the machine started by EFI, and is efivarfs mounted?)", err)
	}
	entries := map[uint16]*LoadOption{}
	for _, name := range names {
		n, ok := entryNumber(name)
		if !ok {
			continue
		}
		if len(entries) == 2*MaxEntries {
			return nil, fmt.Errorf("more than %d boot entries: %w", 2*MaxEntries, ErrDamaged)
		}
		entries[n] = nil
		if o, err := b.readEntry(n); err == nil {
			entries[n] = &o
		}
	}
	return entries, nil
}

// kept is the slot that is started without a trial.
func (s *state) kept() string {
	if s.trial != s.running {
		return s.running // whatever order the firmware has made of it
	}
	// The running slot was tried. Unless Keep was called, and cut off by a power
	// cut after its first write, another slot is still first.
	if first := s.first(); first != "" {
		return first
	}
	return s.running
}

// first is the slot that the firmware starts when there is no BootNext, or "".
func (s *state) first() string {
	for _, n := range s.order {
		o := s.entries[n]
		if o == nil || o.Attributes&Active == 0 {
			continue
		}
		if slot, ours := strings.CutPrefix(o.Description, entryName); ours && slices.Contains(s.slots, slot) {
			return slot
		}
	}
	return ""
}

// of lists the entries of a slot: the one that was started, then those in the
// order, then the others.
func (s *state) of(slot string) []uint16 {
	var numbers []uint16
	for n, o := range s.entries {
		if o != nil && o.Description == entryName+slot {
			numbers = append(numbers, n)
		}
	}
	place := func(n uint16) int {
		if int(n) == s.started {
			return -len(s.order) - 1
		}
		if i := slices.Index(s.order, n); i >= 0 {
			return i - len(s.order)
		}
		return int(n)
	}
	slices.SortFunc(numbers, func(a, b uint16) int { return place(a) - place(b) })
	return numbers
}

// free is the lowest number that no entry has, in the list either: to be in the
// list of old under a new name could start it.
func (s *state) free() uint16 {
	for n := uint16(0); ; n++ {
		if _, taken := s.entries[n]; !taken && !slices.Contains(s.order, n) {
			return n
		}
	}
}

// same tells whether an entry starts what the option starts. Firmware may have
// written the way to the disk in front of the partition.
func (s *state) same(n uint16, want LoadOption) bool {
	have := s.entries[n]
	if have == nil || have.Attributes&Active == 0 || !bytes.Equal(have.Optional, want.Optional) {
		return false
	}
	p, file, ok := have.target()
	wp, wfile, _ := want.target()
	return ok && p.UUID == wp.UUID && p.Number == wp.Number && strings.EqualFold(file, wfile)
}

// number reads a variable that holds the number of an entry.
func (b *Boot) number(name string) (uint16, error) {
	_, data, err := b.vars.Read(name, Global)
	if err != nil {
		return 0, err
	}
	if len(data) != 2 {
		return 0, fmt.Errorf("EFI variable %s of %d bytes: %w", name, len(data), ErrDamaged)
	}
	return binary.LittleEndian.Uint16(data), nil
}

func (b *Boot) readEntry(n uint16) (LoadOption, error) {
	_, data, err := b.vars.Read(entryVariable(n), Global)
	if err != nil {
		return LoadOption{}, err
	}
	return ParseLoadOption(data)
}

func entryVariable(n uint16) string { return fmt.Sprintf("Boot%04X", n) }

// entryNumber reads the name of an entry's file.
func entryNumber(file string) (uint16, bool) {
	digits, ok := strings.CutSuffix(file, "-"+Global)
	digits, ok2 := strings.CutPrefix(digits, "Boot")
	if !ok || !ok2 || len(digits) != 4 || digits != strings.ToUpper(digits) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	return uint16(n), err == nil
}

// parseOrder reads the value of BootOrder.
func parseOrder(data []byte) ([]uint16, error) {
	if len(data)%2 != 0 || len(data) > 2*MaxEntries {
		return nil, fmt.Errorf("EFI variable %s of %d bytes: %w", orderName, len(data), ErrDamaged)
	}
	var order []uint16
	for ; len(data) > 0; data = data[2:] {
		order = append(order, binary.LittleEndian.Uint16(data))
	}
	return order, nil
}

// absent tells whether a variable could not be read since it is not there.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
