// Package script is a boot loader behind a program, for all that otad has no
// package for: one program, named in the configuration, with three verbs.
//
//	PROGRAM running    prints the name of the slot that the running system was
//	                   started from, in one line
//	PROGRAM try SLOT   makes the next starts start SLOT, on trial; of the kept
//	                   slot: ends the trial
//	PROGRAM keep       makes the running slot the kept one and ends its trial
//
// The idea is the contract of [platform.Boot], word by word: the program keeps
// it, and platform/platformtest can prove it. testdata/loader.sh is one that does.
// It exits 0 when it is done, or prints why not on standard error and exits with
// anything else. What it has changed must be on the medium before it exits, and
// it may be asked for the same thing again.
//
// It runs in / as otad's user, with nothing on standard input, and with this
// environment and no more, since otad's own may hold secrets:
//
//	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
//	LC_ALL=C
//	OTAD_SLOTS      the names of all slots, with spaces between them
//	OTAD_ATTEMPTS   how many starts a trial is to have
//
// The promise: it gets a limited time, after which it and all it has started
// are ended (W6); of its output a limited part is read; and it is not believed
// as far as it can be asked: the running slot must be a configured one, and the
// same before and after a verb that does not restart. That a change survives a
// power cut cannot be seen from here: the program promises that.
//
// It trusts the program, which is started as it is: so nobody but its owner may
// be able to change it, and its owner is root or otad's user.
package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/leapslot/ota/platform"
)

// Limits of a program.
const (
	DefaultTimeout  = 30 * time.Second // what it may take, if Config does not say
	DefaultAttempts = 3                // starts of a trial, if Config does not say
	MaxAttempts     = 100              // the most that can be configured

)

// Config says what a [Boot] needs.
type Config struct {
	// Program is the absolute path of the program.
	Program string
	// Slots are the names of all slots.
	Slots []string
	// Attempts is how many starts a trial is to have, 0 for [DefaultAttempts].
	Attempts int
	// Timeout is what each call of the program may take, 0 for [DefaultTimeout].
	Timeout time.Duration
}

// Boot is a boot loader behind a program. It implements [platform.Boot] and
// [platform.Checkable]. One goroutine at a time.
type Boot struct {
	cfg Config
}

// New makes a Boot. It looks at the program, does not run it, and changes
// nothing.
func New(cfg Config) (*Boot, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = DefaultAttempts
	}
	if cfg.Timeout < 0 || cfg.Attempts < 1 || cfg.Attempts > MaxAttempts {
		return nil, fmt.Errorf("boot script: %d attempts within %v: want 1 to %d attempts and a time", cfg.Attempts, cfg.Timeout, MaxAttempts)
	}
	if len(cfg.Slots) < 2 {
		return nil, fmt.Errorf("boot slots %q: want at least two", cfg.Slots)
	}
	for i, s := range cfg.Slots {
		if !plain(s) || slices.Contains(cfg.Slots[:i], s) {
			return nil, fmt.Errorf("boot slots %q: want different names of letters, digits, '-' and '_'", cfg.Slots)
		}
	}
	cfg.Slots = slices.Clone(cfg.Slots)
	return &Boot{cfg: cfg}, trusted(cfg.Program)
}

// plain tells whether a name goes through a shell script's hands unharmed.
func plain(slot string) bool {
	if slot == "" || len(slot) > 64 || slot[0] == '-' {
		return false
	}
	for _, r := range slot {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

// trusted refuses a program that cannot be run, and one that others can change.
func trusted(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("boot script %q: want an absolute path", path)
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("boot script: there is no %s", path)
	}
	if err != nil {
		return fmt.Errorf("boot script: %w", err)
	}
	if !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return fmt.Errorf("boot script %s: it is not an executable file (chmod 755)", path)
	}
	if st.Mode()&0o022 != 0 {
		return fmt.Errorf("boot script %s: others than its owner can change it (chmod go-w)", path)
	}
	if own, ok := st.Sys().(*syscall.Stat_t); ok && own.Uid != 0 && int(own.Uid) != os.Geteuid() {
		return fmt.Errorf("boot script %s: it belongs to user %d (chown root)", path, own.Uid)
	}
	return nil
}

// Running implements [platform.Boot]. It fails with [platform.ErrNoSlot] when
// the program names a slot that is not configured.
func (b *Boot) Running() (string, error) {
	out, err := b.run("running")
	if err != nil {
		return "", err
	}
	slot := strings.TrimSpace(out)
	if !slices.Contains(b.cfg.Slots, slot) {
		return "", fmt.Errorf("%s running: it printed %.80q, and the slots are %q: %w", b.cfg.Program, slot, b.cfg.Slots, platform.ErrNoSlot)
	}
	return slot, nil
}

// Try implements [platform.Boot]. It fails with [platform.ErrNoSlot] without
// running the program.
func (b *Boot) Try(slot string) error {
	if !slices.Contains(b.cfg.Slots, slot) {
		return fmt.Errorf("boot slot %.80q (there are %q): %w", slot, b.cfg.Slots, platform.ErrNoSlot)
	}
	return b.change("try", slot)
}

// Keep implements [platform.Boot].
func (b *Boot) Keep() error { return b.change("keep") }

// change runs a verb that changes what is started next, and never what runs.
func (b *Boot) change(verb ...string) error {
	before, err := b.Running()
	if err != nil {
		return err
	}
	if _, err := b.run(verb...); err != nil {
		return err
	}
	after, err := b.Running()
	if err == nil && after != before {
		err = fmt.Errorf("%s %s: before it the running slot was %s, after it %s: the program mixes up what runs and what is started next",
			b.cfg.Program, strings.Join(verb, " "), before, after)
	}
	return err
}

// Check implements [platform.Checkable]: the program can be run, and names a
// slot that is configured. What it writes to cannot be tried without changing
// what is started.
func (b *Boot) Check() error {
	if err := trusted(b.cfg.Program); err != nil {
		return err
	}
	_, err := b.Running()
	return err
}

// Mend implements [platform.Checkable]: the program is asked to keep what runs.
func (b *Boot) Mend() error { return b.Keep() }
