package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/leapslot/ota"
)

// Broker is a running broker. Its methods are safe for use by many goroutines.
type Broker struct {
	config  Config
	log     *slog.Logger
	count   counters
	closing chan struct{}
	conns   sync.WaitGroup // ServeConn

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	strangers map[net.Conn]struct{} // connections before a good CONNECT
	sessions  map[ota.Device]*session
	subs      map[ota.Device]*sub // never one that is in sessions too

	door     door
	audience audience

	logMu    sync.Mutex
	logPace  pace
	unlogged int
}

// New makes a broker that serves nothing yet. An error names the field of the
// configuration that is missing or wrong.
func New(c Config) (*Broker, error) {
	if c.Directory == nil || c.Sink == nil {
		return nil, errors.New("the broker needs a Directory and a Sink")
	}
	if c.MaxConnections < 0 || c.UplinkBurst < 0 || c.ConnectsPerMinute < 0 {
		return nil, errors.New("MaxConnections, UplinkBurst and ConnectsPerMinute are 0 or more")
	}
	if c.UplinkRate == 0 {
		c.UplinkRate = DefaultUplinkRate
	}
	if c.UplinkBurst == 0 {
		c.UplinkBurst = DefaultUplinkBurst
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		config: c, log: log, closing: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, strangers: map[net.Conn]struct{}{}, sessions: map[ota.Device]*session{}, subs: map[ota.Device]*sub{},
		door:     door{limit: c.ConnectsPerMinute, seen: map[ota.Device][]time.Time{}},
		audience: audience{all: map[*application]struct{}{}},
		logPace:  pace{rate: LogRate, burst: LogBurst, level: LogBurst},
	}
	return b, nil
}

// Serve accepts connections until the broker is closed (ErrClosed) or the
// listener fails for good, and closes the listener. For TLS, wrap it with
// tls.NewListener.
func (b *Broker) Serve(l net.Listener) error {
	if !b.addListener(l) {
		return ErrClosed
	}
	defer b.removeListener(l)
	var pause time.Duration
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			go b.ServeConn(conn)
			continue
		}
		// Out of file descriptors, say: it passes when connections end.
		var t interface{ Temporary() bool }
		if !errors.As(err, &t) || !t.Temporary() {
			return b.listenError(l, err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		b.log.Warn("accept failed, trying again", "listener", l.Addr().String(), "why", err.Error(), "in", pause)
		select {
		case <-time.After(pause):
		case <-b.closing:
			return ErrClosed
		}
	}
}

func (b *Broker) listenError(l net.Listener, err error) error {
	select {
	case <-b.closing:
		return ErrClosed
	default:
		return fmt.Errorf("accept MQTT connections on %s: %w", l.Addr(), err)
	}
}

func (b *Broker) addListener(l net.Listener) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		l.Close()
		return false
	}
	b.listeners[l] = struct{}{}
	return true
}

func (b *Broker) removeListener(l net.Listener) {
	l.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners, l)
}

// ServeConn serves one connection until it ends, and closes it. With net.Pipe it
// runs in testing/synctest.
func (b *Broker) ServeConn(conn net.Conn) {
	defer conn.Close()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.conns.Add(1)
	b.strangers[conn] = struct{}{}
	b.mu.Unlock()
	defer b.conns.Done()
	defer b.forget(conn)
	// Signing in goes deep, and a goroutine's stack does not become small again: it has
	// one of its own, so that an idle device does not hold it for a day.
	entered := make(chan *session)
	go func() {
		deepen(5)
		entered <- b.enter(conn)
	}()
	if s := <-entered; s != nil {
		deepen(2)
		b.serve(s)
	}
}

// deepen makes a goroutine's stack larger by so many KiB, while there is next to
// nothing on it to be copied. Growing it where it is needed, step by step, with all
// that was called until then, was a tenth of what a connection costs.
//
//go:noinline
func deepen(kib int) byte {
	var room [1 << 10]byte
	if kib > 1 {
		return deepen(kib - 1)
	}
	return room[kib]
}

func (b *Broker) forget(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.strangers, conn)
}

// serve runs a session that was admitted to its end.
func (b *Broker) serve(s *session) {
	defer b.leave(s)
	defer func() {
		// mochi's codec decodes what a device sends. A packet that it is not
		// ready for must cost that device its connection and nobody else theirs.
		if p := recover(); p != nil {
			s.because(Protocol)
			b.log.Error("panic while serving a device", "device", s.device.String(), "why", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	s.wire = newWire(s.Conn, s, s.level, s.keepAlive)
	if s.wire.send(connack(codeAccepted)) != nil || !s.established() {
		return
	}
	b.count.connections.Add(1)
	if len(s.first) > 0 {
		_ = s.push(message{topic: ota.IdentityTopic, payload: s.first, qos: 1}) // the queue is empty
	}
	s.arrived()
	b.config.Sink.Online(s.device)
	s.because(endingOf(s.wire.read(s.handle))) // unless the cloud has ended it, or the device said goodbye
}

// leave gives the device's place back and tells the sink. The order is the one
// that Sink promises: no message is being written and none will be read, the
// device is offline for Push, then Offline, then whoever waits for the place.
func (b *Broker) leave(s *session) {
	s.end()
	s.writers.Wait()
	b.endSubs(s)
	if s.up {
		b.count.connections.Add(-1)
		b.config.Sink.Offline(s.device)
		s.departed()
	}
	b.mu.Lock()
	if b.sessions[s.device] == s {
		delete(b.sessions, s.device) // only now: who comes next has to find whom to wait for
	}
	b.mu.Unlock()
	close(s.done)
}

func (b *Broker) session(d ota.Device) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[d]
}

// Push queues a message of a down kind for a connected device, with QoS 1 (what only
// gateways get: 0), and returns at once: nil, ErrOffline, ErrBusy, or what is wrong with the arguments.
// nil does not mean that the device has it. The payload must not be changed
// afterwards.
func (b *Broker) Push(d ota.Device, kind ota.TopicKind, payload []byte) error {
	if !kind.Down() {
		return fmt.Errorf("nothing is pushed on topics of kind %d", kind)
	}
	if len(payload) > ota.MaxMessageLen {
		return fmt.Errorf("a message of %d bytes, allowed are %d", len(payload), ota.MaxMessageLen)
	}
	s := b.carrier(d)
	if s == nil {
		return ErrOffline
	}
	return s.push(message{topic: kind.Of(d), payload: payload, qos: qosOf(kind), of: d, kind: kind})
}

// Online reports whether the device is connected, or logged in over its gateway.
func (b *Broker) Online(d ota.Device) bool {
	s := b.carrier(d)
	return s != nil && s.online()
}

// Kick ends the device's connection, if it has one, and does not wait for the
// end: its Offline follows. A device that is disabled or deleted is kicked. The
// connection of a sub-device's gateway stays, and is told.
func (b *Broker) Kick(d ota.Device) bool {
	s := b.session(d)
	if s == nil {
		return b.KickSub(d, ota.GatewayDisabled)
	}
	if !s.endFor(Kicked) {
		return false
	}
	b.count.kicked.Add(1)
	return true
}

// Close stops listening, ends all connections and waits until the sink has had
// their last events. Later calls wait likewise.
func (b *Broker) Close() error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.closing)
	}
	for l := range b.listeners {
		l.Close()
	}
	for conn := range b.strangers {
		conn.Close()
	}
	sessions := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		sessions = append(sessions, s)
	}
	b.mu.Unlock()
	for _, s := range sessions {
		s.endFor(Stopped)
	}
	b.conns.Wait()
	return nil
}
