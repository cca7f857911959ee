// Package running says which slot the running system was started from.
//
// Two know it: the boot script, which may say so on the kernel's command line
// (otad.slot=NAME), and the kernel, which knows the device that / is on. When
// both speak they must agree; when nobody does, the answer is an error, never a
// guess: a wrong one would let an update overwrite the system that is kept.
//
// It trusts the boot loader and the kernel.
package running

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/leapslot/ota/platform/block"
)

// Parameter is the kernel parameter that names the slot.
const Parameter = "otad.slot"

// Limits of the kernel's command line.
const (
	maxCmdline = 64 << 10 // bytes; no kernel takes more than 64 KiB
	maxName    = 64       // bytes of a slot's name
)

// Place is a slot that knows whether the running system's root is on it:
// a *block.Slot or a *ubi.Slot.
type Place interface {
	Name() string
	Holds(root block.Root) (bool, error)
}

// Here asks the machine that this process runs on. names are the names of all
// slots, places those of them that are devices.
func Here(names []string, places ...Place) (string, error) {
	f, err := os.Open("/proc/cmdline")
	if err != nil {
		return "", err
	}
	defer f.Close()
	cmdline, err := io.ReadAll(io.LimitReader(f, maxCmdline+1))
	if err != nil {
		return "", fmt.Errorf("the kernel's command line cannot be read: %w", err)
	}
	return Slot(cmdline, block.Tables{}, names, places...)
}

// Slot says which of the slots with these names the system runs from, whose
// kernel was started with cmdline and has these tables.
func Slot(cmdline []byte, t block.Tables, names []string, places ...Place) (string, error) {
	said, err := FromCmdline(cmdline)
	if err != nil {
		return "", err
	}
	if said != "" && !slices.Contains(names, said) {
		return "", fmt.Errorf("the kernel was started with %s=%s, the slots are %s (correct the boot script or the slots)", Parameter, said, strings.Join(names, ", "))
	}
	seen, why := fromRoot(t, places)
	switch {
	case said == "" && why != nil:
		return "", fmt.Errorf("which slot the system runs from is not known: the kernel was started without %s=NAME, and %w (let the boot script add the parameter)", Parameter, why)
	case said == "" || said == seen:
		return seen, nil
	case why == nil:
		return "", fmt.Errorf("the kernel was started with %s=%s, but / is on slot %s (correct the boot script: one of its two settings is wrong)", Parameter, said, seen)
	}
	return said, nil
}

// fromRoot compares the root device with the slots.
func fromRoot(t block.Tables, places []Place) (string, error) {
	root, err := t.Root()
	if err != nil {
		return "", err
	}
	var found []string
	var trouble error
	for _, p := range places {
		holds, err := p.Holds(root)
		if holds {
			found = append(found, p.Name())
		}
		trouble = errors.Join(trouble, err)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", fmt.Errorf("/ is on the slots %s at once", strings.Join(found, ", "))
	case trouble != nil:
		return "", trouble
	case len(places) == 0:
		return "", errors.New("the slots are no devices")
	}
	return "", fmt.Errorf("/ is on no slot: it is mounted from %q, %v", root.Sources, root.Devices)
}
