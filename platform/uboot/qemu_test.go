//go:build lab

package uboot

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The real U-Boot, Debian's for QEMU, runs packaging/uboot/boot.cmd on an
// environment that this package wrote, and this package reads what it counted.
// In the place of a kernel stand 16 bytes that ask the firmware for a reset, as
// a system does that panics, or to switch off, which ends the test. So a start
// takes two seconds. Needs qemu-system-arm u-boot-qemu u-boot-tools mtools
// dosfstools gdisk e2fsprogs.

// PSCI calls.
const (
	psciOff   = 8
	psciReset = 9
)

// bootTime bounds one run: about six times what it takes on an idle machine.
const bootTime = 90 * time.Second

// kernel is an arm64 image that makes one call of the firmware.
func kernel(call uint32) []byte {
	b := make([]byte, 4096)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	put(0, 0x14000010)                            // b +0x40
	binary.LittleEndian.PutUint64(b[8:], 0x80000) // offset of its text
	binary.LittleEndian.PutUint64(b[16:], 0x1000) // its size
	binary.LittleEndian.PutUint64(b[24:], 0xa)    // little-endian, 4 KiB pages
	copy(b[56:], "ARM\x64")                       // magic
	put(64, 0x52800000|call<<5)                   // mov w0, #call
	put(68, 0x72a00000|0x8400<<5)                 // movk w0, #0x8400, lsl #16
	put(72, 0xd4000002)                           // hvc #0
	put(76, 0x14000000)                           // b .
	return b
}

// diskImage is a GPT disk with a FAT partition and two slots, "a" by its number and
// "b" by its name.
type diskImage struct{ dir string }

func (d diskImage) path(name string) string { return filepath.Join(d.dir, name) }
func (d diskImage) fat() string             { return d.path("disk.img") + "@@1M" }

func newDisk(t *testing.T, a, b []byte) diskImage {
	t.Helper()
	d := diskImage{t.TempDir()}
	img := d.path("disk.img")
	write(t, img, nil)
	if err := os.Truncate(img, 64<<20); err != nil {
		t.Fatal(err)
	}
	tool(t, "gdisk", "sgdisk", "-n1:1M:+33M", "-t1:0700", "-c1:boot", "-A1:set:2", "-n2:34M:+10M", "-c2:slot-a", "-n3:44M:+10M", "-c3:slot-b", img)
	tool(t, "dosfstools", "mkfs.vfat", "--offset=2048", img, fmt.Sprint(33<<10))
	script := d.path("boot.scr")
	tool(t, "u-boot-tools", "mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-n", "otad", "-d", "../../packaging/uboot/boot.cmd", script)
	tool(t, "mtools", "mcopy", "-i", d.fat(), script, "::boot.scr")
	for slot, k := range map[string][]byte{"34M": a, "44M": b} {
		root := d.path("root" + slot)
		if err := os.MkdirAll(filepath.Join(root, "boot"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "boot", "vmlinuz"), k)
		write(t, filepath.Join(root, "boot", "initrd.img"), []byte("initrd"))
		fs := d.path("slot" + slot)
		tool(t, "e2fsprogs", "mke2fs", "-q", "-t", "ext4", "-d", root, fs, "8M")
		tool(t, "coreutils", "dd", "if="+fs, "of="+img, "bs=1M", "seek="+strings.TrimSuffix(slot, "M"), "conv=notrunc", "status=none")
	}
	return d
}

// run starts QEMU and gives the lines that boot.cmd has printed.
func (d diskImage) run(t *testing.T) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bootTime)
	defer cancel()
	q := exec.CommandContext(ctx, "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-m", "512", "-nographic", "-accel", "tcg", "-nic", "none",
		"-bios", "/usr/lib/u-boot/qemu_arm64/u-boot.bin",
		"-drive", "if=none,id=d0,format=raw,file="+d.path("disk.img"), "-device", "virtio-blk-pci,drive=d0,disable-legacy=on")
	out, err := q.CombinedOutput()
	if err != nil {
		t.Fatalf("QEMU: %v\n%s", err, bytes.ToValidUTF8(out, nil))
	}
	var lines []string
	for _, m := range regexp.MustCompile(`(?m)^otad: (.*?)\r?$`).FindAllSubmatch(out, -1) {
		lines = append(lines, string(m[1]))
	}
	return lines
}

func TestRealUBoot(t *testing.T) {
	again, off := kernel(psciReset), kernel(psciOff)
	trial := func(n int) []string {
		return []string{fmt.Sprintf("slot b on trial, start %d of 3", n), "starting slot b"}
	}
	back := []string{"slot b was not kept in 3 starts: going back", "starting slot a"}
	for name, c := range map[string]struct {
		a, b  []byte
		act   func(b *Boot) error // what otad does before the start
		spoil []string            // files that are damaged
		want  []string            // what U-Boot says
		count string              // what otad then reads
	}{
		"NothingOnTrial": {a: off, b: again, act: (*Boot).Keep, want: []string{"starting slot a"}, count: "0"},
		"GoodTrial":      {a: again, b: off, act: try, want: trial(1), count: "1"},
		"Panics":         {a: off, b: again, act: try, want: slices.Concat(trial(1), trial(2), trial(3), back), count: "3"},
		"NoKernel": {a: off, b: []byte("junk"), act: try, count: "3", want: slices.Concat(
			append(trial(1), "slot b does not start"), append(trial(2), "slot b does not start"), append(trial(3), "slot b does not start"), back)},
		"B2FileDamaged": {a: off, b: again, act: try, spoil: []string{"uboot.env"}, want: slices.Concat(trial(1), trial(2), trial(3), back), count: "3"},
		"B2CopyDamaged": {a: again, b: off, act: try, spoil: []string{"uboot.bak"}, want: trial(1), count: "1"},
		"B1BothDamaged": {a: off, b: again, act: try, spoil: []string{"uboot.env", "uboot.bak"},
			want: []string{"uboot.env and uboot.bak cannot be read: starting slot a or b without an update", "starting slot a"}},
		"B6KeptIsBroken": {a: []byte("junk"), b: off, act: (*Boot).Keep, want: []string{"starting slot a", "slot a does not start", "starting slot b"}, count: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk(t, c.a, c.b)
			env, config := d.path("uboot.env"), d.path("fw_env.config")
			write(t, config, []byte(env+" 0 4000\n"))
			write(t, env, nil)
			b, err := New(Config{EnvConfig: config, Slots: names, Running: func() (string, error) { return "a", nil },
				Default: "otad_setup=setenv otad_label_b slot-b; setenv otad_part_b 9\n"})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Mend(); err != nil {
				t.Fatal(err)
			}
			if err := c.act(b); err != nil {
				t.Fatal(err)
			}
			for i, file := range []string{"uboot.env", "uboot.bak"} {
				if slices.Contains(c.spoil, file) {
					spoil(t, b.c, i)
				}
				tool(t, "mtools", "mcopy", "-i", d.fat(), d.path(file), "::"+file)
			}
			if got := d.run(t); !slices.Equal(got, c.want) {
				t.Errorf("U-Boot said %q, want %q", got, c.want)
			}
			for _, file := range []string{"uboot.env", "uboot.bak"} {
				tool(t, "mtools", "mcopy", "-n", "-o", "-i", d.fat(), "::"+file, d.path(file))
			}
			e, err := Open(config)
			if c.count == "" {
				if err == nil {
					t.Error("a damaged environment was read")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := e.Get(varCount); got != c.count || e.Damage() != "" {
				t.Errorf("bootcount %q, want %q; damaged: %q", got, c.count, e.Damage())
			}
		})
	}
}

func try(b *Boot) error { return b.Try("b") }
