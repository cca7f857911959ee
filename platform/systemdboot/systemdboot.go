// Package systemdboot speaks to systemd-boot through its automatic boot
// assessment: the name of an entry's file says how many starts it still has, and
// systemd-boot renames the file before each of them.
//
// The kept slot's entry is otad-a.conf, which is never counted (W8). A trial is
// otad-b+3.conf. All our entries have one sort key, and systemd-boot starts the
// highest version first, so a trial has a higher version than what is kept; when
// its starts are used up (otad-b+0-3.conf) systemd-boot puts it last by itself,
// and the kept one is started. To keep a trial is to take the counter out of its
// name, one rename. Neither loader.conf nor an EFI variable takes part, since
// both are asked before the counters: Check finds what they would break.
//
// The promise is that of package platform, and it is proved by the suite in
// platform/platformtest with a power cut at every step. Files are written under
// another name, synced, read back and renamed, and the directory is synced. It
// trusts whoever can write to the partition, and that a rename on its file system
// is whole: on FAT that is as good as the order in which the medium takes two
// sectors, which is also what systemd-boot itself relies on.
//
// systemd's own systemd-bless-boot.service keeps a trial too, after
// boot-complete.target. Who wants otad to decide lets that target require
// otad's mark-good, or masks the service.
//
// It needs systemd-boot 250 or newer, for the sort key. The kernels lie on the
// entries' partition, at a path of its own for each slot, and whoever writes the
// slot writes them.
package systemdboot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/efi"
	"github.com/leapslot/ota/platform/internal/disk"
)

// Limits of a trial.
const (
	// DefaultAttempts is how many boots a system on trial has to be kept in.
	DefaultAttempts = 3
	// MaxAttempts is the largest number of attempts that can be configured.
	MaxAttempts = 100
)

// ErrDamaged means that systemd-boot would not start from the entries as it
// should. Mend helps.
var ErrDamaged = errors.New("the entries are damaged (mend them)")

// Config says how the machine starts.
type Config struct {
	// Entries is the directory loader/entries of the partition that
	// systemd-boot reads, mounted for writing.
	Entries string
	// Variables is the directory of the EFI variables, where Check looks for
	// settings that overrule the counters. "" is to look at none.
	Variables string
	// Slots are the names of the slots: small letters, digits and _, since they
	// are part of a file's name on FAT.
	Slots []string
	// Entry is what is started for each of them.
	Entry map[string]Entry
	// Attempts is how many boots a trial has, 0 for [DefaultAttempts].
	Attempts int
	// Running says which slot runs.
	Running func() (string, error)
}

// Boot is systemd-boot with its entries. It implements [platform.Boot], with a
// counter, and [platform.Checkable]. One process at a time may call Try, Keep,
// Check and Mend.
type Boot struct {
	cfg  Config
	d    directory
	vars *efi.Variables // nil to look at none
}

// directory is the file system that the entries are in.
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

// New describes the boot loader. It changes and reads nothing yet.
func New(cfg Config) (*Boot, error) { return newOn(osDirectory{}, cfg) }

func newOn(d directory, cfg Config) (*Boot, error) {
	if cfg.Attempts == 0 {
		cfg.Attempts = DefaultAttempts
	}
	if cfg.Attempts < 1 || cfg.Attempts > MaxAttempts {
		return nil, fmt.Errorf("boot attempts %d: want 1 to %d", cfg.Attempts, MaxAttempts)
	}
	if cfg.Entries == "" || cfg.Running == nil {
		return nil, errors.New("systemd-boot: want the directory of its entries, and who knows which slot runs")
	}
	if len(cfg.Slots) < 2 || len(cfg.Entry) != len(cfg.Slots) {
		return nil, fmt.Errorf("systemd-boot: %d slots and %d entries: want two slots or more, and an entry for each", len(cfg.Slots), len(cfg.Entry))
	}
	cfg.Slots = slices.Clone(cfg.Slots)
	for i, slot := range cfg.Slots {
		if !slotPattern.MatchString(slot) || slices.Contains(cfg.Slots[:i], slot) {
			return nil, fmt.Errorf("boot slots %q: want different names like %s", cfg.Slots, slotPattern)
		}
		e, ok := cfg.Entry[slot]
		if !ok {
			return nil, fmt.Errorf("boot slot %s has no entry", slot)
		}
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("boot slot %s: %w", slot, err)
		}
		if n := len(e.file(slot, maxVersion)); n > MaxFile {
			return nil, fmt.Errorf("boot slot %s: an entry of %d bytes, at most %d", slot, n, MaxFile)
		}
	}
	b := &Boot{cfg: cfg, d: d}
	if cfg.Variables != "" {
		b.vars = efi.OpenVariables(cfg.Variables)
	}
	return b, nil
}

// Running implements [platform.Boot].
func (b *Boot) Running() (string, error) {
	slot, err := b.cfg.Running()
	if err != nil {
		return "", err
	}
	return slot, b.known(slot)
}

// Try implements [platform.Boot]. It fails with [platform.ErrNoSlot].
func (b *Boot) Try(slot string) error {
	if err := b.known(slot); err != nil {
		return err
	}
	s, err := b.load()
	if err != nil {
		return err
	}
	kept := s.kept()
	// What a trial falls back to comes before the trial.
	if err := s.raise(kept); err != nil {
		return err
	}
	if slot == kept {
		return s.endTrials("")
	}
	// The slot's own entry can be tried again by one rename, if it is as
	// configured. Else it must not be started any more while the new one is
	// made, or a power cut would add its starts to the new one's.
	version := s.newest() + 1
	trial := name{slot: slot, counted: true, left: b.cfg.Attempts}
	if f, ok := s.current(slot); ok && f.counted && s.isAsConfigured(f) {
		if err := s.endTrials(f.file); err != nil {
			return err
		}
		if err := s.rename(f, trial); err != nil {
			return err
		}
		return s.sweep(slot)
	}
	if err := s.endTrials(""); err != nil {
		return err
	}
	if err := s.write(trial, b.cfg.Entry[slot].file(slot, version)); err != nil {
		return err
	}
	return s.sweep(slot)
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error {
	s, err := b.load()
	if err != nil {
		return err
	}
	return s.keep()
}

// keep takes the counter from the running slot's entry, which is one rename, and
// ends every trial.
func (s *state) keep() error {
	if f, ok := s.current(s.running); ok && f.counted && f.version > 0 {
		if err := s.rename(f, name{slot: s.running}); err != nil {
			return err
		}
	}
	if err := s.raise(s.running); err != nil {
		return err
	}
	if err := s.endTrials(""); err != nil {
		return err
	}
	return s.sweep(s.running)
}

func (b *Boot) known(slot string) error {
	if !slices.Contains(b.cfg.Slots, slot) {
		return fmt.Errorf("boot slot %q (there are %q): %w", slot, b.cfg.Slots, platform.ErrNoSlot)
	}
	return nil
}

func (b *Boot) path(file string) string { return filepath.Join(b.cfg.Entries, file) }
