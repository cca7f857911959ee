//go:build lab

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// uboot is the board of the lab: Debian's stock U-Boot with our boot script.
var uboot = machine{
	arch: "arm64", meta: "linux-image-cloud-arm64", bootType: "0700", tpmDevice: "tpm-tis-device",
	config: "[boot]\nkind = \"uboot\"\nenv_config = \"/data/fw_env.config\"\n",
	files:  tree{"fw_env.config": []byte("/bootfs/uboot.env 0x0 " + envSize + "\n")},
	trial:  " on trial, start ",
	boot:   ubootPartition, argv: ubootArgv, kept: ubootKept,
}

const (
	envSize = "0x4000"

	// firstEnv is what the factory writes.
	firstEnv = "otad_slot=a\nupgrade_available=0\nbootcount=0\nbootlimit=3\n"
)

// firmware is what QEMU's boards start with, and what Debian makes boot loaders of.
func (l *lab) firmware(ctx context.Context) (root string, err error) {
	return l.debs(ctx, "firmware", "amd64", "u-boot-qemu", "ovmf", "grub-efi-amd64-bin")
}

func ubootArgv(ctx context.Context, d *device) ([]string, error) {
	if err := d.lab.need(ctx, "qemu-system-aarch64:qemu-system-arm"); err != nil {
		return nil, err
	}
	root, err := d.lab.firmware(ctx)
	return []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-bios", root + "/usr/lib/u-boot/qemu_arm64/u-boot.bin"}, err
}

// fat makes a FAT of the size of the boot partition with these files in it.
func (l *lab) fat(ctx context.Context, path string, dirs []string, files map[string]string) error {
	if err := l.need(ctx, "mcopy:mtools", "mkfs.vfat:dosfstools", "sgdisk:gdisk"); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := l.tool(ctx, "mkfs.vfat", "-C", path, fmt.Sprint(bootMiB<<10)); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := l.tool(ctx, "mmd", "-i", path, "::"+dir); err != nil {
			return err
		}
	}
	for name, file := range files {
		if err := l.tool(ctx, "mcopy", "-i", path, file, "::"+name); err != nil {
			return err
		}
	}
	return nil
}

// ubootPartition holds the boot script and the first environment.
func ubootPartition(ctx context.Context, l *lab) (path string, err error) {
	path = l.path("images", "uboot.fat")
	return path, l.once("make "+path, func() error {
		content, err := l.mkenv(ctx, firstEnv)
		if err != nil {
			return err
		}
		env, scr := l.path("images", "uboot.env"), l.path("images", "boot.scr")
		if err := os.WriteFile(env, content, 0o644); err != nil {
			return err
		}
		if err := l.tool(ctx, "mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-n", "otad", "-d", "packaging/uboot/boot.cmd", scr); err != nil {
			return err
		}
		return l.fat(ctx, path, nil, map[string]string{"boot.scr": scr, "uboot.env": env})
	})
}

func ubootKept(ctx context.Context, d *device) (string, error) {
	return readEnvironment(ctx, d, []string{"uboot.env"}, d.path("uboot.env")+" 0x0 "+envSize+"\n")
}

// readEnvironment reads U-Boot's environment with Debian's own tool.
func readEnvironment(ctx context.Context, d *device, files []string, config string) (kept string, err error) {
	if err := d.lab.need(ctx, "fw_printenv:libubootenv-tool"); err != nil {
		return "", err
	}
	for _, name := range files {
		if err := d.lab.tool(ctx, "mcopy", "-n", "-o", "-i", d.bootPartition(), "::"+name, d.path(name)); err != nil {
			return "", err
		}
	}
	path := d.path("fw_env.config")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		return "", err
	}
	out, err := command(ctx, "fw_printenv", "-c", path).Output()
	if err != nil {
		return "", fmt.Errorf("fw_printenv: %w", err)
	}
	env := variables(string(out))
	if env["upgrade_available"] != "0" || env["otad_trial"] != "" {
		return "", fmt.Errorf("U-Boot's environment still has a trial: %v", env)
	}
	return env["otad_slot"], nil
}

// variables reads lines of name=value.
func variables(text string) map[string]string {
	env := map[string]string{}
	for _, l := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(l, "="); ok {
			env[name] = value
		}
	}
	return env
}
