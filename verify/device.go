package verify

import "time"

// Device is what a package is held against: the device that would install it.
type Device struct {
	// Product is the device's product key. A manifest for another one is refused.
	Product string
	// Version is what runs of the notice's module, the source of a patch.
	Version string
	// SecurityVersion is the Counter's value: what is below it was replaced for
	// a reason and never comes back (fault T9).
	SecurityVersion uint64
	// Now is the time, never below that of the build (fault K1). A zero one is
	// not known: then nothing whose validity is limited is accepted.
	Now time.Time
}

// Grant is what a signed manifest says of a package that may be installed. Its
// zero value means that nothing beyond the notice is signed. When Manifest is
// true the installer compares all of the package and all of the image with it,
// whatever the digests of the notice are: SHA-256 in lower-case hexadecimal,
// sizes in bytes.
type Grant struct {
	Manifest        bool
	PackageSize     int64
	PackageSHA256   string
	ImageSize       int64
	ImageSHA256     string
	SourceSize      int64  // of a patch: the image that it is applied to
	SourceSHA256    string // empty: the manifest does not name it
	SecurityVersion uint64 // the Counter is raised to it when the image is kept
}

// Counter is the security version of the system that is kept: a number that
// never falls. It is raised when a new system is kept, never while it is on
// trial, so that a trial that fails can go back.
type Counter interface {
	Value() (uint64, error)
	// Raise is durable when it returns nil. It changes nothing when the value
	// is to already, or above.
	Raise(to uint64) error
}

// MemoryCounter is a Counter for tests: it is forgotten with the process. It is
// not safe for use by several goroutines.
type MemoryCounter struct{ value uint64 }

// Value is the highest that it was raised to.
func (c *MemoryCounter) Value() (uint64, error) { return c.value, nil }

// Raise lifts the value, and never lowers it.
func (c *MemoryCounter) Raise(to uint64) error {
	c.value = max(c.value, to)
	return nil
}
