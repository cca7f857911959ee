package main

import (
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/files"
)

// boot looks at what the boot loader keeps: before the first update, not in it
// (B1, B2).
func (d *doctor) boot(mend bool) {
	if d.set.bootless() {
		d.add("boot", "warn", "otad run makes it", "%s does not exist yet", d.set.Boot.Dir)
		return
	}
	b, err := openBoot(&d.set.config)
	if err != nil {
		d.failed("boot", "", err)
		return
	}
	if f, ok := b.(*files.Boot); ok {
		d.bootFiles(f)
		return
	}
	running, err := b.Running()
	if err != nil {
		d.failed("boot", "", err)
		return
	}
	c, ok := b.(platform.Checkable)
	switch {
	case !ok:
		d.add("boot", "warn", "try an update on one device first", "slot %s runs; the boot loader %s cannot be looked at any further", running, d.set.Boot.Kind)
		return
	case mend && !d.mend(c):
		return
	}
	if err := c.Check(); err != nil {
		d.failed("boot", "otad doctor --mend makes it anew", err)
		return
	}
	d.ok("boot", "%s: slot %s runs; what is kept was read, and a canary written and read back", d.set.Boot.Kind, running)
}

// mend makes anew what is damaged, while no service can be in the middle of an
// update.
func (d *doctor) mend(c platform.Checkable) bool {
	if c.Check() == nil {
		return true
	}
	const todo = "stop the service (systemctl stop otad), and start it afterwards"
	if err := makeDir(d.set.StateDir, "state_dir"); err != nil {
		d.failed("boot", "", err)
		return false
	}
	lock, err := durable.Lock(d.set.StateDir)
	if err != nil {
		d.failed("boot", todo, err)
		return false
	}
	defer lock.Unlock()
	if err := c.Mend(); err != nil {
		d.failed("boot", "see [boot]", err)
		return false
	}
	d.ok("mend", "what the boot loader keeps was made anew")
	return true
}

func (d *doctor) bootFiles(b *files.Boot) {
	todo := "restore " + d.set.Boot.Dir + ", or remove it to start slot a"
	running, err := b.Running()
	if err != nil {
		d.failed("boot", todo, err)
		return
	}
	st, err := b.State()
	switch {
	case err != nil:
		d.failed("boot", todo, err)
	case st.Trial != "":
		d.ok("boot", "slot %s runs; slot %s is on trial, %s left", running, st.Trial, plural(st.Left, "attempt"))
	default:
		d.ok("boot", "slot %s runs and is kept", running)
	}
}

// openChip opens the TPM, if one is configured.
func (d *doctor) openChip() bool {
	chip, err := openTPM(&d.set.config)
	if err != nil {
		d.failed("tpm", "", err)
		return false
	}
	d.chip = chip
	return true
}

// counter looks at the security version below which nothing is installed.
func (d *doctor) counter() {
	c, err := newCounter(&d.set.config, d.chip)
	if err != nil {
		d.failed("counter", "", err)
		return
	}
	if c == nil {
		return // of the record, which was looked at
	}
	v, err := c.Value()
	if err != nil {
		d.failed("counter", "see otad tpm status", err)
		return
	}
	d.ok("counter", "the TPM's security version is %d", v)
}
