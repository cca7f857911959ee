package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/verify"
)

// Defaults and bounds of a [Config].
const (
	DefaultAttempts      = 6 // the first try and P36's five
	DefaultHealthTimeout = 5 * time.Minute
	sendTimeout          = 30 * time.Second
	askTimeout           = 30 * time.Second
	owedRetry            = 30 * time.Second

	// AliveEvery is how often Config.Alive is called at least.
	AliveEvery = 30 * time.Second
)

// Cloud is the agent's end of the wire. *link.Link is the real one.
type Cloud interface {
	// Events gives what the cloud sends, and an event of Kind 0 each time the
	// connection is up. A message that is lost here is sent again by the cloud
	// when the device next connects.
	Events() <-chan ota.Event
	// Send returns nil once the cloud has acknowledged the message.
	Send(ctx context.Context, kind ota.TopicKind, payload []byte) error
	// Post sends the message if that is possible at once.
	Post(kind ota.TopicKind, payload []byte)
}

// Downloads opens packages. *fetch.Client is the real one.
type Downloads interface {
	Open(ctx context.Context, r fetch.Request) (*fetch.Body, error)
}

// Streams is what a Downloads also is when it fetches over MQTT, together with a
// Cloud that is a fetch.Blocks. *fetch.Client and *link.Link are the real ones;
// without them such a package is refused.
type Streams interface {
	OpenStream(ctx context.Context, r fetch.StreamRequest) (*fetch.StreamBody, error)
}

// Spool is the one file that a package is kept in while it comes, when it
// cannot go straight into a slot. *durable.Spool is the real one.
type Spool interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	// Free is how many bytes more the file system takes.
	Free() (int64, error)
}

// Policy says whether a notice may be acted on, before anything of it is
// fetched. *verify.Trust is the real one.
type Policy interface {
	Check(n *ota.Notice, d verify.Device) (verify.Grant, error)
}

// Module is an upgradable part of the device (P8).
type Module struct {
	Name string
	// Version is what the factory installed; it counts until the agent has
	// installed another.
	Version string
	// ReadVersion, when set, asks the running system instead: it is called once
	// after each start, for a module outside of the slots also after an update,
	// and what is not then the version that was announced is sick.
	ReadVersion func(context.Context) (string, error)
	// ReportOnly marks a module whose version is reported and that this agent
	// does not upgrade.
	ReportOnly bool
	// Folder, File or Script, when one of them is set, is where a module lives that
	// is not in the slots. Exactly one module of a device has none of them and is
	// not ReportOnly: the system.
	Folder *Folder
	File   *File
	Script *Script
	// Restart has whoever uses such a module take up a version, and says whether that
	// went well; nil: nobody has to. It is bounded by HealthTimeout, may wrap
	// [ErrLater], and may be called more than once for the same version.
	Restart func(ctx context.Context, version string) error
}

func (m Module) system() bool { return !m.ReportOnly && m.target() == nil }

// Config is what an agent is made of. The first group and BootID are required.
type Config struct {
	Modules   []Module
	Cloud     Cloud
	Downloads Downloads
	Slots     [2]platform.Slot
	Boot      platform.Boot
	Power     platform.Power
	Store     Store
	Spool     Spool
	Trust     Policy

	// TrustBundles is the policy for bundles; nil: Trust is. A bundle needs a manifest
	// in any case, so one that requires nothing else is right.
	TrustBundles Policy
	// OpenBundle looks into a file for Install, and believes nothing of it; nil:
	// nothing is installed without the cloud.
	OpenBundle func(r io.ReaderAt, size int64) (Bundle, error)

	// Product is the device's product key, which a manifest must name.
	Product string
	// Clock is the time of day, never before that of the build (K1); nil is
	// time.Now. Intervals are not measured by it, so that it may jump (K2).
	Clock func() time.Time
	// Counter keeps systems with known holes out; nil is a number in the record.
	// It is raised when a new system is kept.
	Counter verify.Counter

	// BootID differs from boot to boot and is the same within one:
	// /proc/sys/kernel/random/boot_id on Linux.
	BootID string
	// Health says whether the system on trial is well; nil: it is when it runs. It
	// may wrap [ErrLater], and is then asked again.
	Health func(context.Context) error
	// HealthCloud wants the cloud to be reached for a system to be well.
	HealthCloud bool
	// HealthTimeout bounds both; 0 is DefaultHealthTimeout.
	HealthTimeout time.Duration
	// Alive, when set, is called from the agent's own goroutine while it makes
	// progress or rightly waits, for a watchdog to be kept quiet by: at least every
	// AliveEvery, but for a health check, an installer or a restart command, which
	// have limits of their own, and for the reading back of a slot.
	Alive func()
	// Attempts is how often one package of a module is tried; 0 is DefaultAttempts.
	Attempts int
	// PatchUnknownSource allows a patch onto a running image whose digest nobody
	// recorded.
	PatchUnknownSource bool
	// Log gets what happens; nil is silence.
	Log *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.Cloud == nil, c.Downloads == nil, c.Slots[0] == nil, c.Slots[1] == nil, c.Boot == nil,
		c.Power == nil, c.Store == nil, c.Spool == nil, c.Trust == nil:
		return errors.New("agent: Cloud, Downloads, Slots, Boot, Power, Store, Spool and Trust are all required")
	case c.BootID == "":
		return errors.New("agent: BootID is required: without it a boot that fell back looks like one that has not happened yet")
	case c.Slots[0].Name() == c.Slots[1].Name():
		return fmt.Errorf("agent: both slots are named %q", c.Slots[0].Name())
	}
	seen, systems := map[string]bool{}, 0
	for _, m := range c.Modules {
		if err := ota.CheckModule(m.Name); err != nil {
			return fmt.Errorf("agent: %w", err)
		}
		if seen[m.Name] {
			return fmt.Errorf("agent: module %q is configured twice", m.Name)
		}
		seen[m.Name] = true
		if m.ReadVersion == nil {
			if err := ota.CheckVersion(m.Version); err != nil {
				return fmt.Errorf("agent: module %s: %w", m.Name, err)
			}
		}
		if m.ReportOnly && m.target() != nil {
			return fmt.Errorf("agent: module %s has a place to be upgraded in, and is never upgraded", m.Name)
		}
		if m.Folder != nil && (m.File != nil || m.Script != nil) || m.File != nil && m.Script != nil {
			return fmt.Errorf("agent: module %s lives in more than one place", m.Name)
		}
		if m.system() {
			systems++
		}
	}
	if systems != 1 {
		return fmt.Errorf("agent: %d modules live in the slots, wanted is exactly one", systems)
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.HealthTimeout == 0 {
		c.HealthTimeout = DefaultHealthTimeout
	}
	if c.Attempts == 0 {
		c.Attempts = DefaultAttempts
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// firstMessageID makes message ids of two runs differ.
func firstMessageID() int64 {
	var b [3]byte
	rand.Read(b[:])
	return int64(b[0])<<16 | int64(b[1])<<8 | int64(b[2])
}
