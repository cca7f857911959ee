// Package broker is the cloud's end of the MQTT wire: it lets devices in,
// hands what they publish to a [Sink], and pushes what the cloud has for them.
// It knows nothing of packages, jobs and tasks.
//
// The promise: a device that did not prove its secret (or its certificate, or its
// token) is told so and gets no further; a device that did can publish and receive on
// its own topics, and a gateway on those of the sub-devices that it has logged in, and
// on no others, whatever it subscribes to. The cloud's messages reach a connected
// device without any SUBSCRIBE, and once when it did subscribe (protocol
// section 1). Nothing that arrives here panics, and no slow or hostile
// connection delays another, or the caller of [Broker.Push].
//
// Trust: bytes before a good CONNECT come from anybody, and are read with a
// deadline into a few KiB. After it they come from a device that knows its own
// secret, and nothing else is known about it.
//
// What MQTT has and the platform has not: a will is accepted and thrown away, a
// retain flag is passed over, a subscription with QoS 2 is granted QoS 1, and a
// message of QoS 2 ends the connection. Sessions are always clean: what is owed
// to a device is the engine's to remember, and to push again when the device is
// online.
//
// Inside, mochi-mqtt's codec takes the packets of signed-in devices apart and puts
// them together; its broker is not used, since nothing here goes from one device to
// another, and its read loop copies each packet twice. Nobody else imports it.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/leapslot/ota"
)

// Limits of connections (protocol section 1).
const (
	MinKeepAlive     = 30   // seconds; less, and none, is refused
	MaxKeepAlive     = 1200 // seconds; more is taken for this much
	MaxSubscriptions = 100  // of one device at a time
	MaxQueued        = 64   // messages that wait for one device
	MaxQueuedBytes   = 2 * ota.MaxMessageLen
	ConnectTimeout   = 10 * time.Second // from accepting a connection to its whole CONNECT, TLS and WebSocket included
	RegisterTimeout  = 15 * time.Second // that a client which has its new credentials stays connected
)

// Lines about refused connections and messages that are logged: a second for
// long, and at once. The next line says how many were left out.
const (
	LogRate  = 10
	LogBurst = 100
)

// Defaults of [Config].
const (
	DefaultUplinkRate  = 50  // messages a second of one device
	DefaultUplinkBurst = 200 // messages
)

// Errors of a [Directory]. Any other error it returns means that the device
// could not be looked up, and is told to the device as "server unavailable".
var (
	ErrUnknown  = errors.New("no such device")
	ErrDisabled = errors.New("the device is disabled")
)

// ErrRefused is why a [Registrar] gives nothing: who asks has no right to it.
var ErrRefused = errors.New("refused")

// Errors of [Broker.Push]. With either, the message was not sent: the job store
// sends it again when the device comes online.
var (
	ErrOffline = errors.New("the device is not connected")
	ErrBusy    = errors.New("the device does not read its messages: its queue is full")
)

// ErrClosed is what the Serve methods return after [Broker.Close].
var ErrClosed = errors.New("the broker is closed")

// A Directory knows the devices.
type Directory interface {
	// Secret gives a device's secret, or an error that wraps [ErrUnknown] or
	// [ErrDisabled]. It is called once for each CONNECT with well-formed fields,
	// from many goroutines at once; ctx ends with [ConnectTimeout].
	Secret(ctx context.Context, d ota.Device) (string, error)
}

// A Registrar gives credentials to devices that have none of their own yet
// (protocol section 1). Its methods are called by many goroutines at once, for
// connections over TLS only; ctx ends with [ConnectTimeout]. An error that wraps
// ErrRefused, ErrUnknown or ErrDisabled is told as a refusal, any other as "server
// unavailable".
type Registrar interface {
	// Register checks a registration with the product's secret and gives what the
	// device is to sign in with; fresh is without pre-registration.
	Register(ctx context.Context, d ota.Device, l ota.Login, fresh bool) (ota.Registered, error)
	// Token checks the client id and token of a device that was registered so.
	Token(ctx context.Context, d ota.Device, clientID, token string) error
}

// A Sink takes what happens. For one device its calls come one after the other
// and in this order: Online, any number of Uplink, Offline, and so on; when a
// new connection forces an old one off, the old one's Offline comes before the
// new one's Online. Calls for different devices come at the same time.
//
// A call holds the connection of the device it is for (and a new one of the same
// device), nobody else's: a Sink may make a device wait so, but it must return
// in the end, also while the program shuts down, since [Broker.Close] waits for
// it. It may call every method of the Broker but Close.
//
// A sub-device that is logged in over its gateway's connection is a device like any
// other here; what its gateway says of the topology comes as the gateway's Uplink.
type Sink interface {
	Online(d ota.Device)
	Offline(d ota.Device)
	// Uplink gets a message on one of the device's up topics, of at most
	// ota.MaxMessageLen bytes, as it came. The payload belongs to the sink. When it
	// returns, a message of QoS 1 is acknowledged; a sink that could not take the
	// message calls Kick before it returns, and it is not.
	Uplink(d ota.Device, kind ota.TopicKind, payload []byte)
}

// Config is what [New] needs.
type Config struct {
	Directory Directory
	Sink      Sink
	Logger    *slog.Logger // nil: silent. Refusals and denials are logged at Warn, as many as LogRate allows; no password is

	Registrar Registrar // nil: registrations and tokens are refused
	Gateways  Gateways  // nil: no device is a gateway

	Applications Applications // nil: no application signs in

	Witness Witness // nil: nobody keeps a record

	// ConnectsPerMinute bounds how often a device is let in; 0 is no bound. Once more
	// is told "server unavailable", and a gateway 429 for its sub-device.
	ConnectsPerMinute int

	// MaxConnections bounds the signed-in devices; 0 is no bound. One more is
	// told "server unavailable".
	MaxConnections int
	// UplinkRate is how many messages a second one device may publish for long,
	// UplinkBurst how many at once; a device that publishes more is read more
	// slowly, nothing of it is lost (F7). 0 takes the defaults, a negative
	// UplinkRate is no bound.
	UplinkRate, UplinkBurst int
}

// Stats counts what happened since [New]. Connections is the number now.
type Stats struct {
	Connections int64 // signed-in devices now
	SubDevices  int64 // sub-devices logged in over them now

	Accepted           int64 // CONNECTs answered with 0
	RefusedMalformed   int64 // no whole and correct CONNECT in time; closed without an answer, or answered 1
	RefusedParameters  int64 // CONNACK 2: client id, user name or keep-alive
	RefusedUnavailable int64 // CONNACK 3: the directory failed, or too many connections
	RefusedPassword    int64 // CONNACK 4
	RefusedUnknown     int64 // CONNACK 5: unknown or disabled
	Registered         int64 // registrations answered with credentials

	Kicked  int64 // connections ended by a newer one of the same device, or by Kick
	Uplinks int64 // messages handed to the sink
	Ignored int64 // messages on a device's own topics that are no OTA topics
	Delayed int64 // messages that had to wait for the device's rate
	Limited int64 // messages of sub-devices left out because they came too often
	Denied  int64 // publishes and subscriptions refused
	Pushed  int64 // messages written to devices
	Acked   int64 // PUBACKs received
	Dropped int64 // pushes refused with ErrBusy, or lost with the connection
}
