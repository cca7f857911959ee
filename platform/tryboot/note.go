package tryboot

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// noteName is the pair of files in Config.Dir: tryboot.0 and tryboot.1.
const noteName = "tryboot"

// note is the wish for a trial. It is void once the kernel was started again.
type note struct {
	Slot string `json:"slot,omitempty"`
	Boot string `json:"boot,omitempty"`
}

// wanted is the slot that the next restart is to try, or nothing.
func (b *Boot) wanted() (string, error) {
	n, err := b.read()
	if n.Slot == "" || err != nil {
		return "", err
	}
	id, err := b.bootID()
	if err != nil {
		return "", err
	}
	if n.Boot != id || b.known(n.Slot) != nil {
		return "", nil
	}
	return n.Slot, nil
}

// read gives the note. A damaged one is none: a trial that nobody can prove
// was asked for is not started, and the kept system is.
func (b *Boot) read() (n note, err error) {
	data, err := b.note.Load()
	switch {
	case errors.Is(err, durable.ErrNone), errors.Is(err, durable.ErrDamaged):
		return note{}, nil
	case err != nil:
		return note{}, fmt.Errorf("tryboot: the note of a trial: %w", err)
	}
	if json.Unmarshal(data, &n) != nil {
		return note{}, nil
	}
	return n, nil
}

func (b *Boot) remember(slot string) error {
	id, err := b.bootID()
	if err != nil {
		return err
	}
	return b.save(note{Slot: slot, Boot: id})
}

// forget takes the wish back.
func (b *Boot) forget() error { return b.save(note{}) }

func (b *Boot) save(next note) error {
	if n, err := b.read(); err == nil && n == next {
		return nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("tryboot: the note of a trial: %w", err)
	}
	if err := b.note.Save(data); err != nil {
		return fmt.Errorf("tryboot: the note of a trial: %w", err)
	}
	return nil
}

func (b *Boot) bootID() (string, error) {
	id, err := b.c.BootID()
	if err != nil {
		return "", fmt.Errorf("tryboot: which start of the kernel this is: %w", err)
	}
	if id == "" {
		return "", errors.New("tryboot: which start of the kernel this is: the boot id is empty")
	}
	return id, nil
}

// kernelBootID is a random number that the kernel makes when it starts.
func kernelBootID() (string, error) {
	b, err := rewrite.Read(disk.OS{}, "/proc/sys/kernel/random/boot_id", 64)
	return strings.TrimSpace(string(b)), err
}

// Firmware is where the kernel shows what the firmware says of this start.
const Firmware = "/proc/device-tree/chosen/bootloader"

// Partition reads the number of the partition that was started from, from a
// file like [Firmware]/partition.
func Partition(path string) (int, error) {
	n, err := cell(path)
	if err != nil {
		return 0, err
	}
	if n < 1 || n > MaxPartition {
		return 0, fmt.Errorf("%s: partition %d: want 1 to %d", path, n, MaxPartition)
	}
	return int(n), nil
}

// Flagged reads whether this start had the tryboot flag, from a file like
// [Firmware]/tryboot.
func Flagged(path string) (bool, error) {
	n, err := cell(path)
	return n != 0, err
}

// cell reads a property of the device tree: 32 bits, big-endian. The kernel's
// files are symbolic links on the way there, so this is a plain open.
func cell(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [5]byte
	n, err := f.Read(b[:])
	if err != nil || n != 4 {
		return 0, fmt.Errorf("%s: %d bytes, %v: want one number of 4 bytes", path, n, err)
	}
	return binary.BigEndian.Uint32(b[:]), nil
}
