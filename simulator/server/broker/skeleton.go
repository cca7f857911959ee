package broker

import (
	"net"

	"github.com/leapslot/ota"
)

// Broker is a running broker. Its methods are safe for use by many goroutines.
type Broker struct{}

// New makes a broker that serves nothing yet.
func New(c Config) (*Broker, error) { panic("not yet") }

// Serve accepts connections until the listener fails or the broker is closed
// (ErrClosed), and closes the listener. For TLS, wrap it with tls.NewListener.
func (b *Broker) Serve(l net.Listener) error { panic("not yet") }

// ServeWebSocket is Serve for MQTT over WebSocket, at every path.
func (b *Broker) ServeWebSocket(l net.Listener) error { panic("not yet") }

// ServeConn serves one connection until it ends, and closes it. With net.Pipe it
// runs in testing/synctest.
func (b *Broker) ServeConn(conn net.Conn) { panic("not yet") }

// Push queues a message of a down kind for a connected device, with QoS 1, and
// returns at once: nil, ErrOffline, ErrBusy, or what is wrong with the arguments.
// The payload must not be changed afterwards.
func (b *Broker) Push(d ota.Device, kind ota.TopicKind, payload []byte) error { panic("not yet") }

// Online reports whether the device is connected.
func (b *Broker) Online(d ota.Device) bool { panic("not yet") }

// Kick ends the device's connection, if it has one, and does not wait for the
// end: its Offline follows. A device that is disabled or deleted is kicked.
func (b *Broker) Kick(d ota.Device) bool { panic("not yet") }

// Stats gives the counters.
func (b *Broker) Stats() Stats { panic("not yet") }

// Close stops listening, ends all connections and waits until the sink has had
// their last events. Later calls wait likewise.
func (b *Broker) Close() error { panic("not yet") }
