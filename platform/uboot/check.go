package uboot

import (
	"errors"
	"fmt"
)

// Check implements [platform.Checkable]: every copy is whole, the variables are
// there and valid, and the canary variable otad_canary is written, read back
// and removed again, which writes both copies of a redundant environment once.
func (b *Boot) Check() error {
	e, err := open(b.c)
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("boot environment: %w (%s)", err, b.remedy())
	}
	if err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	if e.Damage() != "" {
		return fmt.Errorf("boot environment: one copy is damaged, the other is used: %s (mend it)", e.Damage())
	}
	if err := b.valid(e); err != nil {
		return fmt.Errorf("boot environment: %w (mend it)", err)
	}
	if err := canary(e); err != nil {
		return fmt.Errorf("boot environment: it cannot be written: %w (mending does not help: look at fw_env.config and the medium)", err)
	}
	return nil
}

func (b *Boot) remedy() string {
	if b.cfg.Default == "" {
		return "to mend it a default environment is needed, which has all that U-Boot itself needs to start"
	}
	return "mend it"
}

// canary writes a variable that nobody reads, and removes it.
func canary(e *Env) error {
	value := "1"
	if old, _ := e.Get(varCanary); old == value { // left by a check that was cut off
		value = "2"
	}
	for _, v := range []string{value, ""} {
		if err := e.Set(map[string]string{varCanary: v}); err != nil {
			return err
		}
		if err := e.Save(); err != nil {
			return err
		}
		if got, _ := e.Get(varCanary); got != v {
			return fmt.Errorf("%s is %.20q, and %q was written", varCanary, got, v)
		}
	}
	return nil
}

// Mend implements [platform.Checkable]: all copies are written anew, from the
// one that is whole, else from Config.Default, with the running slot kept and
// nothing on trial.
func (b *Boot) Mend() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	e, err := open(b.c)
	if errors.Is(err, ErrDamaged) {
		if b.cfg.Default == "" {
			return fmt.Errorf("boot environment: %w (%s)", err, b.remedy())
		}
		e.vars, err = parseText(b.cfg.Default)
		if err != nil {
			return fmt.Errorf("default environment: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	if err := e.Set(b.settled(slot)); err != nil {
		return fmt.Errorf("boot environment: %w", err)
	}
	// Twice: the second writes the copy that the first has left alone.
	for range b.c.places {
		if err := e.Save(); err != nil {
			return fmt.Errorf("boot environment: %w", err)
		}
	}
	return nil
}
