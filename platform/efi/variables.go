package efi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform/internal/disk"
)

// DefaultDir is where Linux shows the firmware's variables.
const DefaultDir = "/sys/firmware/efi/efivars"

// MaxVariable is how many bytes of a variable are read at most.
const MaxVariable = 64 << 10

// Attributes of a variable: kept without power, seen before the system starts,
// seen while it runs. What the firmware is to remember has all three.
const (
	NonVolatile   = 1
	BootService   = 2
	Runtime       = 4
	remembered    = NonVolatile | BootService | Runtime
	attributeSize = 4

	immutable = 0x10 // FS_IMMUTABLE_FL of linux/fs.h
)

// The owners of variables.
const (
	// Global owns what the UEFI specification names.
	Global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	// Own owns what this package writes for itself.
	Own = "b2f9a6f4-6a35-4c1d-9d0e-3d1c5e7a90b6"
)

// directory is the file system that the variables are in.
type directory interface {
	disk.Disk
	List(dir string) ([]string, error)
}

type osDirectory struct{ disk.OS }

func (osDirectory) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Variables are the firmware's variables, as the files that Linux makes of them:
// NAME-OWNER holds four bytes of attributes and the value. A plain directory
// with such files will do. It is for one goroutine at a time.
type Variables struct {
	dir string
	d   directory
}

// OpenVariables names the directory of the variables, "" for [DefaultDir]. It
// reads nothing yet.
func OpenVariables(dir string) *Variables { return variablesOn(osDirectory{}, dir) }

func variablesOn(d directory, dir string) *Variables {
	if dir == "" {
		dir = DefaultDir
	}
	return &Variables{dir: dir, d: d}
}

func (v *Variables) path(name, owner string) string {
	return filepath.Join(v.dir, name+"-"+owner)
}

// Read gives a variable's attributes and value, or [fs.ErrNotExist].
func (v *Variables) Read(name, owner string) (attributes uint32, value []byte, err error) {
	f, err := v.d.OpenFile(v.path(name, owner), os.O_RDONLY, 0)
	if err != nil {
		return 0, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxVariable+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, nil, fmt.Errorf("EFI variable %s: %w", name, err)
	}
	if len(data) < attributeSize || len(data) > MaxVariable {
		return 0, nil, fmt.Errorf("EFI variable %s has %d bytes: want %d to %d", name, len(data), attributeSize, MaxVariable)
	}
	return binary.LittleEndian.Uint32(data), data[attributeSize:], nil
}

// Write makes value that of the variable, for good: the firmware changes a
// variable whole or not at all. It is read back, and one that is so already is
// not written, since the firmware's memory wears.
func (v *Variables) Write(name, owner string, value []byte) error {
	if len(value) == 0 || len(value) > MaxVariable-attributeSize {
		return fmt.Errorf("EFI variable %s: %d bytes: want 1 to %d", name, len(value), MaxVariable-attributeSize)
	}
	if v.is(name, owner, value) == nil {
		return nil
	}
	if err := v.unlock(name, owner); err != nil {
		return err
	}
	// Not O_TRUNC: to the firmware a variable without a value is one that goes.
	f, err := v.d.OpenFile(v.path(name, owner), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("EFI variable %s: %w", name, err)
	}
	// One call, since each call is a change of its own.
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, remembered), value...))
	if err == nil {
		err = shorten(f, attributeSize+len(value))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("EFI variable %s: %w", name, err)
	}
	if err := v.is(name, owner, value); err != nil {
		return fmt.Errorf("EFI variable %s was written, but: %w", name, err)
	}
	return nil
}

// is tells whether the variable has the value.
func (v *Variables) is(name, owner string, value []byte) error {
	attributes, got, err := v.Read(name, owner)
	if err != nil {
		return err
	}
	if attributes != remembered || !bytes.Equal(got, value) {
		return fmt.Errorf("it reads %d:%x and not %d:%x", attributes, got, remembered, value)
	}
	return nil
}

// shorten cuts the tail that an older value leaves in a plain directory. The
// firmware's own files are never longer than what was written.
func shorten(f disk.File, size int) error {
	plain, ok := f.(*os.File)
	if !ok {
		return nil
	}
	st, err := plain.Stat()
	if err != nil || st.Size() <= int64(size) {
		return err
	}
	return plain.Truncate(int64(size))
}

// Delete removes a variable. One that is not there is removed already.
func (v *Variables) Delete(name, owner string) error {
	if _, _, err := v.Read(name, owner); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := v.unlock(name, owner); err != nil {
		return err
	}
	if err := v.d.Remove(v.path(name, owner)); err != nil {
		return fmt.Errorf("EFI variable %s: %w", name, err)
	}
	if _, _, err := v.Read(name, owner); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("EFI variable %s was removed, and is still there (%v)", name, err)
	}
	return nil
}

// unlock takes away the flag with which Linux keeps variables that it does not
// know from being removed by accident.
func (v *Variables) unlock(name, owner string) error {
	f, err := v.d.OpenFile(v.path(name, owner), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("EFI variable %s: %w", name, err)
	}
	if plain, ok := f.(*os.File); ok {
		err = clearImmutable(int(plain.Fd()))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("EFI variable %s cannot be made changeable: %w", name, err)
	}
	return nil
}

func clearImmutable(fd int) error {
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return nil // a file system without such flags
	}
	if err != nil || flags&immutable == 0 {
		return err
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags&^immutable))
}
