package uboot

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/leapslot/ota/platform"
)

// Limits of a trial. boot.cmd counts with single digits.
const (
	DefaultAttempts = 3 // starts that a trial has
	MaxAttempts     = 9 // the most that can be configured
)

// The variables of the contract with U-Boot.
const (
	varSlot   = "otad_slot"
	varTrial  = "otad_trial"
	varTrying = "upgrade_available"
	varCount  = "bootcount"
	varLimit  = "bootlimit"
	varCanary = "otad_canary"
)

// Config says what a [Boot] needs.
type Config struct {
	// EnvConfig is the path of fw_env.config; empty is [DefaultConfig].
	EnvConfig string
	// Slots are the names of all slots, as U-Boot's part knows them.
	Slots []string
	// Attempts is how many starts a trial has, 0 for [DefaultAttempts].
	Attempts int
	// Running says which slot the running system was started from.
	Running func() (slot string, err error)
	// Default is the text of a new environment, name=value in each line, for
	// Mend when there is nothing left to read. It must hold all that U-Boot
	// itself needs to start: with a valid environment without a bootcmd it would
	// start nothing. Empty: Mend then refuses.
	Default string
}

// Boot is U-Boot. It implements [platform.Boot], with a counter, and
// [platform.Checkable]. One goroutine at a time.
type Boot struct {
	cfg Config
	c   *copies
}

// New makes a Boot. It reads fw_env.config, not yet the environment, and
// changes nothing.
func New(cfg Config) (*Boot, error) {
	if cfg.EnvConfig == "" {
		cfg.EnvConfig = DefaultConfig
	}
	c, err := find(cfg.EnvConfig)
	if err != nil {
		return nil, err
	}
	return newOn(c, cfg)
}

func newOn(c *copies, cfg Config) (*Boot, error) {
	if cfg.Attempts == 0 {
		cfg.Attempts = DefaultAttempts
	}
	if cfg.Attempts < 1 || cfg.Attempts > MaxAttempts {
		return nil, fmt.Errorf("boot attempts %d: want 1 to %d", cfg.Attempts, MaxAttempts)
	}
	if len(cfg.Slots) < 2 || cfg.Running == nil {
		return nil, errors.New("boot: want two slots and a way to know which one is running")
	}
	for i, s := range cfg.Slots {
		if s == "" || slices.Contains(cfg.Slots[:i], s) || checkVariable(varSlot, s) != nil {
			return nil, fmt.Errorf("boot slots %q: want different names", cfg.Slots)
		}
	}
	cfg.Slots = slices.Clone(cfg.Slots)
	return &Boot{cfg: cfg, c: c}, nil
}

// Running implements [platform.Boot].
func (b *Boot) Running() (string, error) {
	slot, err := b.cfg.Running()
	if err != nil {
		return "", err
	}
	return slot, b.known(slot)
}

// Try implements [platform.Boot]. It fails with [platform.ErrNoSlot], and when
// the environment is not one that U-Boot's part could have started from.
func (b *Boot) Try(slot string) error {
	if err := b.known(slot); err != nil {
		return err
	}
	e, err := b.state()
	if err != nil {
		return err
	}
	if kept, _ := e.Get(varSlot); slot == kept {
		return b.set(e, b.settled(kept))
	}
	return b.set(e, map[string]string{
		varTrial: slot, varTrying: "1", varCount: "0", varLimit: strconv.Itoa(b.cfg.Attempts),
	})
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error {
	slot, err := b.Running()
	if err != nil {
		return err // to keep an unknown slot would be to start nothing the next time
	}
	e, err := b.state()
	if err != nil {
		return err
	}
	return b.set(e, b.settled(slot))
}

// settled are the variables of a machine that keeps slot and tries nothing.
func (b *Boot) settled(slot string) map[string]string {
	return map[string]string{
		varSlot: slot, varTrial: "", varTrying: "0", varCount: "0", varLimit: strconv.Itoa(b.cfg.Attempts),
	}
}

// set makes all changes in one write. When there is none it makes durable what
// is there: a process that was killed may have written it.
func (b *Boot) set(e *Env, change map[string]string) error {
	same := e.bad == ""
	for name, value := range change {
		old, _ := e.Get(name)
		same = same && old == value
	}
	if same {
		return b.c.settle()
	}
	if err := e.Set(change); err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	if err := e.Save(); err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	return nil
}

// state reads the environment and refuses one by which U-Boot cannot choose.
func (b *Boot) state() (*Env, error) {
	e, err := open(b.c)
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("boot environment: %w (run otad doctor before the next restart)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("boot environment: %w", err)
	}
	if err := b.valid(e); err != nil {
		return nil, fmt.Errorf("boot environment: %w (run otad doctor)", err)
	}
	return e, nil
}

// valid checks the five variables.
func (b *Boot) valid(e *Env) error {
	kept, ok := e.Get(varSlot)
	if !ok {
		return fmt.Errorf("%s is missing: otad was never set up in it", varSlot)
	}
	if err := b.known(kept); err != nil {
		return fmt.Errorf("%s: %w", varSlot, err)
	}
	switch trying, ok := e.Get(varTrying); {
	case !ok:
		return fmt.Errorf("%s is missing", varTrying)
	case trying == "0":
		return nil
	case trying != "1":
		return fmt.Errorf("%s is %.20q, want 0 or 1", varTrying, trying)
	}
	for _, name := range []string{varCount, varLimit} {
		value, _ := e.Get(name)
		if n, err := strconv.Atoi(value); err != nil || n < 0 {
			return fmt.Errorf("%s is %.20q, want a number", name, value)
		}
	}
	return nil
}

func (b *Boot) known(slot string) error {
	if !slices.Contains(b.cfg.Slots, slot) {
		return fmt.Errorf("boot slot %.40q (there are %q): %w", slot, b.cfg.Slots, platform.ErrNoSlot)
	}
	return nil
}
