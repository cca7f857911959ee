package broker

import (
	"errors"
	"os"

	"github.com/leapslot/ota"
)

// A Witness is told what passes between devices and the broker, for who keeps a record of
// it. Its methods are called by many goroutines at once, on the way of every message: they
// return at once, and change nothing of what they are given.
type Witness interface {
	// Connected: the device is connected, and how. No password is in it.
	Connected(d ota.Device, a Arrival)
	// Disconnected: it is not any more, and why.
	Disconnected(d ota.Device, why Ending)
	// Passed: a message was taken from the device, before the Sink has it, or is about to
	// be written to it. One on a topic that is none of OTA is not told.
	Passed(m Passed)
}

// Arrival is how a device has connected.
type Arrival struct {
	Remote    string `json:"remote,omitempty"`
	ClientID  string `json:"clientId,omitempty"`
	KeepAlive uint16 `json:"keepAlive,omitempty"` // seconds
	Level     byte   `json:"mqtt,omitempty"`      // 3 is MQTT 3.1, 4 is 3.1.1
	TLS       bool   `json:"tls,omitempty"`
	Gateway   string `json:"gateway,omitempty"` // whose connection it came over; then there is nothing else
}

// Passed is a message that has passed.
type Passed struct {
	Device  ota.Device
	Kind    ota.TopicKind
	Down    bool // from the cloud to the device
	QoS     byte
	Payload []byte
}

// Ending is why a connection has ended.
type Ending string

// The endings.
const (
	Goodbye  Ending = "goodbye"  // the device said so
	Closed   Ending = "closed"   // it closed the connection, or that broke
	Silent   Ending = "silent"   // nothing was heard for one and a half keep-alives
	Replaced Ending = "replaced" // the device has connected anew
	Kicked   Ending = "kicked"   // the cloud ended it: disabled, deleted, or a message could not be stored
	Protocol Ending = "protocol" // it sent what MQTT or the platform does not allow
	Unread   Ending = "unread"   // it did not read what was written to it
	Stopped  Ending = "stopped"  // the cloud has stopped
	Left     Ending = "left"     // a sub-device: its gateway logged it out, or is gone itself
)

// Endings are all of them.
func Endings() []Ending {
	return []Ending{Goodbye, Closed, Silent, Replaced, Kicked, Protocol, Unread, Stopped, Left}
}

// because notes why the connection is about to end: the first reason counts.
func (s *session) because(why Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		s.why = why
	}
}

// endFor ends the connection for a reason.
func (s *session) endFor(why Ending) bool {
	s.because(why)
	return s.end()
}

// endingOf is what an error of reading means.
func endingOf(err error) Ending {
	switch {
	case errors.Is(err, errEnd):
		return Protocol
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Silent
	}
	return Closed
}

// endingOfWrite is what an error of writing means.
func endingOfWrite(err error) Ending {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Unread
	}
	return Closed
}

func (s *session) arrived() {
	w := s.broker.config.Witness
	if w == nil {
		return
	}
	w.Connected(s.device, Arrival{Remote: remote(s.Conn), ClientID: s.clientID, KeepAlive: s.keepAlive, Level: s.level, TLS: secured(s.Conn) != nil})
	s.clientID = "" // not held for as long as the device is connected
}

func (s *session) departed() {
	if w := s.broker.config.Witness; w != nil {
		s.mu.Lock()
		why := s.why
		s.mu.Unlock()
		w.Disconnected(s.device, why)
	}
}

// saw tells the witness of a message from the device.
func (b *Broker) saw(d ota.Device, kind ota.TopicKind, qos byte, payload []byte) {
	if b.config.Witness != nil {
		b.config.Witness.Passed(Passed{d, kind, false, qos, payload})
	}
}

// sent tells it of one to the device.
func (b *Broker) sent(d ota.Device, kind ota.TopicKind, qos byte, payload []byte) {
	if b.config.Witness != nil && kind != 0 {
		b.config.Witness.Passed(Passed{d, kind, true, qos, payload})
	}
}

// endingOfSub is why a sub-device's session ends, in the code that its gateway is told.
func endingOfSub(why ota.GatewayCode) Ending {
	switch why {
	case ota.GatewayOK:
		return Left
	case ota.GatewayReplaced:
		return Replaced
	}
	return Kicked
}
