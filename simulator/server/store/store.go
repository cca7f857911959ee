// Package store keeps what the cloud knows. It answers one question: what is still
// there after the process, or the machine, has died?
//
// A Store takes batches of changed values, each conditional on the revision that it
// replaces, and a batch is stored whole or not at all. When Commit has returned
// nil the batch survives kill -9 and a power cut. It has no rules of its own.
//
// SQLite is the embedded one. The interface asks for nothing that PostgreSQL has
// not: conditional updates, one short transaction for each batch, pages by key.
package store

import (
	"context"
	"errors"

	"github.com/leapslot/ota/simulator"
)

// Errors that callers act on; they are wrapped in a text that says what was done.
var (
	// ErrConflict means that a row was not at the revision that a change expects:
	// somebody else writes to the same store. Nothing of the batch is stored.
	ErrConflict = errors.New("changed by someone else")
	// ErrBusy means that the database is locked by another process.
	ErrBusy = errors.New("database is locked by another process")
	// ErrFull means that there is no space left.
	ErrFull = errors.New("no space left for the database")
	// ErrReadOnly means that the database cannot be written.
	ErrReadOnly = errors.New("database cannot be written")
	// ErrVersion means that the database was written by a newer program.
	ErrVersion = errors.New("database was written by a newer version")
)

// Store is what the engine needs.
type Store interface {
	// Load reads the working state.
	Load(ctx context.Context) (*simulator.State, error)
	// Commit stores a batch whole, or nothing of it. Only one caller at a time.
	Commit(ctx context.Context, ch *simulator.Changes) error
	Close() error
}

// Page selects a part of a list. Number counts from 1; a Size of 0 is 10.
type Page struct {
	Number int
	Size   int
}

// TaskFilter selects tasks; empty fields do not restrict. Product restricts Devices,
// which are names.
type TaskFilter struct {
	IDs     []string
	Job     string
	Product string
	Devices []string
	Module  string
	Status  simulator.TaskStatus
	Active  bool // only those that have not ended

	// Step and Reason select by what a task ended with, when Status is Failed.
	Step   *int
	Reason string
}

// JobFilter selects jobs; empty fields do not restrict. Device is a name within
// Product: jobs that have a task of it.
type JobFilter struct {
	Account string
	Product string
	Package string
	Device  string
	Status  simulator.JobStatus
}

// PackageFilter selects packages; empty fields do not restrict.
type PackageFilter struct {
	Account string
	Product string
	Module  string
	Version string
}

// DeviceFilter selects devices; empty fields do not restrict. IotID finds one. Prefix
// is what their names begin with.
type DeviceFilter struct {
	Product string
	IotID   string
	Prefix  string
}

// Lists reads pages of what is stored, newest first (devices: in the order of their
// registration), and how many there are in all. Safe for concurrent use, beside
// Commit too. A device's Online is never set here: ask the engine.
type Lists interface {
	Tasks(ctx context.Context, f TaskFilter, p Page) ([]simulator.Task, int, error)
	Jobs(ctx context.Context, f JobFilter, p Page) ([]simulator.Job, int, error)
	Packages(ctx context.Context, f PackageFilter, p Page) ([]simulator.Package, int, error)
	Devices(ctx context.Context, f DeviceFilter, p Page) ([]simulator.Device, int, error)
	Products(ctx context.Context, account string, p Page) ([]simulator.Product, int, error)
	Audit(ctx context.Context, f AuditFilter, p Page) ([]simulator.AuditEntry, int, error)
}

// Outbox is what waits to be told to applications: Commit puts it there, with the change
// that it tells of. Safe for use beside Commit, by one caller.
type Outbox interface {
	Events(ctx context.Context, most int) ([]Waiting, error)
	Delivered(ctx context.Context, id int64) error
}

// Keys are the access keys. Safe for concurrent use, beside Commit and beside other
// processes.
type Keys interface {
	AddKey(ctx context.Context, k AccessKey) error
	RemoveKey(ctx context.Context, id string, at simulator.Stamp) error
	FindKey(ctx context.Context, id string) (AccessKey, error)
	ListKeys(ctx context.Context) ([]AccessKey, error)
}
