package broker

import (
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// session is the connection of a device that has signed in, and what the platform
// does with its packets.
//
// Messages to the device wait in a short queue, which is filled under a lock that
// is never held over a write, so that a device that does not read stops nobody, and
// emptied by a goroutine that exists only while there is something in it. An idle
// device costs none.
//
// As a net.Conn it gives first what was read behind the CONNECT.
type session struct {
	net.Conn
	broker *Broker
	device ota.Device
	wire   *wire         // nil until it was admitted
	ended  chan struct{} // closed by end
	done   chan struct{} // closed when the sink has had the Offline

	// Of the goroutine that reads.
	level     byte     // of MQTT
	keepAlive uint16   // seconds
	ahead     []byte   // what is read before the socket
	topics    []string // subscribed
	first     []byte   // what the device is told of itself before anything else
	clientID  string   // until the witness was told
	pace      pace
	denied    int
	telemetry string // the last topic of no OTA kind that was found to be the device's own

	mu      sync.Mutex
	closed  bool
	why     Ending // why it ends, as soon as that is known
	up      bool   // CONNACK was sent
	queue   []message
	bytes   int // payloads in the queue and in the writer's hand
	writing bool
	lastID  uint16
	writers sync.WaitGroup
	owed    int // messages that the device has yet to acknowledge
	room    int // sub-devices that share the queue

	subs map[ota.Device]*sub // guarded by Broker.mu; nil without any
}

// message waits to be written; or, with an ack, the PUBACK of a packet with that id.
type message struct {
	topic   string
	payload []byte
	qos     byte
	ack     uint16

	of   ota.Device // whose it is, for the witness
	kind ota.TopicKind
}

func newSession(b *Broker, conn net.Conn, d ota.Device) *session {
	return &session{
		Conn: conn, broker: b, device: d,
		ended: make(chan struct{}), done: make(chan struct{}),
		pace: newPace(b.config),
	}
}

// Read implements net.Conn.
func (s *session) Read(p []byte) (int, error) {
	if len(s.ahead) == 0 {
		s.ahead = nil
		return s.Conn.Read(p)
	}
	n := copy(p, s.ahead)
	s.ahead = s.ahead[n:]
	return n, nil
}

// end closes the connection and does not wait; false: it had ended before. Its
// queue is lost: the engine sends again when the device is back.
func (s *session) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	close(s.ended)
	s.Conn.Close()
	s.broker.count.dropped.Add(int64(len(s.queue)))
	s.queue = nil
	return true
}

// established opens the session for pushes, CONNACK being sent. It reports whether
// the device is online now: it may have been kicked in the meantime.
func (s *session) established() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.up = true
	return true
}

// online reports whether CONNACK was sent and the session has not ended.
func (s *session) online() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up && !s.closed
}

// push queues a message, or says why not. It never waits for the device.
func (s *session) push(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up || s.closed {
		return ErrOffline
	}
	if len(s.queue) >= MaxQueued*(1+s.room) || s.bytes+len(m.payload) > MaxQueuedBytes*min(1+s.room, maxRoom) {
		s.broker.count.dropped.Add(1)
		return ErrBusy
	}
	s.enqueue(m)
	s.bytes += len(m.payload)
	return nil
}

// acked notes that the device has acknowledged a message.
func (s *session) acked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = max(s.owed-1, 0)
}

// enqueue wakes the writer where there is none. s.mu is held.
func (s *session) enqueue(m message) {
	s.queue = append(s.queue, m)
	if !s.writing {
		s.writing = true
		s.writers.Add(1)
		go s.write()
	}
}

// ack answers a message of the device, behind what was pushed before: a device that gets
// the PUBACK of its last word may rely on having seen every notice from before it. The
// writer sends it, so that the reader never waits for a device that waits for the reader.
// Only when too much is queued the reader sends it itself, and reads no more until then.
func (s *session) ack(id uint16) bool {
	s.mu.Lock()
	if len(s.queue) < MaxQueued*(1+s.room) {
		s.enqueue(message{ack: id})
		s.mu.Unlock()
		return true
	}
	s.mu.Unlock()
	return s.wire.puback(id) == nil
}

// write sends what is queued, and ends when nothing is. It is unblocked by end,
// and by the deadline of the device's keep-alive.
func (s *session) write() {
	defer s.writers.Done()
	for {
		m, id, ok := s.next()
		if !ok {
			return
		}
		if m.ack != 0 {
			if s.wire.puback(m.ack) != nil {
				s.end()
			}
			continue
		}
		s.broker.sent(m.of, m.kind, m.qos, m.payload) // before the device can answer it
		err := s.wire.write(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.qos},
			TopicName:   m.topic, Payload: m.payload, PacketID: id,
		})
		s.mu.Lock()
		s.bytes -= len(m.payload)
		s.mu.Unlock()
		if err != nil {
			s.broker.count.dropped.Add(1)
			s.endFor(endingOfWrite(err)) // half a packet may be on the wire
			continue
		}
		s.broker.count.pushed.Add(1)
	}
}

// next takes the oldest message and gives it a packet id. Ids go round without a
// look at what is not acknowledged yet: a device would have to owe the PUBACKs of
// 65,535 messages to meet one again, and a PUBACK sets nothing off here.
func (s *session) next() (message, uint16, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.writing = false
		s.queue = nil // an idle device holds no memory for it
		return message{}, 0, false
	}
	m := s.queue[0]
	s.queue[0] = message{}
	s.queue = s.queue[1:]
	if m.ack != 0 {
		return m, 0, true
	}
	if m.qos > 0 {
		s.owed++
	}
	s.lastID++
	if s.lastID == 0 {
		s.lastID = 1
	}
	return m, s.lastID, true
}

// pace is a bucket of messages that a device may publish.
type pace struct {
	rate, burst float64 // a second, at once; rate < 0: no bound
	level       float64
	last        time.Time
}

func newPace(c Config) pace {
	return pace{rate: float64(c.UplinkRate), burst: float64(c.UplinkBurst), level: float64(c.UplinkBurst)}
}

// take counts one message at now and says how long it has to wait.
func (p *pace) take(now time.Time) time.Duration {
	if p.rate < 0 {
		return 0
	}
	if !p.last.IsZero() {
		p.level = min(p.burst, p.level+p.rate*now.Sub(p.last).Seconds())
	}
	p.last = now
	p.level--
	if p.level >= 0 {
		return 0
	}
	return time.Duration(-p.level / p.rate * float64(time.Second))
}
