package tryboot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// Check implements [platform.Checkable]. Its canary is a file of its own beside
// autoboot.txt: it is written, read back and removed.
func (b *Boot) Check() error {
	a, err := b.load()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (mount the first FAT partition there; mending makes the file)", err)
	}
	if err != nil {
		return err
	}
	if b.slotOf(a.try.number) == "" {
		return fmt.Errorf("%s: [tryboot] names partition %d and no slot is in it (mending names the spare one)", b.c.Path, a.try.number)
	}
	if _, err := b.bootID(); err != nil {
		return err
	}
	return b.canary()
}

func (b *Boot) canary() error {
	if err := b.clear(); err != nil {
		return err
	}
	want := []byte("canary\n")
	f, err := b.disk.OpenFile(b.temp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("tryboot: autoboot.txt cannot be written: %w", err)
	}
	_, err = f.Write(want)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		var got []byte
		if got, err = rewrite.Read(b.disk, b.temp(), MaxFile); err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("%q was written and %q read back", want, got)
		}
	}
	if err = errors.Join(err, b.clear()); err != nil {
		return fmt.Errorf("tryboot: autoboot.txt cannot be written: %w", err)
	}
	return nil
}

// clear removes what a cut, or Check, left behind.
func (b *Boot) clear() error {
	err := b.disk.Remove(b.temp())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return disk.SyncDir(b.disk, filepath.Dir(b.c.Path))
}

// Mend implements [platform.Checkable]. A file that can be understood only gets
// its two numbers, any other is made anew.
func (b *Boot) Mend() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	if err := b.forget(); err != nil {
		return err
	}
	old, err := rewrite.Read(b.disk, b.c.Path, MaxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, rewrite.ErrTooLong) {
		return fmt.Errorf("tryboot: %w", err)
	}
	all := b.c.Partitions[slot]
	data := fresh(all, b.other(all))
	if a, perr := parse(old); err == nil && perr == nil {
		data = a.with(all, b.other(all, a.all.number, a.try.number))
	}
	if err != nil {
		old = nil
	}
	if err := b.put(old, data); err != nil {
		return err
	}
	return b.clear()
}
