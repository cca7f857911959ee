//go:build lab

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The unit's restrictions, where they are real: a container shares the kernel of
// this machine, which filters no devices and has neither flash nor a firmware
// with variables. A guest has all of it.

// insideUnit runs in the place of the agent, with all that its unit allows. A line
// begins with what should be.
const insideUnit = `#!/bin/sh
may() { if "$@" > /dev/null; then echo "LAB: may: $*"; else echo "LAB: WRONG: may not: $*"; fi; }
mayNot() { if "$@" > /dev/null 2>&1; then echo "LAB: WRONG: may: $*"; else echo "LAB: may not: $*"; fi; }
may sh -c ': < /dev/mtd0'
may sh -c 'test -c /dev/watchdog && exec 3>/dev/watchdog && echo V >&3'
may sh -c 'test -c /dev/watchdog0 && exec 3>/dev/watchdog0 && echo V >&3'
may dd if=/dev/zero of=/dev/loop0 bs=4096 count=1 oflag=direct conv=fsync status=none
V=/sys/firmware/efi/efivars/LabProbe-b2f9a6f4-6a35-4c1d-9d0e-3d1c5e7a90b6
may sh -c "printf '\007\000\000\000one' > $V"
may chattr -i $V
may rm $V
may sh -c 'echo x > /boot/x'
may sh -c 'echo x > /run/lab-lock'
mayNot sh -c ': < /dev/mem'
mayNot sh -c ': < /dev/ttyS0'
mayNot sh -c 'echo x > /etc/x'
mayNot sh -c 'echo x > /usr/x'
mayNot sh -c 'echo freeze > /sys/power/state'
mayNot mknod /run/x b 7 1
mayNot mount -t tmpfs x /mnt
cd /tests/ubi
may env UBI_TEST_VOLUME=/dev/ubi0_0 ./ubi.test -test.run TestRealVolume
cd /tests/uboot
may env OTAD_TEST_MTD=/dev/mtd0 ./uboot.test -test.run TestRealFlash
`

// aroundUnit prepares the devices, starts the unit, and has the unit restart the
// machine when nothing else in it could: without logind and the bus.
const aroundUnit = `#!/bin/sh
while read -r module; do
	parameters=
	case $module in
	nandsim) parameters="id_bytes=0x20,0xaa,0x00,0x15 parts=32" ;;
	ubi) parameters="mtd=1" ;;
	esac
	busybox insmod "/modules/$module.ko" $parameters || echo "LAB: module $module did not load"
done < /modules/order
mount -t efivarfs efivarfs /sys/firmware/efi/efivars
ubimkvol /dev/ubi0 -N test -s 16MiB > /dev/null
truncate -s 8M /var/disk && losetup /dev/loop0 /var/disk
systemctl start otad
echo "LAB: unit over"
systemctl stop systemd-logind dbus dbus.socket
systemctl mask --runtime systemd-logind dbus dbus.socket
printf '[Service]\nExecStart=\nExecStart=/bin/systemctl reboot\n' > /etc/systemd/system/otad.service.d/z.conf
systemctl daemon-reload
systemctl start otad
`

const (
	probeDropIn = `[Service]
Type=oneshot
ExecStart=
ExecStart=/lab/inside
Restart=no
WatchdogSec=0
StandardOutput=journal+console
StandardError=journal+console
`
	aroundService = `[Service]
Type=oneshot
StandardOutput=journal+console
StandardError=journal+console
ExecStart=/lab/around
`
)

func runUnit(ctx context.Context, l *lab, _ scenario) ([]row, error) {
	kernel, initrd, err := l.unitGuest(ctx)
	if err != nil {
		return nil, err
	}
	variables := l.path("service", "efi-vars.fd")
	if err := l.need(ctx, "qemu-system-x86_64:qemu-system-x86"); err != nil {
		return nil, err
	}
	firmware, err := l.firmware(ctx)
	if err != nil {
		return nil, err
	}
	share := filepath.Join(firmware, "usr/share/OVMF")
	if err := l.tool(ctx, "cp", filepath.Join(share, "OVMF_VARS_4M.fd"), variables); err != nil {
		return nil, err
	}
	// no_timer_check: a busy host's clock ticks late, which the kernel would take for a broken one.
	g, err := power(l.path("service", "unit.log"), l.verbose, "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "1536", "-accel", "tcg",
		"-no-reboot", "-display", "none", "-monitor", "none", "-serial", "stdio", "-net", "none",
		"-drive", "if=pflash,format=raw,readonly=on,file="+filepath.Join(share, "OVMF_CODE_4M.fd"), "-drive", "if=pflash,format=raw,file="+variables,
		"-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 panic=1 quiet no_timer_check systemd.show_status=0")
	if err != nil {
		return nil, err
	}
	defer g.cut()
	if _, err := g.wait(ctx, `LAB: unit over`, `LAB: WRONG|LAB: module|Kernel panic`); err != nil {
		return nil, err
	}
	may, mayNot := g.count(`LAB: may: `), g.count(`LAB: may not: `)
	if want := strings.Count(insideUnit, "\nmay ") + strings.Count(insideUnit, "\nmayNot "); may+mayNot != want {
		return nil, fmt.Errorf("%d of %d things were tried (see %s)", may+mayNot, want, g.log.Name())
	}
	if _, err := g.wait(ctx, `reboot: Restarting system`, `Kernel panic`); err != nil {
		return nil, err
	}
	return []row{{up: fmt.Sprintf("%d things are possible, %d are refused, as they should be; restarted without logind and D-Bus", may, mayNot), reported: "-"}}, nil
}

// unitGuest is the container's Debian as an initramfs, with the flash guest's
// kernel and tests.
func (l *lab) unitGuest(ctx context.Context) (kernel, initrd string, err error) {
	base, err := l.baseDebian(ctx)
	if err != nil {
		return "", "", err
	}
	if kernel, _, err = l.flashGuest(ctx); err != nil {
		return "", "", err
	}
	unit, err := os.ReadFile("packaging/otad.service")
	if err != nil {
		return "", "", err
	}
	const etc = "etc/systemd/system/"
	files := tree{"lab/inside": []byte(insideUnit), "lab/around": []byte(aroundUnit), etc + "otad.service": unit,
		etc + "otad.service.d/lab.conf": []byte(probeDropIn), etc + "lab.service": []byte(aroundService),
		// A console that nobody logs in to; its device is not announced, without udev.
		etc + "serial-getty@ttyS0.service":         []byte("-> /dev/null"),
		etc + "graphical.target.wants/lab.service": []byte("-> ../lab.service"), "init": []byte("-> /sbin/init"), "usr/bin/otad": []byte("#!/bin/sh\n")}
	generic := l.path("generic", "root")
	if err := files.modules(generic, append(flashModules[:len(flashModules):len(flashModules)], "softdog", "efivarfs", "loop")); err != nil {
		return "", "", err
	}
	extra, err := files.write(l.path("service", "unit-files"))
	if err != nil {
		return "", "", err
	}
	root := l.path("service", "unit-root")
	initrd = l.path("service", "unit-initrd.img")
	const pack = `rm -rf "$1" && mkdir "$1" && tar -xf "$2" -C "$1" --numeric-owner && cp -a "$3/." "$1" && cp -a "$4/tests" "$1/" &&
cp "$4/usr/sbin/ubimkvol" "$1/usr/sbin/" && cp "$5/bin/busybox" "$1/bin/" && cd "$1" &&
rm -rf usr/share/doc usr/share/man usr/share/locale var/lib/apt var/cache && mkdir -p efi run/systemd &&
find . | cpio -o -H newc --quiet | gzip -1 > "$6"`
	return kernel, initrd, l.tool(ctx, "sh", "-c", pack, "pack", root, base, extra, l.path("images", "flash-initrd"), generic, initrd)
}
