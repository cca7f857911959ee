package efi

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// canaryName is a variable that is written and removed to see whether it can be.
const canaryName = "OtadCanary"

// category is what kind of entry a load option is; 0 is one to start a system.
const category = 0x1f00

// errBootMend is what helps against everything that Check finds in the entries.
var errBootMend = errors.New("mend the boot entries")

// Check implements [platform.Checkable]: every slot has an entry that starts it,
// the kept slot's is the first of them, and the firmware takes and gives back
// variables.
func (b *Boot) Check() error {
	s, err := b.load()
	if err != nil {
		return err
	}
	var wrong []error
	for _, slot := range b.cfg.Slots {
		wrong = append(wrong, b.checkEntry(s, slot))
	}
	if first, kept := s.first(), s.kept(); first != kept {
		wrong = append(wrong, fmt.Errorf("the firmware starts %q first, and not the kept slot %s (%w)", first, kept, errBootMend))
	}
	return errors.Join(append(wrong, b.canary())...)
}

func (b *Boot) checkEntry(s *state, slot string) error {
	numbers := s.of(slot)
	if len(numbers) == 0 {
		return fmt.Errorf("the firmware has no boot entry %q (%w)", entryName+slot, errBootMend)
	}
	for _, n := range numbers {
		if int(n) == s.started && s.entries[n].Attributes&Active != 0 || s.same(n, b.options[slot]) {
			if slices.Contains(s.order, n) {
				return nil
			}
		}
	}
	return fmt.Errorf("the boot entry %04X %q is inactive, not in the order, or starts something else than is configured (%w)",
		numbers[0], entryName+slot, errBootMend)
}

func (b *Boot) canary() error {
	err := b.vars.Write(canaryName, Own, []byte("otad"))
	if err = errors.Join(err, b.vars.Delete(canaryName, Own)); err != nil {
		return fmt.Errorf("the firmware does not take variables (is efivarfs read-only, or its memory full?): %w", err)
	}
	return nil
}

// Mend implements [platform.Checkable]. The running slot's entry comes first,
// the entries of the other slots are made as configured, and whatever else the
// firmware has keeps its order. The entry that this system was started from is
// left as it is.
func (b *Boot) Mend() error {
	s, err := b.load()
	if errors.Is(err, ErrDamaged) {
		// An order that cannot be read is made anew from what there is.
		s, err = b.loadWithoutOrder()
	}
	if err != nil {
		return err
	}
	have := s.of(s.running)
	first, err := b.place(s, s.running, len(have) == 0 || int(have[0]) != s.started)
	if err != nil {
		return err
	}
	numbers := []uint16{first}
	for _, slot := range b.cfg.Slots {
		if slot == s.running {
			continue
		}
		n, err := b.place(s, slot, true)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	if err := b.order(s, numbers...); err != nil {
		return err
	}
	err = errors.Join(b.vars.Delete(nextName, Global), b.vars.Delete(trialName, Own))
	return errors.Join(err, b.sweep(s, numbers))
}

// loadWithoutOrder makes an order of the entries that start a system.
func (b *Boot) loadWithoutOrder() (*state, error) {
	s, err := b.loadEntries()
	if err != nil {
		return nil, err
	}
	for n, o := range s.entries {
		if o != nil && o.Attributes&Active != 0 && o.Attributes&category == 0 {
			s.order = append(s.order, n)
		}
	}
	slices.Sort(s.order)
	return s, nil
}

// sweep removes entries of ours that are there twice, last of all: from the
// order first, since an order may name what is not there, and then themselves.
func (b *Boot) sweep(s *state, keep []uint16) error {
	var twice []uint16
	for n, o := range s.entries {
		if o == nil || slices.Contains(keep, n) {
			continue
		}
		if slot, ours := strings.CutPrefix(o.Description, entryName); ours && b.known(slot) == nil {
			twice = append(twice, n)
		}
	}
	if len(twice) == 0 {
		return nil
	}
	s.order = slices.DeleteFunc(s.order, func(n uint16) bool { return slices.Contains(twice, n) })
	if err := b.order(s, keep...); err != nil {
		return err
	}
	for _, n := range twice {
		if err := b.vars.Delete(entryVariable(n), Global); err != nil {
			return err
		}
	}
	return nil
}
