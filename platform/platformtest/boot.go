// Package platformtest is the contract of package platform as a test suite.
// Every boot loader passes [TestBoot] and every kind of slot [TestSlot]; an
// agent that was written against the contract then runs on all of them.
package platformtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/leapslot/ota/platform"
)

// Machine is one machine with two slots, made for a test. What stands for the
// boot loader must be as real as it can be: the point of the suite is what it
// does after the system has failed.
type Machine interface {
	// PowerOn starts the machine, or starts it again whatever state it is in:
	// its boot loader runs, and the returned Boot is what the freshly started
	// system sees. After a power cut it is the way back; what was not durable
	// then is gone. It returns nil when the power was cut while it ran.
	PowerOn(t testing.TB) platform.Boot
	// CutAt lets the power fail at the n-th durable step from now: 1 is the
	// next. 0 takes the order back. A step is whatever the machine can be
	// interrupted between: a write, an fsync, a command of the boot loader.
	CutAt(n int)
	// Off tells whether the power has failed since the last PowerOn.
	Off() bool
}

// Harness makes machines.
type Harness struct {
	// Kept is the slot that a fresh machine runs, Spare the other one.
	Kept, Spare string
	// Attempts is how many boots a trial has.
	Attempts int
	// NoCut says why the power of these machines cannot be cut, if it cannot:
	// the cases that do so are skipped with it.
	NoCut string
	// New makes a fresh machine.
	New func(t testing.TB) Machine
}

// maxSteps bounds the search for the last step of a scenario.
const maxSteps = 10_000

// TestBoot proves that a [platform.Boot] keeps its contract.
func TestBoot(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"Fresh", fresh},
		{"TryThenBoot", tryThenBoot},
		{"NotKeptGoesBack", notKept},
		{"KeptStays", kept},
		{"B10Twice", twice},
		{"LeaveASickTrial", leave},
		{"TryOfKeptBeforeTheBoot", takeBack},
		{"KeepBeforeTheBoot", keepFirst},
		{"TryAgainRefillsAttempts", refill},
		{"BackAndForth", backAndForth},
		{"W8PlainBootsDoNotCount", plainBoots},
		{"UnknownSlot", unknownSlot},
		{"W1CutAtEveryStep", cutEverywhere},
		{"W3CutWhileLeaving", cutLeaving},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// device is a machine with the words that the cases are written in.
type device struct {
	t    testing.TB
	m    Machine
	boot platform.Boot
}

func start(t testing.TB, h Harness) *device {
	t.Helper()
	d := &device{t: t, m: h.New(t)}
	d.powerOn()
	return d
}

func (d *device) powerOn() {
	d.t.Helper()
	if d.boot = d.m.PowerOn(d.t); d.boot == nil {
		d.t.Fatal("the machine does not start")
	}
}

func (d *device) running() string {
	d.t.Helper()
	slot, err := d.boot.Running()
	if err != nil {
		d.t.Fatalf("Running: %v", err)
	}
	return slot
}

func (d *device) runs(want, when string) {
	d.t.Helper()
	if got := d.running(); got != want {
		d.t.Fatalf("%s: runs %s, want %s", when, got, want)
	}
}

func (d *device) try(slot string) {
	d.t.Helper()
	if err := d.boot.Try(slot); err != nil {
		d.t.Fatalf("Try(%s): %v", slot, err)
	}
}

func (d *device) keep() {
	d.t.Helper()
	if err := d.boot.Keep(); err != nil {
		d.t.Fatalf("Keep: %v", err)
	}
}

// boots starts the machine n times and wants the same slot each time.
func (d *device) boots(n int, want, when string) {
	d.t.Helper()
	for i := range n {
		d.powerOn()
		d.runs(want, fmt.Sprintf("%s, boot %d", when, i+1))
	}
}

func fresh(t *testing.T, h Harness) {
	d := start(t, h)
	d.runs(h.Kept, "fresh machine")
	d.boots(2, h.Kept, "fresh machine")
	d.keep()
	d.boots(2, h.Kept, "after a Keep of what is kept")
}

func tryThenBoot(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.runs(h.Kept, "before the boot")
	d.powerOn()
	d.runs(h.Spare, "after the boot")
}

func notKept(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.boots(h.Attempts, h.Spare, "on trial")
	d.boots(h.Attempts+2, h.Kept, "trial used up")
}

func kept(t *testing.T, h Harness) {
	for attempt := 1; attempt <= h.Attempts; attempt++ {
		d := start(t, h)
		d.try(h.Spare)
		d.boots(attempt, h.Spare, "on trial")
		d.keep()
		d.runs(h.Spare, "after Keep")
		d.boots(2*h.Attempts+1, h.Spare, "kept")
	}
}

func twice(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.try(h.Spare)
	d.powerOn()
	d.runs(h.Spare, "Try twice")
	d.keep()
	d.keep()
	d.boots(h.Attempts+1, h.Spare, "Keep twice")
	d.try(h.Kept)
	d.powerOn()
	d.try(h.Spare) // which is the kept one now: rollback, and again
	d.try(h.Spare)
	d.boots(2, h.Spare, "rollback twice")
	d.keep()
	d.keep()
	d.boots(h.Attempts+1, h.Spare, "rolled back")
}

// leave is how an agent leaves a system that started and is not healthy.
func leave(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.powerOn()
	d.runs(h.Spare, "on trial")
	d.try(h.Kept)
	d.runs(h.Spare, "before the boot")
	d.boots(h.Attempts+1, h.Kept, "left")
	d.keep()
	d.boots(h.Attempts+1, h.Kept, "left for good")
	d.try(h.Spare)
	d.boots(h.Attempts, h.Spare, "the next trial has all its attempts")
}

func takeBack(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.try(h.Kept)
	d.boots(h.Attempts+1, h.Kept, "taken back")
}

// keepFirst: what runs is what is started from now on, whatever was tried.
func keepFirst(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.keep()
	d.boots(h.Attempts+1, h.Kept, "kept instead")
}

func refill(t *testing.T, h Harness) {
	d := start(t, h)
	d.try(h.Spare)
	d.boots(h.Attempts, h.Spare, "on trial")
	d.powerOn()
	d.runs(h.Kept, "trial used up")
	d.try(h.Spare)
	d.boots(h.Attempts, h.Spare, "second trial")
	d.powerOn()
	d.runs(h.Kept, "second trial used up")
}

func backAndForth(t *testing.T, h Harness) {
	d := start(t, h)
	from, to := h.Kept, h.Spare
	for range 4 {
		d.runs(from, "before the update")
		d.try(to)
		d.powerOn()
		d.runs(to, "on trial")
		d.keep()
		d.boots(h.Attempts+1, to, "kept")
		from, to = to, from
	}
}

func plainBoots(t *testing.T, h Harness) {
	d := start(t, h)
	d.boots(3*h.Attempts+1, h.Kept, "nothing on trial")
	d.try(h.Spare)
	d.boots(h.Attempts, h.Spare, "the trial has all its attempts")
	d.powerOn()
	d.runs(h.Kept, "trial used up")
}

func unknownSlot(t *testing.T, h Harness) {
	d := start(t, h)
	for _, slot := range []string{"", h.Kept + "x", "no such slot", "../" + h.Kept} {
		if err := d.boot.Try(slot); !errors.Is(err, platform.ErrNoSlot) {
			t.Errorf("Try(%q): %v, want ErrNoSlot", slot, err)
		}
	}
	d.boots(h.Attempts+1, h.Kept, "after a Try of nothing")
}
