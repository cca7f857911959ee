//go:build lab

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// grubPC is a PC with UEFI: Debian's OVMF and GRUB, with the configuration of
// packaging/grub.
var grubPC = machine{
	arch: "amd64", meta: "linux-image-cloud-amd64", bootType: "ef00", tpmDevice: "tpm-tis",
	config: "[boot]\nkind = \"grub\"\ngrubenv = \"/bootfs/grub/grubenv\"\n",
	trial:  " on trial, start",
	boot:   grubPartition, argv: grubArgv, kept: grubKept,
}

func grubArgv(ctx context.Context, d *device) ([]string, error) {
	if err := d.lab.need(ctx, "qemu-system-x86_64:qemu-system-x86"); err != nil {
		return nil, err
	}
	root, err := d.lab.firmware(ctx)
	if err != nil {
		return nil, err
	}
	vars := d.path("vars.fd") // the firmware's memory, one for each board
	content, err := os.ReadFile(root + "/usr/share/OVMF/OVMF_VARS_4M.fd")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(vars, content, 0o644); err != nil {
		return nil, err
	}
	return []string{"qemu-system-x86_64", "-M", "q35", "-cpu", "max",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + root + "/usr/share/OVMF/OVMF_CODE_4M.fd",
		"-drive", "if=pflash,unit=1,format=raw,file=" + vars}, nil
}

// grubModules are those that the configuration uses, and no others.
const grubModules = "part_gpt fat ext2 normal linux loadenv test echo regexp configfile serial terminal reboot sleep minicmd"

// grubPartition holds GRUB, its configuration and its first environment.
func grubPartition(ctx context.Context, l *lab) (path string, err error) {
	path = l.path("images", "grub.fat")
	return path, l.once("make "+path, func() error {
		if err := l.need(ctx, "grub-mkimage:grub-common", "grub-editenv:grub-common"); err != nil {
			return err
		}
		root, err := l.firmware(ctx)
		if err != nil {
			return err
		}
		efi, env, cfg := l.path("images", "grubx64.efi"), l.path("images", "grubenv"), l.path("images", "grub.cfg")
		mkimage := []string{"-d", root + "/usr/lib/grub/x86_64-efi", "-O", "x86_64-efi", "-p", "/grub", "-o", efi}
		if err := l.tool(ctx, "grub-mkimage", append(mkimage, strings.Fields(grubModules)...)...); err != nil {
			return err
		}
		if err := os.RemoveAll(env); err != nil {
			return err
		}
		for _, args := range [][]string{{env, "create"}, {env, "set", "otad_slot=a"}} {
			if err := l.tool(ctx, "grub-editenv", args...); err != nil {
				return err
			}
		}
		if err := labGrubConfig(cfg); err != nil {
			return err
		}
		return l.fat(ctx, path, []string{"EFI", "EFI/BOOT", "grub"}, map[string]string{
			"EFI/BOOT/BOOTX64.EFI": efi, "grub/grubenv": env, "grub/grub.cfg": cfg, "grub/otad.cfg": "packaging/grub/otad.cfg"})
	})
}

// labGrubConfig is the example of packaging/grub with a console that the lab
// hears, and a word about a trial.
func labGrubConfig(path string) error {
	example, err := os.ReadFile(filepath.Join("packaging", "grub", "grub.cfg"))
	if err != nil {
		return err
	}
	const source, panics = "source $prefix/otad.cfg\n", "panic=10"
	if !strings.Contains(string(example), source) || !strings.Contains(string(example), panics) {
		return fmt.Errorf("packaging/grub/grub.cfg is not what the lab knows: no %q, or no %q", source, panics)
	}
	said := source + `if [ -n "$otad_next" ]; then echo "otad: slot $otad_start on trial, start, $otad_left left"; fi` + "\n"
	text := strings.NewReplacer(source, said, panics, "panic=1 console=ttyS0").Replace(string(example))
	return os.WriteFile(path, []byte(text), 0o644)
}

// grubKept reads the environment block with Debian's own tool.
func grubKept(ctx context.Context, d *device) (string, error) {
	file := d.path("grubenv")
	if err := d.lab.tool(ctx, "mcopy", "-n", "-o", "-i", d.bootPartition(), "::grub/grubenv", file); err != nil {
		return "", err
	}
	out, err := command(ctx, "grub-editenv", file, "list").Output()
	if err != nil {
		return "", fmt.Errorf("grub-editenv: %w", err)
	}
	env := variables(string(out))
	if env["otad_trial"] != "" && env["otad_left"] != "0" {
		return "", fmt.Errorf("GRUB's environment still has a trial: %v", env)
	}
	return env["otad_slot"], nil
}
