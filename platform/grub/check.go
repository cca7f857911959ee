package grub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// varCanary is set and taken away by Check.
const varCanary = "otad_canary"

// newName is the file by which Mend makes an environment that is not there.
const newName = ".grubenv.otad"

// Check implements [platform.Checkable]. It sets a variable of its own behind
// all others, reads it back and takes it away. A power cut in between leaves
// that variable, which means nothing to GRUB.
func (b *Boot) Check() error {
	e, err := b.load()
	if err != nil {
		return err
	}
	if err := b.place(); err != nil {
		return err
	}
	if e.left > 0 {
		if err := b.known(e.trial); err != nil {
			return fmt.Errorf("%s: %w (mending ends the trial)", varTrial, err)
		}
	}
	for _, l := range e.block.lines {
		if l.junk {
			return fmt.Errorf("grub environment %s: the line %q sets no variable (mending drops it)", b.c.Path, l.raw)
		}
	}
	// Whatever is tried takes the same room as what is there now.
	if _, err := b.layout(e.block, e.state).encode(); err != nil {
		return fmt.Errorf("grub environment %s: %w", b.c.Path, err)
	}
	return b.canary(e)
}

func (b *Boot) canary(e env) error {
	k := e.block.without(varCanary)
	without, err := k.encode()
	if err != nil {
		return fmt.Errorf("grub environment %s: %w", b.c.Path, err)
	}
	k.set(varCanary, "1")
	with, err := k.encode()
	if err != nil {
		return fmt.Errorf("grub environment %s has no room left: %w", b.c.Path, err)
	}
	if e.data, err = b.write(e.data, with); err != nil {
		return err
	}
	_, err = b.write(e.data, without)
	return err
}

// place refuses an environment that GRUB could read and not write.
func (b *Boot) place() error {
	if _, real := b.disk.(disk.OS); !real {
		return nil
	}
	st, err := os.Lstat(b.c.Path)
	if err != nil {
		return fmt.Errorf("grub environment: %w", err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("grub environment %s is no regular file (name the file itself)", b.c.Path)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Blocks*512 < Size {
		return fmt.Errorf("grub environment %s is sparse or lies in its inode, GRUB has no sectors to write to (mending makes it anew)", b.c.Path)
	}
	var f unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(b.c.Path), &f); err != nil {
		return fmt.Errorf("grub environment %s: %w", b.c.Path, err)
	}
	if name := copying(int64(f.Type)); name != "" {
		return fmt.Errorf("grub environment %s lies on %s, where GRUB cannot write (move it to ext4, XFS or FAT)", b.c.Path, name)
	}
	return nil
}

// copying names the file systems that do not overwrite in place.
func copying(kind int64) string {
	switch uint32(kind) {
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.F2FS_SUPER_MAGIC:
		return "F2FS"
	case 0x2fc12fc1:
		return "ZFS"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "an overlay"
	case unix.SQUASHFS_MAGIC:
		return "squashfs"
	}
	return ""
}

// Mend implements [platform.Checkable]. It keeps the variables of others as far
// as they can be read. An environment that is not there, of another size or
// without blocks of its own is replaced by a new file: restart the machine
// properly then, so that the file system writes its journal out and GRUB sees
// the new one.
func (b *Boot) Mend() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	// Too long, or not there: then there is nothing to keep.
	old, err := rewrite.Read(b.disk, b.c.Path, Size)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, rewrite.ErrTooLong) {
		return fmt.Errorf("grub environment: %w", err)
	}
	read, _ := parse(old)
	others := read.without(varCanary)
	data, err := b.layout(others, state{kept: slot}).encode()
	if err != nil {
		return fmt.Errorf("grub environment %s: %w", b.c.Path, err)
	}
	if len(old) == Size && b.place() == nil {
		_, err = b.write(old, data)
		return err
	}
	temp := filepath.Join(filepath.Dir(b.c.Path), newName)
	if err := rewrite.Replace(b.disk, b.c.Path, temp, data, 0o600); err != nil {
		return fmt.Errorf("grub environment: %w", err)
	}
	return b.place() // no new file helps on a file system that GRUB cannot write on
}
