//go:build lab

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
)

const hostArch = runtime.GOARCH

// The board's disk in MiB from its start, and its environment file.
const (
	mib       = 1 << 20
	bootAt    = 1
	slotAAt   = bootAt + bootMiB
	slotBAt   = slotAAt + slotMiB
	dataAt    = slotBAt + slotMiB
	diskMiB   = dataAt + dataMiB + 1
	envSize   = "0x4000"
	envConfig = "/bootfs/uboot.env 0x0 " + envSize + "\n"
)

// firstEnv is what the factory writes.
const firstEnv = "otad_slot=a\nupgrade_available=0\nbootcount=0\nbootlimit=3\n"

// device is one board: its disk, its console, and who it is in the cloud.
type device struct {
	lab  *lab
	id   identity
	dir  string
	argv []string // of QEMU
	on   *guest   // nil when it is off
}

// agentConfig is what makes a board's otad this one's. Extra goes to its end.
func agentConfig(id identity, mqtt, trust string) string {
	return fmt.Sprintf(`state_dir = "/data/otad"

[device]
product_key = "%s"
device_name = "%s"
device_secret = "%s"

[cloud]
url = "mqtt://%s:%s"

[[module]]
name = "default"
installer = "ab"
version_file = "/etc/version"

[slots]
kind = "block"
a = "PARTLABEL=a"
b = "PARTLABEL=b"

[boot]
kind = "uboot"
env_config = "/etc/fw_env.config"

[reboot]
command = ["/bin/reboot", "-f"]

[health]
timeout = "40s"
cloud = true

[trust]
%s

[log]
level = "debug"

[api]
socket = "/run/otad.sock"
`, id.product, id.name, id.secret, hostForVMs, mqtt, trust)
}

// newDevice makes a board as it leaves the factory: version 1.0.0 in slot a,
// nothing in slot b. Files are put beside the agent's configuration in /data.
func (l *lab) newDevice(ctx context.Context, id identity, trust string, more tree) (*device, error) {
	c, err := l.openCloud(ctx)
	if err != nil {
		return nil, err
	}
	d := &device{lab: l, id: id, dir: l.path("devices", id.name)}
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	data := tree{"otad.toml": []byte(agentConfig(id, c.mqtt, trust))}
	for name, content := range more {
		data[name] = content
	}
	dir, err := data.write(d.path("data"))
	if err != nil {
		return nil, err
	}
	if err := l.mke2fs(ctx, dir, d.path("data.ext4"), dataMiB); err != nil {
		return nil, err
	}
	factory, err := l.image(ctx, board, healthy(factoryVersion))
	if err != nil {
		return nil, err
	}
	boot, err := l.bootPartition(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.disk(ctx, map[int]string{bootAt: boot, slotAAt: factory, dataAt: d.path("data.ext4")}); err != nil {
		return nil, err
	}
	return d, d.wire(ctx)
}

func (d *device) path(name string) string { return d.lab.path("devices", d.id.name, name) }

// disk makes the disk with its four partitions and puts into them what is given
// by its place in MiB.
func (d *device) disk(ctx context.Context, content map[int]string) error {
	f, err := os.Create(d.path("disk.img"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(diskMiB * mib); err != nil {
		return err
	}
	part := func(n, at, size int) []string {
		return []string{"-n", fmt.Sprintf("%d:%dM:+%dM", n, at, size)}
	}
	args := append(part(1, bootAt, bootMiB), part(2, slotAAt, slotMiB)...)
	args = append(args, append(part(3, slotBAt, slotMiB), part(4, dataAt, dataMiB)...)...)
	args = append(args, "-t", "1:0700", "-A", "1:set:2", "-c", "1:boot", "-c", "2:a", "-c", "3:b", "-c", "4:data", f.Name())
	if err := d.lab.tool(ctx, "sgdisk", args...); err != nil {
		return err
	}
	for at, file := range content {
		if err := place(f, int64(at)*mib, file); err != nil {
			return err
		}
	}
	return f.Sync()
}

// bootPartition makes the FAT with the boot script and the first environment.
func (l *lab) bootPartition(ctx context.Context) (path string, err error) {
	path = l.path("images", "boot.fat")
	return path, l.once("make "+path, func() error {
		err := l.need(ctx, "mkimage:u-boot-tools", "mcopy:mtools", "mkfs.vfat:dosfstools", "sgdisk:gdisk")
		if err != nil {
			return err
		}
		env, scr := l.path("images", "uboot.env"), l.path("images", "boot.scr")
		if err := os.WriteFile(env+".txt", []byte(firstEnv), 0o644); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		for _, argv := range [][]string{
			{"mkenvimage", "-s", envSize, "-o", env, env + ".txt"},
			{"mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-n", "otad", "-d", "packaging/uboot/boot.cmd", scr},
			{"mkfs.vfat", "-C", path, fmt.Sprint(bootMiB << 10)},
			{"mcopy", "-i", path, scr, "::boot.scr"},
			{"mcopy", "-i", path, env, "::uboot.env"},
		} {
			if err := l.tool(ctx, argv[0], argv[1:]...); err != nil {
				return err
			}
		}
		return nil
	})
}

// wire writes down how the board is put together.
func (d *device) wire(ctx context.Context) error {
	if err := d.lab.need(ctx, "qemu-system-aarch64:qemu-system-arm"); err != nil {
		return err
	}
	uboot, err := d.lab.debs(ctx, "firmware", "amd64", "u-boot-qemu", "ovmf", "grub-efi-amd64-bin")
	if err != nil {
		return err
	}
	d.argv = []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-m", "512", "-accel", "tcg",
		"-display", "none", "-monitor", "none", "-serial", "stdio",
		"-bios", uboot + "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
		"-drive", "if=none,id=d0,format=raw,file=" + d.path("disk.img"), "-device", "virtio-blk-pci,drive=d0,disable-legacy=on",
		"-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,disable-legacy=on,romfile=",
	}
	return nil
}

// power switches the board on. It must be off.
func (d *device) power() (err error) {
	d.on, err = power(d.path("console.log"), d.lab.verbose, d.argv...)
	return err
}

// console is all that the board has printed since it left the factory.
func (d *device) console() (string, error) {
	b, err := os.ReadFile(d.path("console.log"))
	return string(b), err
}

// cut takes the power away.
func (d *device) cut() {
	if d.on != nil {
		d.on.cut()
		d.on = nil
	}
}

// environment reads what the boot loader's file says, with Debian's own tool.
// The board must be off.
func (d *device) environment(ctx context.Context, names ...string) (string, error) {
	if err := d.lab.need(ctx, "fw_printenv:libubootenv-tool"); err != nil {
		return "", err
	}
	file, config := d.path("uboot.env"), d.path("fw_env.config")
	at := fmt.Sprintf("%s@@%dM", d.path("disk.img"), bootAt)
	if err := d.lab.tool(ctx, "mcopy", "-n", "-o", "-i", at, "::uboot.env", file); err != nil {
		return "", err
	}
	if err := os.WriteFile(config, []byte(file+" 0x0 "+envSize+"\n"), 0o644); err != nil {
		return "", err
	}
	out, err := command(ctx, "fw_printenv", append([]string{"-c", config}, names...)...).Output()
	if err != nil {
		return "", fmt.Errorf("fw_printenv: %w", err)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}
