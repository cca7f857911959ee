// Package tryboot is the firmware of a Raspberry Pi as a boot loader of a device
// with two systems.
//
// The firmware reads autoboot.txt from the first FAT partition: the partition
// of the kept system stands in its part [all], the one that is tried in its
// part [tryboot]. That second part counts for one start only, when the restart
// before it said "0 tryboot"; a power cut, a crash or a watchdog then leads
// back to the kept system. So a trial has one attempt, and Boot is a
// [platform.RebootArgument]: who restarts the machine must ask it what to say.
//
// A trial is nothing that lasts: the firmware's flag is set by the restart
// itself. Try therefore only makes sure that [tryboot] names the slot, and
// remembers, together with the kernel's boot id, that the next restart has to
// say so. When the machine is started in any other way, the power cut included,
// that note is void, the kept system comes up, and the agent's own record says
// that an update is unfinished (B11).
//
// Keep swaps the two numbers in autoboot.txt. FAT has no journal, and renaming
// a file over another changes its directory in places where half a change
// loses both. The two numbers however lie in one sector: they are written into
// it in place, which leaves the directory and the allocation table alone. A cut
// leaves the old sector or the new one; even a torn one names a system that is
// whole, since at that moment both are. Only a file that is missing, damaged, or
// changes its length is replaced by renaming, and a person should be near then:
// without an autoboot.txt nothing is started.
//
// It trusts whoever can write the partition and the state directory.
package tryboot

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// Attempts is how many boots a trial has.
const Attempts = 1

// FirstPartition is the partition of the first slot unless configured.
const FirstPartition = 2

// Argument is what a restart says that starts a trial: the default partition,
// with the tryboot flag.
const Argument = "0 tryboot"

// Config says what there is on the card.
type Config struct {
	// Path is autoboot.txt on the mounted first FAT partition.
	Path string
	// Slots are the names of all slots.
	Slots []string
	// Partitions are the numbers of the slots' boot partitions. When nil they
	// are counted in the order of Slots from [FirstPartition].
	Partitions map[string]int
	// Dir is an existing directory for the note that a trial is wanted. It may
	// forget in a restart, such as /run.
	Dir string
	// Running tells which slot the running system was started from. When nil
	// it is the slot of the partition that the firmware says it started.
	Running func() (string, error)
	// BootID names this start of the kernel. When nil it is the kernel's own.
	BootID func() (string, error)
}

// Boot is the firmware. It implements [platform.Boot], [platform.Checkable] and
// [platform.RebootArgument]. One process at a time may use it.
type Boot struct {
	disk  disk.Disk
	c     Config
	note  *durable.Pair
	doubt bool // a write failed: what can be read may not be on the medium
}

// New makes a Boot. It reads and changes nothing.
func New(c Config) (*Boot, error) { return newOn(disk.OS{}, c) }

func newOn(d disk.Disk, c Config) (*Boot, error) {
	if c.Path == "" {
		return nil, errors.New("tryboot: no autoboot.txt given")
	}
	if len(c.Slots) < 2 {
		return nil, fmt.Errorf("tryboot: slots %q: want two", c.Slots)
	}
	c.Slots = slices.Clone(c.Slots)
	given := c.Partitions
	c.Partitions = map[string]int{}
	for i, s := range c.Slots {
		n := FirstPartition + i
		if given != nil {
			n = given[s]
		}
		if _, twice := c.Partitions[s]; s == "" || twice {
			return nil, fmt.Errorf("tryboot: slots %q: want different names", c.Slots)
		}
		if n < 1 || n > MaxPartition {
			return nil, fmt.Errorf("tryboot: slot %q in partition %d: want 1 to %d", s, n, MaxPartition)
		}
		for other, m := range c.Partitions {
			if m == n {
				return nil, fmt.Errorf("tryboot: slots %q and %q are both in partition %d", other, s, n)
			}
		}
		c.Partitions[s] = n
	}
	if c.BootID == nil {
		c.BootID = kernelBootID
	}
	note, err := durable.OpenPairOn(d, c.Dir, noteName)
	if err != nil {
		return nil, fmt.Errorf("tryboot: %w", err)
	}
	return &Boot{disk: d, c: c, note: note}, nil
}

// Running implements [platform.Boot].
func (b *Boot) Running() (slot string, err error) {
	if b.c.Running == nil {
		n, err := Partition(filepath.Join(Firmware, "partition"))
		if err != nil {
			return "", fmt.Errorf("tryboot: which slot runs: %w", err)
		}
		if slot = b.slotOf(n); slot == "" {
			return "", fmt.Errorf("tryboot: the running system was started from partition %d: %w", n, platform.ErrNoSlot)
		}
		return slot, nil
	}
	slot, err = b.c.Running()
	if err != nil {
		return "", fmt.Errorf("tryboot: which slot runs: %w", err)
	}
	if err := b.known(slot); err != nil {
		return "", fmt.Errorf("the running system: %w", err)
	}
	return slot, nil
}

// Try implements [platform.Boot]. It fails with [platform.ErrNoSlot]. The trial
// is started only by a restart with [Boot.RebootArgument].
func (b *Boot) Try(slot string) error {
	if err := b.known(slot); err != nil {
		return err
	}
	a, err := b.load()
	if err != nil {
		return err
	}
	n := b.c.Partitions[slot]
	if n == a.all.number {
		return b.forget()
	}
	// The file first: a note without it would start something else.
	if err := b.write(a, a.all.number, n); err != nil {
		return err
	}
	return b.remember(slot)
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	a, err := b.load()
	if err != nil {
		return err
	}
	if err := b.forget(); err != nil {
		return err
	}
	all := b.c.Partitions[slot]
	return b.write(a, all, b.other(all, a.all.number, a.try.number))
}

// other is the partition to name in [tryboot] beside the kept one: the one
// that was kept before, or else what is named there, or else any.
func (b *Boot) other(kept int, before ...int) int {
	for _, s := range b.c.Slots {
		before = append(before, b.c.Partitions[s])
	}
	for _, n := range before {
		if n != kept && b.slotOf(n) != "" {
			return n
		}
	}
	return kept // does not happen: there are two slots
}

// RebootArgument implements [platform.RebootArgument]: [Argument] when a trial
// was asked for since the kernel was started, else nothing.
func (b *Boot) RebootArgument() (string, error) {
	slot, err := b.wanted()
	if slot == "" || err != nil {
		return "", err
	}
	a, err := b.load()
	if err != nil {
		return "", err
	}
	if n := b.c.Partitions[slot]; n != a.try.number {
		return "", fmt.Errorf("%s: [tryboot] names partition %d, and slot %s on trial is in %d", b.c.Path, a.try.number, slot, n)
	}
	return Argument, nil
}

func (b *Boot) known(slot string) error {
	if _, ok := b.c.Partitions[slot]; !ok {
		return fmt.Errorf("tryboot: slot %q (there are %q): %w", slot, b.c.Slots, platform.ErrNoSlot)
	}
	return nil
}

// slotOf names the slot in partition n, or nothing.
func (b *Boot) slotOf(n int) string {
	for _, s := range b.c.Slots {
		if b.c.Partitions[s] == n {
			return s
		}
	}
	return ""
}

// load reads autoboot.txt. One that is damaged, or starts what is no slot, is
// an error: nobody knows what the firmware makes of it (B1).
func (b *Boot) load() (autoboot, error) {
	data, err := rewrite.Read(b.disk, b.c.Path, MaxFile)
	if err != nil {
		return autoboot{}, fmt.Errorf("tryboot: %w", err)
	}
	a, err := parse(data)
	if err != nil {
		return a, fmt.Errorf("%s: %w (mending makes it anew)", b.c.Path, err)
	}
	if b.slotOf(a.all.number) == "" {
		return a, fmt.Errorf("%s: partition %d is kept and no slot is in it (mending names the running one)", b.c.Path, a.all.number)
	}
	return a, nil
}

// write changes the two numbers.
func (b *Boot) write(a autoboot, all, try int) error {
	return b.put([]byte(a.data), a.with(all, try))
}

// put makes data the file's content, which is old now: in place whenever it
// has the length.
func (b *Boot) put(old, data []byte) (err error) {
	if len(data) > MaxFile {
		return fmt.Errorf("%s would have %d bytes, the firmware reads %d", b.c.Path, len(data), MaxFile)
	}
	if len(old) != len(data) {
		err = rewrite.Replace(b.disk, b.c.Path, b.temp(), data, 0o644)
	} else {
		if b.doubt {
			// The kernel does not write a page again after an error: change it all.
			old = make([]byte, len(data))
		}
		b.doubt = true
		err = rewrite.InPlace(b.disk, b.c.Path, old, data)
		b.doubt = err != nil
	}
	if err != nil {
		return fmt.Errorf("tryboot: %w", err)
	}
	return nil
}

// temp is the file by which autoboot.txt is replaced and the canary is written.
// Upper case, 8 and 3 characters, is one entry of a FAT directory and not three.
func (b *Boot) temp() string { return filepath.Join(filepath.Dir(b.c.Path), "AUTOBOOT.NEW") }
