package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/internal/disk"
)

// Limits of a trial.
const (
	// DefaultAttempts is how many boots a system on trial has to be kept in.
	DefaultAttempts = 3
	// MaxAttempts is the largest number of attempts that can be configured.
	MaxAttempts = 100
)

// envName is the name of the environment's two copies: boot.0 and boot.1.
const envName = "boot"

// Boot is a boot loader in a directory. It implements [platform.Boot], with a
// counter. One process at a time may call PowerOn, Try and Keep; others may
// look.
type Boot struct {
	slots    []string
	first    string // what runs on a machine that was never powered on
	attempts int
	env      *durable.Pair
}

// environment is what the boot loader remembers.
type environment struct {
	Kept    string `json:"kept"`              // the slot that is started for good
	Trial   string `json:"trial,omitempty"`   // the slot on trial, if any
	Left    int    `json:"left,omitempty"`    // attempts the trial still has
	Running string `json:"running,omitempty"` // what the last PowerOn started
	Boots   uint64 `json:"boots"`             // how often PowerOn started something
}

// Open opens the boot loader in the directory dir, which must exist. It changes
// nothing. slots are the names of all slots, first is the one that a machine
// which was never powered on starts, and attempts is how many boots a trial
// has, 0 for [DefaultAttempts].
func Open(dir string, slots []string, first string, attempts int) (*Boot, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("boot directory: %w (make it)", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("boot directory: %s is not a directory", dir)
	}
	return openOn(disk.OS{}, dir, slots, first, attempts)
}

func openOn(d disk.Disk, dir string, slots []string, first string, attempts int) (*Boot, error) {
	if attempts == 0 {
		attempts = DefaultAttempts
	}
	if attempts < 1 || attempts > MaxAttempts {
		return nil, fmt.Errorf("boot attempts %d: want 1 to %d", attempts, MaxAttempts)
	}
	b := &Boot{slots: slices.Clone(slots), first: first, attempts: attempts}
	for i, s := range slots {
		if s == "" || slices.Contains(slots[:i], s) {
			return nil, fmt.Errorf("boot slots %q: want different names", slots)
		}
	}
	if err := b.known(first); err != nil {
		return nil, err
	}
	var err error
	b.env, err = durable.OpenPairOn(d, dir, envName)
	return b, err
}

// PowerOn is the boot loader itself: it decides which slot is started, and
// returns its name when that is durable. Call it once when the machine starts,
// before anything else looks at it.
//
// A trial's attempt is counted before the system is started, since afterwards
// there may be nobody left to count. Nothing is counted while no update is on
// trial, so that no number of power cuts can undo a system that was kept.
func (b *Boot) PowerOn() (running string, err error) {
	e, err := b.load()
	if err != nil {
		return "", err
	}
	e.Boots++
	switch {
	case e.Trial == "":
		e.Running = e.Kept
	case e.Left > 0 && b.known(e.Trial) == nil:
		e.Left--
		e.Running = e.Trial
	default: // never kept, or a slot that is gone: back
		e.Trial, e.Left = "", 0
		e.Running = e.Kept
	}
	return e.Running, b.save(e)
}

// BootID names this power-on: it is another one after each PowerOn, and never
// again the same, so that who remembers it knows whether the machine was
// started since. Before the first PowerOn it is "0".
func (b *Boot) BootID() (string, error) {
	e, err := b.load()
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(e.Boots, 10), nil
}

// Running implements [platform.Boot]. On a machine that was never powered on
// it is the slot that would be started.
func (b *Boot) Running() (slot string, err error) {
	e, err := b.load()
	if err != nil {
		return "", err
	}
	if e.Running == "" {
		return e.Kept, nil
	}
	return e.Running, nil
}

// Try implements [platform.Boot]. It fails with [platform.ErrNoSlot].
func (b *Boot) Try(slot string) error {
	if err := b.known(slot); err != nil {
		return err
	}
	e, err := b.load()
	if err != nil {
		return err
	}
	next := e
	next.Trial, next.Left = slot, b.attempts
	if slot == e.Kept {
		next.Trial, next.Left = "", 0
	}
	if next == e {
		return nil // which is also kinder to flash memory
	}
	return b.save(next)
}

// Keep implements [platform.Boot]. It fails on a machine that was never
// powered on, since nothing runs there.
func (b *Boot) Keep() error {
	e, err := b.load()
	if err != nil {
		return err
	}
	if e.Running == "" {
		return errors.New("boot: nothing was started yet, so there is nothing to keep")
	}
	if err := b.known(e.Running); err != nil {
		return err // to keep it would be to start nothing the next time
	}
	next := e
	next.Kept, next.Trial, next.Left = e.Running, "", 0
	if next == e {
		return nil
	}
	return b.save(next)
}

// State is what a person who looks into the boot loader wants to see.
type State struct {
	Kept  string // the slot that is started for good
	Trial string // the slot that is started next on trial, or empty
	Left  int    // attempts that the trial still has
}

// State reads the boot loader's environment.
func (b *Boot) State() (State, error) {
	e, err := b.load()
	return State{Kept: e.Kept, Trial: e.Trial, Left: e.Left}, err
}

func (b *Boot) known(slot string) error {
	if !slices.Contains(b.slots, slot) {
		return fmt.Errorf("boot slot %q (there are %q): %w", slot, b.slots, platform.ErrNoSlot)
	}
	return nil
}

// load reads the environment. One that is damaged is an error: to start from
// the default then could undo, or finish, an update behind everybody's back.
func (b *Boot) load() (environment, error) {
	data, err := b.env.Load()
	if errors.Is(err, durable.ErrNone) {
		return environment{Kept: b.first}, nil
	}
	if errors.Is(err, durable.ErrDamaged) {
		return environment{}, fmt.Errorf("boot environment: %w (remove both to start from slot %s)", err, b.first)
	}
	if err != nil {
		return environment{}, fmt.Errorf("boot environment: %w", err)
	}
	e, err := b.parse(data)
	if err != nil {
		return environment{}, fmt.Errorf("boot environment %s: %w", b.env.Path(0), err)
	}
	return e, nil
}

// parse reads an environment and refuses one that nothing could be started by.
func (b *Boot) parse(data []byte) (environment, error) {
	var e environment
	if err := json.Unmarshal(data, &e); err != nil {
		return environment{}, err
	}
	if err := b.known(e.Kept); err != nil {
		return environment{}, fmt.Errorf("the kept slot is not configured: %w", err)
	}
	if e.Left < 0 || e.Left > MaxAttempts {
		return environment{}, fmt.Errorf("%d attempts left: want 0 to %d", e.Left, MaxAttempts)
	}
	return e, nil
}

func (b *Boot) save(e environment) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	if err := b.env.Save(data); err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	return nil
}

// Supervised is the power button of a machine of files: its supervisor starts
// it again when the process ends. It implements [platform.Power].
type Supervised struct{}

// Reboot implements [platform.Power]: the process may end.
func (Supervised) Reboot(context.Context) error { return nil }
