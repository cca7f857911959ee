package fleet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/leapslot/ota"
)

// Packets of MQTT 3.1.1, as the first byte has them.
const (
	packetConnect    = 0x10
	packetConnack    = 0x20
	packetPublish    = 0x30
	packetPuback     = 0x40
	packetPing       = 0xc0
	packetPong       = 0xd0
	packetDisconnect = 0xe0

	flagQoS = 0x06
	flagDup = 0x08
	qos1    = 0x02
)

const (
	bufferSize   = 4 << 10              // of a connection that is reading; one that waits has none
	maxPacket    = 2 * ota.MaxBlockSize // a block, its JSON and its topic
	wireTimeout  = 30 * time.Second
	keepAliveSec = 1200 // the most that the platform allows (protocol section 1)
	pingEvery    = 10 * time.Minute
)

// buffers lends what a connection reads into while packets come. A device that waits
// for its cloud, which is nearly always, holds none.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// packet is what came. Its body is good until the next one is read.
type packet struct {
	kind byte
	body []byte
}

// wire is the little of MQTT that a device needs, in the goroutine that calls it: no
// goroutine and no buffer of its own.
type wire struct {
	conn net.Conn
	buf  *[bufferSize]byte // nil while nothing has been read ahead
	r, w int16             // what was read ahead
	next uint16            // the last packet id
	got  uint8             // bytes in head that are not in buf
	head [2]byte
}

// refusal is a CONNACK that is none of success.
type refusal byte

func (r refusal) Error() string {
	return fmt.Sprintf("the broker refused the sign-in with code %d", byte(r))
}

// signIn sends CONNECT with a clean session and waits for the answer: nil, a
// [refusal], or what broke. The deadline of the connection is the caller's.
func (w *wire) signIn(l ota.Login) error {
	const userPasswordClean = 0xc2
	body := make([]byte, 0, 256)
	body = appendText(body, "MQTT")
	body = append(body, 4, userPasswordClean, keepAliveSec>>8, keepAliveSec&0xff)
	for _, s := range [...]string{l.ClientID, l.Username, l.Password} {
		body = appendText(body, s)
	}
	if err := w.send(packetConnect, body); err != nil {
		return err
	}
	p, err := w.read()
	if err != nil {
		return err
	}
	if p.kind != packetConnack || len(p.body) != 2 {
		return fmt.Errorf("the sign-in was answered with a packet %#02x of %d bytes", p.kind, len(p.body))
	}
	if p.body[1] != 0 {
		return refusal(p.body[1])
	}
	return nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// send writes a packet with one write.
func (w *wire) send(kind byte, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, 5+n)
	b = binary.AppendUvarint(append(b, kind), uint64(n)) // MQTT counts as protobuf does
	for _, p := range parts {
		b = append(b, p...)
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(wireTimeout))
	_, err := w.conn.Write(b)
	return err
}

// post publishes with QoS 0.
func (w *wire) post(topic string, payload []byte) error {
	return w.send(packetPublish, appendText(nil, topic), payload)
}

// publish publishes with QoS 1 and gives the id that will be acknowledged.
func (w *wire) publish(topic string, payload []byte) (id uint16, err error) {
	if w.next++; w.next == 0 {
		w.next = 1
	}
	head := binary.BigEndian.AppendUint16(appendText(make([]byte, 0, len(topic)+4), topic), w.next)
	return w.next, w.send(packetPublish|qos1, head, payload)
}

// message takes a PUBLISH apart, and acknowledges it.
func (w *wire) message(p packet) (topic, payload []byte, again bool, err error) {
	b := p.body
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return nil, nil, false, errCut
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	topic, payload = b[2:n], b[n:]
	if p.kind&flagQoS != 0 {
		if len(payload) < 2 {
			return nil, nil, false, errCut
		}
		err = w.send(packetPuback, payload[:2])
		payload = payload[2:]
	}
	return topic, payload, p.kind&flagDup != 0, err
}

var errCut = errors.New("a message that is cut off")

// rest gives the buffer back when nothing is read ahead: the device goes to wait.
func (w *wire) rest() {
	if w.buf != nil && w.r == w.w {
		buffers.Put(w.buf)
		w.buf, w.r, w.w = nil, 0, 0
	}
}

// ahead reports whether something was read that is no packet yet.
func (w *wire) ahead() bool { return w.got > 0 || w.w > w.r }

// read gives the next packet.
func (w *wire) read() (packet, error) {
	if w.buf == nil {
		// Two bytes, the shortest packet, are waited for without a buffer.
		n := int(w.got)
		if w.got = 0; n == 0 {
			var err error
			if n, err = w.conn.Read(w.head[:]); err != nil {
				return packet{}, err
			}
		}
		w.buf = buffers.Get().(*[bufferSize]byte)
		copy(w.buf[:], w.head[:n])
		w.r, w.w = 0, int16(n)
	}
	head, n, err := w.length()
	if err != nil {
		if w.r != w.w {
			err = fmt.Errorf("in the middle of a packet: %v", err) // a deadline is the end of the connection here
		}
		return packet{}, err
	}
	if n > maxPacket {
		return packet{}, fmt.Errorf("a packet of %d bytes", n)
	}
	kind := w.buf[w.r]
	w.r += int16(head)
	if n > bufferSize {
		return w.large(kind, n)
	}
	if err := w.fill(n); err != nil {
		return packet{}, fmt.Errorf("in the middle of a packet: %v", err)
	}
	p := packet{kind, w.buf[w.r : int(w.r)+n]}
	w.r += int16(n)
	return p, nil
}

// length reads the fixed header: its own length, and that of the body.
func (w *wire) length() (head, n int, err error) {
	for have := 2; ; have++ {
		if err := w.fill(have); err != nil {
			return 0, 0, err
		}
		v, used := binary.Uvarint(w.buf[w.r+1 : int(w.r)+have])
		if used > 0 {
			return 1 + used, int(v), nil
		}
		if used < 0 || have == 5 {
			return 0, 0, errors.New("the length of a packet has more than 4 bytes")
		}
	}
}

// fill reads until n bytes are there.
func (w *wire) fill(n int) error {
	if int(w.w-w.r) >= n {
		return nil
	}
	if int(w.r)+n > bufferSize {
		copy(w.buf[:], w.buf[w.r:w.w])
		w.w -= w.r
		w.r = 0
	}
	for int(w.w-w.r) < n {
		got, err := w.conn.Read(w.buf[w.w:])
		w.w += int16(got)
		if err != nil && int(w.w-w.r) < n {
			return err
		}
	}
	return nil
}

// large reads a packet that the buffer does not take.
func (w *wire) large(kind byte, n int) (packet, error) {
	body := make([]byte, n)
	had := copy(body, w.buf[w.r:w.w])
	w.r += int16(had)
	if _, err := io.ReadFull(w.conn, body[had:]); err != nil {
		return packet{}, fmt.Errorf("in the middle of a packet: %v", err)
	}
	return packet{kind, body}, nil
}

// drop forgets what was read ahead; the connection is closed already.
func (w *wire) drop() {
	w.r, w.got = w.w, 0
	w.rest()
	w.conn = nil
}
