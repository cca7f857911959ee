package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/files"
)

// Names in the state directory.
const (
	recordName = "record"
	spoolName  = "spool"
	canaryName = "canary"
)

// slotNames are how the configuration and the boot loader call the two slots.
var slotNames = [2]string{"a", "b"}

// machine is what the agent holds of this device as long as it runs.
type machine struct {
	lock   *durable.Locked
	store  *durable.Pair
	spool  *durable.Spool
	boot   *files.Boot
	slots  [2]platform.Slot
	bootID string
}

// close lets the state directory go.
func (m *machine) close() {
	if m.spool != nil {
		m.spool.Close()
	}
	m.lock.Unlock()
}

// powerOn takes the state directory, starts the machine and finds its slots. In
// a machine of files the start of this process is the boot: the boot loader
// counts it before anything else can go wrong, so that a system that cannot
// even be configured is left by itself (B8).
func powerOn(c *config) (*machine, error) {
	if err := slotsApart(c.Slots); err != nil {
		return nil, err
	}
	if err := prepareState(c.StateDir); err != nil {
		return nil, err
	}
	lock, err := durable.Lock(c.StateDir)
	if errors.Is(err, platform.ErrBusy) {
		return nil, exitf(exitBusy, "run", "%s is in use by another otad (stop it first)", c.StateDir)
	}
	if err != nil {
		return nil, exitf(exitConfig, "run", "%s cannot be locked: %w (set state_dir to a directory of a local file system)", c.StateDir, err)
	}
	m := &machine{lock: lock}
	if err := m.start(c); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *machine) start(c *config) (err error) {
	if err := makeDir(c.Boot.Dir, "boot.dir"); err != nil {
		return err
	}
	if m.boot, err = openBoot(c.Boot); err != nil {
		return err
	}
	if _, err = m.boot.PowerOn(); err != nil {
		return exitf(exitConfig, "run", "the boot loader in %s does not start: %w (see otad doctor)", c.Boot.Dir, err)
	}
	if m.bootID, err = m.boot.BootID(); err != nil {
		return exitf(exitConfig, "run", "the boot loader in %s: %w (see otad doctor)", c.Boot.Dir, err)
	}
	if m.slots, err = openSlots(c.Slots); err != nil {
		return err
	}
	if m.store, err = openRecord(c.StateDir); err != nil {
		return err
	}
	if m.spool, err = durable.OpenSpool(filepath.Join(c.StateDir, spoolName)); err != nil {
		return exitf(exitConfig, "run", "the spool in %s cannot be used: %w (remove it)", c.StateDir, err)
	}
	return nil
}

// prepareState makes the state directory and proves that it can be written: the
// agent must not begin what it could not remember (S7).
func prepareState(dir string) error {
	if err := makeDir(dir, "state_dir"); err != nil {
		return err
	}
	if err := writeCanary(dir); err != nil {
		return exitf(exitConfig, "run", "state_dir %s cannot be written: %w (mount it writable, or set state_dir to another directory)", dir, reasonOf(err))
	}
	return nil
}

// writeCanary writes a file through to the medium, reads it back and removes it.
func writeCanary(dir string) error {
	path := filepath.Join(dir, canaryName)
	const song = "canary\n"
	if err := durable.WriteFile(path, []byte(song), 0o600); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err == nil && string(b) != song {
		err = errors.New("what was written is not what is read")
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

func makeDir(dir, key string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return exitf(exitConfig, "run", "%s %s cannot be made: %w (make it, or set %s to another directory)", key, dir, reasonOf(err), key)
	}
	return nil
}

// reasonOf is the error of a file system without its own mention of the file.
func reasonOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// openBoot opens the boot loader without changing it.
func openBoot(c bootConfig) (*files.Boot, error) {
	b, err := files.Open(c.Dir, slotNames[:], slotNames[0], c.Attempts)
	if err != nil {
		return nil, exitf(exitConfig, "boot", "%w (see boot.dir)", err)
	}
	return b, nil
}

// openSlots describes the slots. They are made when they are first written.
func openSlots(c slotsConfig) (s [2]platform.Slot, err error) {
	for i, path := range []string{c.A, c.B} {
		size := int64(c.Size)
		if fi, err := os.Stat(path); err == nil && fi.Size() > 0 {
			size = 0 // it is as large as it is
		}
		slot, err := files.NewSlot(slotNames[i], path, size)
		if err != nil {
			return s, exitf(exitConfig, "slots", "%w (set slots.size for a file that does not exist yet)", err)
		}
		s[i] = slot
	}
	return s, nil
}

// slotsApart refuses two slots that are one file, whatever their names are, and
// a slot that is this program: what runs is never written (S10).
func slotsApart(c slotsConfig) error {
	a, b := locate(c.A), locate(c.B)
	if a.same(b) {
		return exitf(exitConfig, "slots", "%s and %s are the same file, so that the running system would be overwritten (name two files)", c.A, c.B)
	}
	self := locate("/proc/self/exe")
	for i, p := range []located{a, b} {
		if p.same(self) {
			return exitf(exitConfig, "slots", "slot %s is otad itself, which runs (name another file)", slotNames[i])
		}
	}
	return nil
}

// located is a file, or the place where one will be.
type located struct {
	file, dir fs.FileInfo
	name      string
}

func locate(path string) located {
	l := located{name: filepath.Base(path)}
	l.file, _ = os.Stat(path)
	l.dir, _ = os.Stat(filepath.Dir(path))
	return l
}

func (l located) same(o located) bool {
	if l.file != nil || o.file != nil {
		return l.file != nil && o.file != nil && os.SameFile(l.file, o.file)
	}
	return l.dir != nil && o.dir != nil && os.SameFile(l.dir, o.dir) && l.name == o.name
}

func openRecord(dir string) (*durable.Pair, error) {
	p, err := durable.OpenPair(dir, recordName)
	if err != nil {
		return nil, exitf(exitConfig, "record", "%s: %w (see state_dir)", dir, err)
	}
	return p, nil
}
