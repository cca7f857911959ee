//go:build lab

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
)

const hostArch = runtime.GOARCH

// The disk in MiB from its start.
const (
	mib     = 1 << 20
	bootAt  = 1
	slotAAt = bootAt + bootMiB
	slotBAt = slotAAt + slotMiB
	dataAt  = slotBAt + slotMiB
	diskMiB = dataAt + dataMiB + 1
)

// machine is a kind of board.
type machine struct {
	arch      string // Debian's name and Go's
	meta      string // the package that depends on the kernel
	bootType  string // of the boot partition, for sgdisk
	tpmDevice string
	config    string // [boot] of otad
	files     tree   // beside otad's configuration
	trial     string // is in the line that the boot loader prints when it starts a slot on trial
	// boot makes the content of the boot partition.
	boot func(context.Context, *lab) (path string, err error)
	// argv is QEMU with this board's firmware, to which disk, network and
	// console are added.
	argv func(context.Context, *device) ([]string, error)
	// kept asks the boot loader's own tools which slot is kept. It is an error
	// that one is still on trial. The board is off.
	kept func(context.Context, *device) (slot string, err error)
}

// device is one board: its disk, its console, and who it is in the cloud.
type device struct {
	lab     *lab
	machine machine
	id      identity
	dir     string
	argv    []string // of QEMU
	tpm     bool
	on      *guest // nil when it is off
	chip    *chip  // nil without a TPM, or when it is off
	logged  bool   // its writes are kept, to lose them afterwards
	seen    int    // how much of the console was looked at
}

// settings is what is a board's own.
type settings struct {
	trust string // of otad's configuration
	files tree   // beside it, in /data
	tpm   bool
}

// agentConfig is what makes a board's otad this one's.
func (d *device) agentConfig(mqtt string, s settings) string {
	secret := fmt.Sprintf("device_secret = %q", d.id.secret)
	if s.tpm {
		secret = `tpm = "/dev/tpmrm0"`
	}
	return fmt.Sprintf(`state_dir = "/data/otad"

[device]
product_key = "%s"
device_name = "%s"
%s

[cloud]
url = "mqtt://%s:%s"

[[module]]
name = "default"
installer = "ab"
version_file = "/etc/version"

[slots]
kind = "block"
a = "PARTLABEL=system-a"
b = "PARTLABEL=system-b"

%s
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
`, d.id.product, d.id.name, secret, hostForVMs, mqtt, d.machine.config, s.trust)
}

// newDevice makes a board as it leaves the factory: version 1.0.0 in slot a,
// nothing in slot b.
func (l *lab) newDevice(ctx context.Context, m machine, id identity, s settings) (*device, error) {
	c, err := l.openCloud(ctx)
	if err != nil {
		return nil, err
	}
	d := &device{lab: l, machine: m, id: id, dir: l.path("devices", id.name), tpm: s.tpm}
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, err
	}
	data := tree{"otad.toml": []byte(d.agentConfig(c.port, s))}
	if s.tpm {
		data["secret"] = []byte(id.secret)
	}
	maps.Copy(data, m.files)
	maps.Copy(data, s.files)
	dir, err := data.write(d.path("data"))
	if err != nil {
		return nil, err
	}
	if err := l.mke2fs(ctx, dir, d.path("data.ext4"), dataMiB); err != nil {
		return nil, err
	}
	factory, err := l.image(ctx, m, healthy(factoryVersion))
	if err != nil {
		return nil, err
	}
	boot, err := m.boot(ctx, l)
	if err != nil {
		return nil, err
	}
	if err := d.disk(ctx, map[int]string{bootAt: boot, slotAAt: factory, dataAt: d.path("data.ext4")}); err != nil {
		return nil, err
	}
	return d, d.wire(ctx)
}

func (d *device) path(name string) string { return d.lab.path("devices", d.id.name, name) }

// bootPartition is how mtools are told of the boot partition.
func (d *device) bootPartition() string { return fmt.Sprintf("%s@@%dM", d.path("disk.img"), bootAt) }

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
	var args []string
	for i, p := range []struct {
		name     string
		at, size int
	}{{"boot", bootAt, bootMiB}, {"system-a", slotAAt, slotMiB}, {"system-b", slotBAt, slotMiB}, {"data", dataAt, dataMiB}} {
		args = append(args, "-n", fmt.Sprintf("%d:%dM:+%dM", i+1, p.at, p.size), "-c", fmt.Sprintf("%d:%s", i+1, p.name))
	}
	args = append(args, "-t", "1:"+d.machine.bootType, "-A", "1:set:2", f.Name())
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

// wire writes down how the board is put together.
func (d *device) wire(ctx context.Context) (err error) {
	if d.argv, err = d.machine.argv(ctx, d); err != nil {
		return err
	}
	d.argv = append(d.argv, "-m", "512", "-accel", "tcg", "-display", "none", "-monitor", "none", "-serial", "stdio",
		"-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,disable-legacy=on,romfile=")
	if d.tpm {
		d.argv = append(d.argv, d.tpmArgs()...)
	}
	return nil
}

// power switches the board on. It must be off.
func (d *device) power(ctx context.Context) (err error) {
	if d.tpm {
		if err := d.powerTPM(ctx); err != nil {
			return err
		}
	}
	d.on, err = power(d.path("console.log"), d.lab.verbose, append(d.argv[:len(d.argv):len(d.argv)], d.diskArgs()...)...)
	return err
}

// cut takes the power away. Cutting it twice is harmless.
func (d *device) cut() {
	if d.on != nil {
		d.on.cut()
		d.on = nil
	}
	if d.chip != nil {
		d.chip.off()
		d.chip = nil
	}
}
