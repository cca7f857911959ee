package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/verify"
)

// Defaults and bounds of a [Config].
const (
	DefaultAttempts = 6 // the first try and P36's five
	DefaultLater    = 5 * time.Minute
	DefaultSettle   = 2 * time.Minute
	MaxDevices      = 2000 // the most sub-devices of one gateway (protocol section 1)
)

// ErrLater is what an installer wraps to be asked again later: the sub-device is in
// use, or asleep.
var ErrLater = errors.New("not now, later")

// Cloud is the gateway's end of the wire. *link.Gateway is the real one.
type Cloud interface {
	// Next waits for the next message to a sub-device, or to the gateway as such. An
	// event of Kind 0, of no device, says that there is a new connection; it comes
	// before everything that this connection brings.
	Next(ctx context.Context) (ota.Device, ota.Event, error)
	// Publish sends with QoS 0 on the connection that is there. What was published
	// before on the same connection arrives before it, or it does not arrive.
	Publish(ctx context.Context, d ota.Device, kind ota.TopicKind, payload []byte) error
	// Post sends if that is possible at once.
	Post(d ota.Device, kind ota.TopicKind, payload []byte)
}

// Downloads opens packages. *fetch.Client is the real one.
type Downloads interface {
	Open(ctx context.Context, r fetch.Request) (*fetch.Body, error)
}

// Streams is what a Downloads also is when it fetches over MQTT, together with a
// Cloud that is a Blocks. *fetch.Client and *link.Gateway are the real ones; without
// them such an update is refused.
type Streams interface {
	OpenStream(ctx context.Context, r fetch.StreamRequest) (*fetch.StreamBody, error)
}

// Blocks asks for one block of a file for a sub-device, as fetch.Blocks does.
type Blocks interface {
	Block(ctx context.Context, d ota.Device, r ota.BlockRequest, patience time.Duration) (ota.Block, error)
}

// Policy says whether a notice may be acted on, before anything of it is fetched.
// *verify.Trust is the real one.
type Policy interface {
	Check(n *ota.Notice, d verify.Device) (verify.Grant, error)
}

// Device is one behind the gateway.
type Device struct {
	ota.Device
	Secret string

	// Current is the version that the factory installed; it counts until an update
	// was installed. It is not used when Version is set.
	Current string
	// Version, when set, asks the sub-device instead: after each start, and after an
	// update, which failed when it is not the announced version by the end of
	// Config.Settle. It is called by one goroutine at a time.
	Version func(ctx context.Context) (string, error)
	// Install brings a package to the sub-device and returns when it is there. An
	// error that wraps ErrLater postpones the update. After a power cut it is called
	// again for the same package.
	Install func(ctx context.Context, u Update) error
}

// Update is what an installer is given: a package that was announced for this
// sub-device, complete and verified.
type Update struct {
	Device  ota.Device
	From    string // the version before; "" when it is not known
	Version string
	Path    string // of the file; it is removed when the update is over
	Size    int64  // bytes
	IsDiff  bool   // the package is a patch onto the version before
	UDI     string // the package's custom info
	Tags    map[string]string
}

// Config is what a gateway is made of. Gateway, Devices, Cloud, Downloads, Trust and
// Dir are required.
type Config struct {
	Gateway   ota.Device
	Devices   []Device
	Cloud     Cloud
	Downloads Downloads
	Trust     Policy
	// Dir holds the records and the packages. It is made when it is not there, only
	// its owner can look into it, and one process at a time uses it.
	Dir string

	// Attempts is how often one package is tried on a sub-device; 0 is DefaultAttempts.
	Attempts int
	// Later is the pause before an installer that said ErrLater is asked again; 0 is
	// DefaultLater.
	Later time.Duration
	// Settle is how long after its update a sub-device may take to be the announced
	// version; 0 is DefaultSettle.
	Settle time.Duration
	// Clock is the time of day, never before that of the build (K1); nil is
	// time.Now. It decides only whether what is signed is valid.
	Clock func() time.Time
	Log   *slog.Logger // nil is silent
}

func (c *Config) check() error {
	switch {
	case c.Cloud == nil, c.Downloads == nil, c.Trust == nil, c.Dir == "":
		return errors.New("gateway: Cloud, Downloads, Trust and Dir are all required")
	case len(c.Devices) > MaxDevices:
		return fmt.Errorf("gateway: %d sub-devices, the platform takes %d behind a gateway", len(c.Devices), MaxDevices)
	case c.Attempts < 0 || c.Later < 0 || c.Settle < 0:
		return errors.New("gateway: Attempts, Later and Settle are not negative")
	}
	if err := c.Gateway.Validate(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	seen := map[ota.Device]bool{c.Gateway: true}
	for _, d := range c.Devices {
		if err := d.check(); err != nil {
			return fmt.Errorf("gateway: sub-device %s: %w", d.Device, err)
		}
		if seen[d.Device] {
			return fmt.Errorf("gateway: sub-device %s is configured twice, or is the gateway itself", d.Device)
		}
		seen[d.Device] = true
	}
	return nil
}

func (d *Device) check() error {
	if err := d.Device.Validate(); err != nil {
		return err
	}
	if d.Secret == "" {
		return errors.New("it has no secret")
	}
	if d.Install == nil {
		return errors.New("it has no installer")
	}
	if d.Version != nil {
		return nil
	}
	return ota.CheckVersion(d.Current)
}

func (c *Config) setDefaults() {
	if c.Attempts == 0 {
		c.Attempts = DefaultAttempts
	}
	if c.Later == 0 {
		c.Later = DefaultLater
	}
	if c.Settle == 0 {
		c.Settle = DefaultSettle
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
