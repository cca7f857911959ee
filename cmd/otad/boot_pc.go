//go:build !otad_small

package main

import (
	"strings"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/efi"
	"github.com/leapslot/ota/platform/grub"
	"github.com/leapslot/ota/platform/systemdboot"
)

// noPCBoot says why the boot loaders of PCs and servers are not in this build.
const noPCBoot = ""

// newPCBoot opens a boot loader of PCs and servers.
func newPCBoot(c bootConfig, here func() (string, error)) (platform.Boot, error) {
	switch c.Kind {
	case "efi":
		return newEFI(c, here)
	case "systemd-boot":
		return newSystemdBoot(c, here)
	}
	return grub.New(grub.Config{Path: c.Grubenv, Slots: slotNames[:], Attempts: c.Attempts, Running: here})
}

func newSystemdBoot(c bootConfig, here func() (string, error)) (platform.Boot, error) {
	entries := map[string]systemdboot.Entry{}
	for _, slot := range slotNames {
		e := systemdboot.Entry{Options: forSlot(c.Arguments, slot)}
		loader := forSlot(c.Loader, slot)
		if strings.HasSuffix(strings.ToLower(loader), ".efi") {
			e.EFI = loader
		} else {
			e.Linux = loader
		}
		if c.Initrd != "" {
			e.Initrd = []string{forSlot(c.Initrd, slot)}
		}
		entries[slot] = e
	}
	return systemdboot.New(systemdboot.Config{
		Entries: c.Entries, Variables: efi.DefaultDir, Slots: slotNames[:], Entry: entries, Attempts: c.Attempts, Running: here,
	})
}

func newEFI(c bootConfig, here func() (string, error)) (platform.Boot, error) {
	targets := map[string]efi.Target{}
	for _, slot := range slotNames {
		part, err := efi.FindPartition(forSlot(c.Partition, slot))
		if err != nil {
			return nil, err
		}
		targets[slot] = efi.Target{Partition: part, Loader: forSlot(c.Loader, slot), Arguments: forSlot(c.Arguments, slot)}
	}
	return efi.New(efi.Config{Slots: slotNames[:], Targets: targets, Running: here})
}
