//go:build lab

package main

import (
	"context"
	"os"
	"path/filepath"
)

// Versions in the order in which they were released.
const (
	factoryVersion = "1.0.0"
	oldVersion     = "1.5.0"
	goodVersion    = "2.0.0"
)

func good(broken string, pack packer) step {
	return step{broken: broken, system: healthy(goodVersion), pack: pack, version: goodVersion, want: "SUCCEEDED", slot: "b", runs: goodVersion}
}

func bad(broken string, s system, code string) step {
	s.version = goodVersion
	return step{broken: broken, system: s, version: goodVersion, want: "FAILED " + code, slot: "a", runs: factoryVersion}
}

// replayed offers an older system, signed as it was when it was new, to a board
// that runs the good one.
func replayed(name, broken string, before func(context.Context, *device) error) step {
	return step{name: name, broken: broken, before: before, system: healthy(oldVersion), pack: manifest("1"),
		version: oldVersion, want: "FAILED -3", slot: "b", runs: goodVersion}
}

func updates() (all []scenario) {
	agent := goodVersion
	for _, st := range []story{
		{name: "full", trust: productKey, steps: []step{good("nothing: a full image, signed with the product's key", nil)}},
		{name: "patch", steps: []step{good("nothing: a patch onto the factory's image", patch)}},
		{name: "kernel", steps: []step{bad("the kernel of the new system is not one", system{agent: agent, garbage: true}, "-1")}},
		{name: "panic", steps: []step{bad("the new kernel panics", system{agent: agent, fault: "panic"}, "-1")}},
		{name: "mute", steps: []step{bad("the new system boots but has no agent, so that it never commits", system{}, "-1")}},
		{name: "network", steps: []step{bad("the new system has no network", system{agent: agent, fault: "network"}, "-1")}},
		{name: "signature", trust: otherKey, steps: []step{bad("the package is signed with another key", system{agent: agent}, "-3")}},
		{name: "manifest", trust: manifestKey, steps: []step{
			good("nothing: a signed manifest is required, and there", manifest("2")),
			replayed("replay", "an older version is announced again, with its own good signature", nil)}},
		{name: "tpm", trust: manifestKey, tpm: true, steps: []step{
			good("nothing: the device's secret and the security version are in the TPM", manifest("2")),
			replayed("tpm-replay", "the data partition is as the factory made it again, and an older version is announced", freshData)}},
		{name: "grub-full", slow: true, machine: grubPC, steps: []step{good("nothing: a full image on x86_64, with OVMF and GRUB", nil)}},
		{name: "grub-kernel", slow: true, machine: grubPC, steps: []step{bad("the new kernel is not one, GRUB", system{agent: agent, garbage: true}, "-1")}},
		{name: "grub-panic", slow: true, machine: grubPC, steps: []step{bad("the new kernel panics, GRUB", system{agent: agent, fault: "panic"}, "-1")}},
		{name: "grub-mute", slow: true, machine: grubPC, steps: []step{bad("the new system has no agent, GRUB", system{}, "-1")}},
		{name: "own-full", slow: true, machine: ownUBoot, steps: []step{good("nothing: a full image, with a U-Boot of our own that counts itself", nil)}},
		{name: "own-kernel", slow: true, machine: ownUBoot, steps: []step{bad("the new kernel is not one, own U-Boot", system{agent: agent, garbage: true}, "-1")}},
		{name: "own-panic", slow: true, machine: ownUBoot, steps: []step{bad("the new kernel panics, own U-Boot", system{agent: agent, fault: "panic"}, "-1")}},
		{name: "own-mute", slow: true, machine: ownUBoot, steps: []step{bad("the new system has no agent, own U-Boot", system{}, "-1")}},
	} {
		all = append(all, st.scenario())
	}
	return all
}

// patch makes the package that turns the factory's image into this one.
func patch(ctx context.Context, d *device, s step, image string) (string, []string, error) {
	old, err := d.lab.image(ctx, d.machine, healthy(factoryVersion))
	if err != nil {
		return "", nil, err
	}
	otapack, err := d.lab.build(ctx, "otapack", hostArch, "lab")
	if err != nil {
		return "", nil, err
	}
	file := d.path("update.patch")
	if err := os.RemoveAll(file); err != nil {
		return "", nil, err
	}
	return file, []string{"Type", "1", "SrcVersion", factoryVersion}, d.lab.tool(ctx, otapack, "diff", old, image, file)
}

// freshData gives the board the data partition of the factory again, as
// somebody would who wants it to forget what it has seen. Its secret was in
// there once only.
func freshData(_ context.Context, d *device) error {
	if err := os.Remove(d.path("data/secret")); err != nil {
		return err
	}
	disk, err := os.OpenFile(d.path("disk.img"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	if _, err := disk.WriteAt(make([]byte, dataMiB*mib), dataAt*mib); err != nil {
		return err
	}
	if err := d.lab.mke2fs(context.Background(), d.path("data"), d.path("data.ext4"), dataMiB); err != nil {
		return err
	}
	return place(disk, dataAt*mib, filepath.Join(d.dir, "data.ext4"))
}
