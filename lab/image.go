//go:build lab

package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The guest's own programs are two shell scripts around our agent.
var (
	//go:embed guest/initramfs-init
	initramfsInit []byte
	//go:embed guest/init
	guestInit []byte
)

// Sizes of the board's partitions in MiB, and what all file systems have in
// common, so that only what differs between two images differs.
const (
	bootMiB, slotMiB, dataMiB = 16, 56, 24

	imageUUID  = "7f2c9f0e-5d5e-4f0a-9d2b-0c6f7f1f2a32"
	imageEpoch = "1700000000"
)

// boardModules are what a board needs and its kernel may not have built in. What
// they need themselves comes with them.
var boardModules = []string{"virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel", "ext4", "nls_cp437", "nls_ascii", "vfat", "virtio_net", "tpm_tis", "tpm_crb"}

// system is one image of a root file system.
type system struct {
	version string
	agent   string // the version of the otad inside; empty is none
	fault   string // what guest/init does wrong: "panic", "network"
	garbage bool   // the kernel is not one
}

func (s system) name() string {
	n := s.version
	switch {
	case s.garbage:
		n += "-garbage"
	case s.fault != "":
		n += "-" + s.fault
	case s.agent == "":
		n += "-mute"
	}
	return n
}

func healthy(version string) system { return system{version: version, agent: version} }

// kernel gives the folder with the machine's Debian packages, and the kernel.
func (l *lab) kernel(ctx context.Context, m machine) (root, kernel string, err error) {
	if root, err = l.debs(ctx, m.arch, m.arch, "="+m.meta, "busybox-static"); err != nil {
		return "", "", err
	}
	kernel, err = oneKernel(root)
	return root, kernel, err
}

func oneKernel(root string) (string, error) {
	found, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s/boot has %d kernels, wanted is one (remove %s)", root, len(found), filepath.Dir(root))
	}
	return found[0], nil
}

// initramfs packs the modules and the program that finds the root.
func (l *lab) initramfs(ctx context.Context, m machine) (path string, err error) {
	path = l.path("images", m.arch+"-initrd.img")
	return path, l.once("make "+path, func() error {
		root, _, err := l.kernel(ctx, m)
		if err != nil {
			return err
		}
		files := tree{"init": initramfsInit}
		if err := files.busybox(root); err != nil {
			return err
		}
		if err := files.modules(root, boardModules); err != nil {
			return err
		}
		for _, dir := range []string{"proc", "sys", "dev", "root"} {
			files[dir+"/"] = nil
		}
		return l.cpio(ctx, files, l.path("images", m.arch+"-initrd"), path)
	})
}

// cpio packs an initramfs.
func (l *lab) cpio(ctx context.Context, files tree, dir, path string) error {
	if err := l.need(ctx, "cpio:cpio"); err != nil {
		return err
	}
	if _, err := files.write(dir); err != nil {
		return err
	}
	return output(command(ctx, "sh", "-c", `cd "$0" && find . | LC_ALL=C sort | cpio -o -H newc --reproducible --quiet | gzip -n > "$1"`, dir, path))
}

// image makes the root file system of a system, which is the package of a full
// update too.
func (l *lab) image(ctx context.Context, m machine, s system) (path string, err error) {
	path = l.path("images", m.arch+"-"+s.name()+".ext4")
	return path, l.once("make "+path, func() error {
		files, err := l.rootfs(ctx, m, s)
		if err != nil {
			return err
		}
		dir, err := files.write(l.path("images", m.arch+"-"+s.name()))
		if err != nil {
			return err
		}
		return l.mke2fs(ctx, dir, path, slotMiB, "-O", "^has_journal")
	})
}

func (l *lab) rootfs(ctx context.Context, m machine, s system) (tree, error) {
	root, vmlinuz, err := l.kernel(ctx, m)
	if err != nil {
		return nil, err
	}
	initrd, err := l.initramfs(ctx, m)
	if err != nil {
		return nil, err
	}
	files := tree{
		"sbin/init":   guestInit,
		"etc/version": []byte(s.version + "\n"),
		"etc/fault":   []byte(s.fault + "\n"),
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp", "data", "bootfs"} {
		files[dir+"/"] = nil
	}
	if err := files.busybox(root); err != nil {
		return nil, err
	}
	from := map[string]string{"boot/vmlinuz": vmlinuz, "boot/initrd.img": initrd}
	if s.agent != "" {
		if from["usr/bin/otad"], err = l.build(ctx, "otad", m.arch, s.agent); err != nil {
			return nil, err
		}
	}
	for name, path := range from {
		if files[name], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	if s.garbage {
		files["boot/vmlinuz"] = bytes.Repeat([]byte("not a kernel, but as long as one. "), len(files["boot/vmlinuz"])/34)
	}
	return files, nil
}

// mke2fs makes a file system of a folder. No root is needed, nothing is mounted.
func (l *lab) mke2fs(ctx context.Context, dir, path string, mib int, more ...string) error {
	if err := l.need(ctx, "mke2fs:e2fsprogs"); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := l.tool(ctx, "find", dir, "-exec", "touch", "-h", "-d", "@"+imageEpoch, "{}", "+"); err != nil {
		return err
	}
	args := append([]string{"-q", "-t", "ext4", "-d", dir, "-U", imageUUID, "-E", "hash_seed=" + imageUUID + ",root_owner=0:0", "-m", "0"}, more...)
	cmd := command(ctx, "mke2fs", append(args, path, fmt.Sprintf("%dM", mib))...)
	cmd.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+imageEpoch)
	return output(cmd)
}

// tree is a folder to be: contents by path. A path that ends in a slash is an
// empty folder.
type tree map[string][]byte

// applets are what the guest's scripts use.
const applets = "sh mount umount insmod reboot switch_root grep head basename dirname cat ip sed touch sync mknod ls rm sleep cp dd mkdir"

func (t tree) busybox(root string) error {
	binary, err := os.ReadFile(filepath.Join(root, "bin", "busybox"))
	if err != nil {
		return err
	}
	t["bin/busybox"] = binary
	for _, name := range strings.Fields(applets) {
		t["bin/"+name] = []byte("-> busybox")
	}
	return nil
}

// modules adds those that this kernel has as files, and the order to load them in.
func (t tree) modules(root string, names []string) error {
	found := map[string]string{}
	err := filepath.WalkDir(filepath.Join(root, "lib", "modules"), func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			found[moduleName(name)] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	var order bytes.Buffer
	var add func(name string) error
	add = func(name string) error {
		file := "modules/" + name + ".ko"
		path, ok := found[moduleName(name)]
		if _, done := t[file]; done || !ok { // not a file: built in
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, need := range needs(content) {
			if err := add(need); err != nil {
				return err
			}
		}
		t[file] = content
		fmt.Fprintln(&order, name)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return err
		}
	}
	t["modules/order"] = order.Bytes()
	return nil
}

// moduleName writes a module's name in one way: files and needs do not agree on
// dashes and underscores.
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// needs reads what a module says that it depends on.
func needs(module []byte) []string {
	_, rest, ok := bytes.Cut(module, []byte("\x00depends="))
	if !ok {
		return nil
	}
	list, _, _ := bytes.Cut(rest, []byte{0})
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == ',' })
}

// write makes the folder anew.
func (t tree) write(dir string) (string, error) {
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for name, content := range t {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return "", err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		var err error
		if to, ok := bytes.CutPrefix(content, []byte("-> ")); ok {
			err = os.Symlink(string(to), path)
		} else {
			err = os.WriteFile(path, content, 0o755)
		}
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}
