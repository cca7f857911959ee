//go:build lab

package main

import (
	"context"
	"os"
	"strings"
)

// ownUBoot is the same board with a U-Boot that was built for it (uboot.sh):
// U-Boot counts the starts itself, and its environment has two copies. The
// deciding is done by packaging/uboot/environment.txt.
var ownUBoot = machine{
	arch: "arm64", meta: "linux-image-cloud-arm64", bootType: "0700", tpmDevice: "tpm-tis-device",
	config: "[boot]\nkind = \"uboot\"\nenv_config = \"/data/fw_env.config\"\n",
	files:  tree{"fw_env.config": []byte(ownEnvConfig("/bootfs/"))},
	trial:  "otad: starting slot b",
	boot:   ownPartition, argv: ownArgv, kept: ownKept,
}

// The two copies of the environment.
var ownEnvFiles = []string{"uboot.env", "uboot2.env"}

func ownEnvConfig(dir string) (config string) {
	for _, name := range ownEnvFiles {
		config += dir + name + " 0x0 " + envSize + "\n"
	}
	return config
}

// boardEnv is what this board adds to the default environment.
const boardEnv = `otad_dev=virtio 0
otad_part_a=2
otad_part_b=3
kernel_addr_r=0x40400000
ramdisk_addr_r=0x44000000
fdt_addr=0x40000000
fdt_addr_r=0x40000000
`

func ownArgv(ctx context.Context, d *device) ([]string, error) {
	if err := d.lab.need(ctx, "qemu-system-aarch64:qemu-system-arm"); err != nil {
		return nil, err
	}
	err := d.lab.once("uboot", func() error { return d.lab.tool(ctx, "lab/uboot.sh", d.lab.path("uboot")) })
	return []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-bios", d.lab.path("uboot", "u-boot.bin")}, err
}

func ownPartition(ctx context.Context, l *lab) (path string, err error) {
	path = l.path("images", "ownuboot.fat")
	return path, l.once("make "+path, func() error {
		text, err := os.ReadFile("packaging/uboot/environment.txt")
		if err != nil {
			return err
		}
		content, err := l.mkenv(ctx, withoutOld(string(text), boardEnv)+boardEnv, "-r")
		if err != nil {
			return err
		}
		env := l.path("images", "own.env")
		if err := os.WriteFile(env, content, 0o644); err != nil {
			return err
		}
		return l.fat(ctx, path, nil, map[string]string{ownEnvFiles[0]: env, ownEnvFiles[1]: env})
	})
}

// withoutOld leaves out of an environment what another one sets, and comments.
func withoutOld(text, other string) string {
	set := variables(other)
	var kept strings.Builder
	for _, l := range strings.SplitAfter(text, "\n") {
		name, _, _ := strings.Cut(l, "=")
		if _, ok := set[name]; !ok && !strings.HasPrefix(l, "#") {
			kept.WriteString(l)
		}
	}
	return kept.String()
}

func ownKept(ctx context.Context, d *device) (string, error) {
	return readEnvironment(ctx, d, ownEnvFiles, ownEnvConfig(d.dir+"/"))
}
