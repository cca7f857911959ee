// Package platform is the machine under the agent: the slots a system can live
// in, the boot loader that chooses between them, and the power button. It is
// not the cloud.
//
// The promise: whatever is interrupted, the device starts either the old system
// or the new one, whole. A system on trial that is not kept is left by the boot
// loader itself, without any help from the system that turned out to be bad.
//
// The interfaces are small on purpose. What only some machines can do is an
// optional interface of its own, found by a type assertion. Every
// implementation of [Boot] passes the suite in platform/platformtest.
package platform

import (
	"context"
	"errors"
	"io"
)

// Errors that callers act on. They are wrapped in a text that says which slot
// or file, and why.
var (
	// ErrBusy means that somebody else has the slot, or the state directory, open.
	ErrBusy = errors.New("in use by another process")
	// ErrNoSlot means that a slot of that name does not exist.
	ErrNoSlot = errors.New("no such slot")
	// ErrRunning means that the slot holds the running system and is not to be written.
	ErrRunning = errors.New("the slot holds the running system")
)

// Slot is a place where a whole system image can live: a partition, a UBI
// volume, or an ordinary file. A Slot is safe for use by one goroutine at a time.
type Slot interface {
	// Name is the slot's short name as the boot loader's settings know it, "a" or "b".
	Name() string
	// Size is how many bytes an image may have at most.
	Size() (int64, error)
	// Open opens the slot for reading, and with write also for writing, which
	// excludes every other writer (ErrBusy).
	Open(write bool) (Medium, error)
}

// Medium is an opened slot. Offsets are bytes from its start. A write beyond
// [Slot.Size] fails and changes nothing.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when everything written before is on the medium.
	Sync() error
	io.Closer
}

// Uncached is the optional ability of a [Medium] to forget what the operating
// system has cached of it, so that what is read next comes from the medium.
// Call it after Sync.
type Uncached interface {
	DropCache() error
}

// Trimmable is the optional ability of a [Medium] to give back what lies beyond an
// image: flash that knows of it is faster, and wears less. What is read there
// afterwards is anything.
type Trimmable interface {
	Trim(from int64) error
}

// Boot is the boot loader, in three verbs. All three are durable when they
// return nil and may be called again with the same end.
type Boot interface {
	// Running names the slot that the running system was started from.
	Running() (slot string, err error)
	// Try makes the next boots start slot, on trial: if Keep is not called
	// there within the boot loader's attempts, it goes back to the kept slot
	// by itself. Try of the kept slot ends a trial: its left attempts are
	// given up and the next boot starts the kept slot.
	Try(slot string) error
	// Keep makes the running slot the one that is started from now on and ends
	// its trial, if it was on one.
	Keep() error
}

// Checkable is the optional ability of a [Boot] whose state lies outside of the
// running system, where it can be damaged or may never have been made (B1, B2).
type Checkable interface {
	// Check looks at all that the boot loader reads, proves that it can be
	// written (a canary, read back), and changes nothing that is started. Its
	// error says what is wrong and whether Mend helps.
	Check() error
	// Mend makes the state anew from what can still be read of it, so that the
	// running slot is the kept one and nothing is on trial.
	Mend() error
}

// RebootArgument is the optional ability of a [Boot] whose trial is started only
// by a restart that says so. An empty argument is a plain restart.
type RebootArgument interface {
	RebootArgument() (string, error)
}

// Power restarts the machine. Reboot returns nil when the restart is under way
// or, for a machine that its supervisor starts again, when the process may end.
type Power interface {
	Reboot(ctx context.Context) error
}
