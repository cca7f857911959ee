//go:build lab

package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strings"
)

// flashInit runs the tests of packages ubi and uboot that want a flash chip.
//
//go:embed guest/flash-init
var flashInit []byte

func flash() []scenario {
	return []scenario{{name: "flash", broken: "two blocks of a raw NAND are bad (nandsim, UBI)", run: runFlash}}
}

// flashModules are loaded in this order. UBIFS asks for its compressors by name.
var flashModules = []string{"lzo", "lzo_rle", "deflate", "zstd", "nandsim", "ubi", "ubifs"}

func runFlash(ctx context.Context, l *lab, _ scenario) ([]row, error) {
	kernel, initrd, err := l.flashGuest(ctx)
	if err != nil {
		return nil, err
	}
	log := l.path("flash.log")
	if err := os.RemoveAll(log); err != nil {
		return nil, err
	}
	g, err := power(log, l.verbose, "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "1024", "-accel", "tcg", "-no-reboot",
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 panic=1 quiet")
	if err != nil {
		return nil, err
	}
	defer g.cut()
	r := row{reported: "-"}
	var passed []string
	for _, part := range []string{"volume", "mounted", "environment"} {
		end, err := g.wait(ctx, "^LAB: "+part+" code=", "^LAB: module|^LAB: no volume|Kernel panic")
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(end.text, "code=0") {
			passed = append(passed, part)
		} else {
			r.failed = true
			r.reported = "the tests of the " + part + " fail (see " + log + ")"
		}
	}
	if g.count("^LAB: bad blocks: [1-9]") == 0 || g.count("^--- PASS: TestReal") != len(passed) {
		r.failed = true
		r.reported += "; there were no bad blocks, or a test was skipped"
	}
	r.up = "the tests pass on: " + strings.Join(passed, ", ")
	return []row{r}, nil
}

// flashGuest makes an initramfs of the tests. The generic kernel has the flash,
// the cloud kernel has not.
func (l *lab) flashGuest(ctx context.Context) (kernel, initrd string, err error) {
	if err := l.need(ctx, "qemu-system-x86_64:qemu-system-x86", "cpio:cpio"); err != nil {
		return "", "", err
	}
	root, err := l.debs(ctx, "generic", "amd64", "=linux-image-amd64", "busybox-static", "mtd-utils", "libc6")
	if err != nil {
		return "", "", err
	}
	if kernel, err = oneKernel(root); err != nil {
		return "", "", err
	}
	files := tree{"init": flashInit, "proc/": nil, "sys/": nil, "dev/": nil, "tmp/": nil, "mnt/": nil}
	if err := files.busybox(root); err != nil {
		return "", "", err
	}
	if err := files.modules(root, flashModules); err != nil {
		return "", "", err
	}
	for name, path := range map[string]string{
		"usr/sbin/ubimkvol": "usr/sbin/ubimkvol", "usr/sbin/ubiupdatevol": "usr/sbin/ubiupdatevol",
		"lib64/ld-linux-x86-64.so.2":     "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
		"lib/x86_64-linux-gnu/libc.so.6": "lib/x86_64-linux-gnu/libc.so.6"} {
		if files[name], err = os.ReadFile(filepath.Join(root, path)); err != nil {
			return "", "", err
		}
	}
	for _, pkg := range []string{"ubi", "uboot"} {
		test := l.path("images", pkg+".test")
		cmd := command(ctx, "go", "test", "-c", "-o", test, "./platform/"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if err := output(cmd); err != nil {
			return "", "", err
		}
		if files["tests/"+pkg+"/"+pkg+".test"], err = os.ReadFile(test); err != nil {
			return "", "", err
		}
	}
	initrd = l.path("images", "flash-initrd.img")
	return kernel, initrd, l.cpio(ctx, files, l.path("images", "flash-initrd"), initrd)
}
