package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/spf13/cobra"
)

// doctorCloudTimeout is how long the doctor waits for the cloud.
const doctorCloudTimeout = 20 * time.Second

// finding is one line of the doctor.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warn or fail
	Text  string `json:"text"`
	Todo  string `json:"todo,omitempty"`
}

// doctor looks at one thing after the other.
type doctor struct {
	app      *app
	set      *settings
	build    build
	chip     chip      // nil without a TPM
	running  bool      // the service is
	status   apiStatus // of it
	findings []finding
}

func (a *app) doctorCommand() *cobra.Command {
	var recordSlot, mend bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find what would make an update fail, before there is one",
		Long: `Looks at everything an update needs and says what is wrong and what to do. Exits
with 1 when something is. While the service runs its connection is looked at;
otherwise the doctor signs in to the cloud itself.

With --record-slot it also records length and SHA-256 of the image that runs, so
that a first patch onto an image of the factory is accepted. The service must be
stopped for that.

With --mend what the boot loader keeps is made anew when it is damaged or never
was made: the running slot is then the kept one, and nothing is on trial.`,
		Example: `  otad doctor
  systemctl stop otad && otad doctor --record-slot; systemctl start otad`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			d := &doctor{app: a, build: thisBuild()}
			d.look(c.Context(), recordSlot, mend)
			return d.print()
		},
	}
	c.Flags().BoolVar(&recordSlot, "record-slot", false, "record the digest of the running image")
	c.Flags().BoolVar(&mend, "mend", false, "mend what the boot loader keeps")
	a.outputFlag(c)
	a.socketFlag(c)
	return c
}

func (d *doctor) ok(check, format string, args ...any) { d.add(check, "ok", "", format, args...) }

func (d *doctor) add(check, state, todo, format string, args ...any) {
	d.findings = append(d.findings, finding{check, state, fmt.Sprintf(format, args...), todo})
}

// failed adds an error, whose text says what to do itself when todo is empty.
func (d *doctor) failed(check, todo string, err error) { d.add(check, "fail", todo, "%v", err) }

func (d *doctor) look(ctx context.Context, recordSlot, mend bool) {
	set, err := d.app.load()
	if err != nil {
		d.failed("config", "otad config check says it all", err)
		return
	}
	d.set = set
	d.ok("config", "%s", set.file)
	d.running = d.app.call(ctx, "doctor", http.MethodGet, "/v1/status", &d.status) == nil
	d.state()
	d.record()
	d.boot(mend)
	d.slots()
	d.folders()
	if recordSlot {
		d.recordSlot(ctx)
	}
	if d.openChip() {
		defer closeTPM(d.chip)
		d.secret()
		d.counter()
	}
	d.keys()
	d.clock(time.Now())
	if d.chip != nil || d.set.Device.TPM+d.set.Device.Token == "" {
		d.cloud(ctx)
	}
}

func (d *doctor) state() {
	dir := d.set.StateDir
	switch err := writeCanary(dir); {
	case errors.Is(err, fs.ErrNotExist):
		d.add("state", "warn", "otad run makes it", "%s does not exist yet", dir)
	case err != nil:
		d.add("state", "fail", "mount it writable, or set state_dir to another directory", "%s: %v", dir, reasonOf(err))
	default:
		d.ok("state", "%s: written, synced and read back", dir)
	}
}

func (d *doctor) record() {
	l, err := d.set.look()
	switch {
	case d.fresh():
		d.ok("record", "none yet, otad has not run here")
	case err != nil:
		d.failed("record", "", err)
	case l.status.Stage != agent.Idle:
		d.ok("record", "an update to %s is at %s", l.status.Notice.Version, l.status.Stage)
	default:
		d.ok("record", "readable, no update is under way")
	}
}

// fresh reports whether otad run never was here: what it makes is not missing.
func (d *doctor) fresh() bool {
	_, state := os.Stat(d.set.StateDir)
	return errors.Is(state, fs.ErrNotExist) || d.set.bootless()
}

func (d *doctor) slots() {
	if err := slotsApart(d.set.Slots); err != nil {
		d.failed("slots", "", err)
		return
	}
	slots, err := openSlots(d.set.Slots)
	if err != nil {
		d.failed("slots", "", err)
		return
	}
	running := slotNames[0] // which a machine that was never started starts
	if b, err := openBoot(&d.set.config); err == nil {
		running, _ = b.Running()
	}
	for i, s := range slots {
		d.slot(s, []string{d.set.Slots.A, d.set.Slots.B}[i], s.Name() == running)
	}
}

// slot opens a slot as an update would: the spare one for writing.
func (d *doctor) slot(s platform.Slot, path string, running bool) {
	check := "slot " + s.Name()
	size, err := s.Size()
	if err != nil {
		d.failed(check, "see slots."+s.Name(), err)
		return
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() == 0 {
		d.ok(check, "%s does not exist yet, it will take %s", path, bytesText(size))
		return
	}
	m, err := s.Open(!running)
	switch {
	case errors.Is(err, platform.ErrBusy) && d.running:
		d.ok(check, "%s takes %s, and is being written by the service", path, bytesText(size))
		return
	case err != nil:
		d.failed(check, "see slots."+s.Name(), err)
		return
	}
	m.Close()
	what := "spare"
	if running {
		what = "running"
	}
	d.ok(check, "%s takes %s, %s", path, bytesText(size), what)
}

func (d *doctor) recordSlot(ctx context.Context) {
	const check = "record-slot"
	// In the factory otad has not run yet: what it makes is made here.
	for key, dir := range map[string]string{"state_dir": d.set.StateDir, "boot.dir": d.set.Boot.Dir} {
		if dir == "" {
			continue
		}
		if err := makeDir(dir, key); err != nil {
			d.failed(check, "", err)
			return
		}
	}
	lock, err := durable.Lock(d.set.StateDir)
	if err != nil {
		d.failed(check, "stop the service (systemctl stop otad), and start it afterwards", err)
		return
	}
	defer lock.Unlock()
	slot, err := d.runningSlot()
	if err != nil {
		d.failed(check, "", err)
		return
	}
	store, err := openRecord(d.set.StateDir)
	if err != nil {
		d.failed(check, "", err)
		return
	}
	im, err := agent.RecordSlot(ctx, store, slot, 0)
	if err != nil {
		d.failed(check, "", err)
		return
	}
	d.ok(check, "slot %s: %d bytes, SHA-256 %s", slot.Name(), im.Size, im.SHA256)
}

func (d *doctor) runningSlot() (platform.Slot, error) {
	b, err := openBoot(&d.set.config)
	if err != nil {
		return nil, err
	}
	running, err := b.Running()
	if err != nil {
		return nil, err
	}
	slots, err := openSlots(d.set.Slots)
	if err != nil {
		return nil, err
	}
	if slots[1].Name() == running {
		return slots[1], nil
	}
	return slots[0], nil
}
