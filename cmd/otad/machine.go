package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
)

// Names in the state directory.
const (
	recordName = "record"
	spoolName  = "spool"
	canaryName = "canary"
)

// machine is what the agent holds of this device as long as it runs.
type machine struct {
	lock   *durable.Locked
	store  *durable.Pair
	spool  *durable.Spool
	boot   platform.Boot
	power  platform.Power
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

// powerOn takes the state directory, finds the boot loader and the slots. In a
// machine of files the start of this process is the boot: the boot loader
// counts it before anything else can go wrong, so that a system that cannot
// even be configured is left by itself (B8). A real one has counted already.
func powerOn(c *config, supervised bool) (*machine, error) {
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
	if err := m.start(c, supervised); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *machine) start(c *config, supervised bool) (err error) {
	if m.boot, m.bootID, err = startBoot(c); err != nil {
		return err
	}
	if m.power, err = openPower(c, m.boot, supervised); err != nil {
		return err
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

func openRecord(dir string) (*durable.Pair, error) {
	p, err := durable.OpenPair(dir, recordName)
	if err != nil {
		return nil, exitf(exitConfig, "record", "%s: %w (see state_dir)", dir, err)
	}
	return p, nil
}
