package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// Limits of packets.
const (
	maxPacketLen = 1 + 4 + 2 + ota.MaxTopicLen + 2 + ota.MaxMessageLen
	readBuffer   = 512 // bytes of each connection; a report of progress fits
)

// deadlineEvery is the part of the keep-alive in which the deadline is set once: to
// set it is a system's timer, and for each packet it was a tenth of what a message
// costs.
const deadlineEvery = 16

// wire is the MQTT of one connection that has signed in. The packets are taken apart
// and put together by mochi's codec; when to read, write and give up is decided here.
// One goroutine reads; any may write.
type wire struct {
	conn      net.Conn
	in        *bufio.Reader
	level     byte          // of MQTT
	keepAlive time.Duration // 0: none
	heard     time.Time     // when the last packet had come
	armed     time.Time     // when the deadline was last set
	armEvery  time.Duration

	turn sync.Mutex // of those who write
}

// newWire reads from in, and writes to conn.
func newWire(conn net.Conn, in io.Reader, level byte, keepAlive uint16) *wire {
	w := &wire{conn: conn, in: bufio.NewReaderSize(in, readBuffer), level: level, keepAlive: time.Duration(keepAlive) * time.Second}
	if _, web := conn.(*webConn); !web { // which cannot be read again after its deadline
		w.armEvery = w.keepAlive / deadlineEvery
	}
	return w
}

// read hands every packet that comes to handle, until that or the connection fails.
// The packet is handle's until it returns, its payload for good; its texts are parts
// of the payload's memory.
func (w *wire) read(handle func(*packets.Packet) error) error {
	if err := w.conn.SetDeadline(time.Time{}); err != nil { // that of the CONNECT
		return err
	}
	var pk packets.Packet
	for {
		w.heard = time.Now()
		if w.heard.Sub(w.armed) >= w.armEvery {
			if err := w.arm(); err != nil {
				return err
			}
		}
		pk = packets.Packet{ProtocolVersion: w.level}
		if err := w.next(&pk); err != nil {
			return err
		}
		if err := handle(&pk); err != nil {
			return err
		}
	}
}

// arm gives the device one and a half of its keep-alive from its last packet on for
// the next one (MQTT 3.1.1, 3.1.2.10), and for reading what is written to it.
func (w *wire) arm() error {
	if w.keepAlive == 0 {
		return nil
	}
	w.armed = time.Now()
	return w.conn.SetDeadline(w.due())
}

func (w *wire) due() time.Time { return w.heard.Add(w.keepAlive + w.keepAlive/2) }

// first waits for the first byte of a packet. The deadline that ends it may have been
// set for a packet before the last one, and is then set again.
func (w *wire) first() (byte, error) {
	for {
		b, err := w.in.ReadByte()
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(w.due()) {
			return b, err
		}
		if err := w.arm(); err != nil {
			return 0, err
		}
	}
}

// next reads one packet.
func (w *wire) next(pk *packets.Packet) error {
	first, err := w.first()
	if err != nil {
		return err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return err
	}
	if err := w.want(1); err != nil {
		return err
	}
	n, _, err := packets.DecodeLength(w.in)
	if err != nil {
		return err
	}
	if n > maxPacketLen {
		return fmt.Errorf("a packet of %d bytes, allowed are %d", n, maxPacketLen)
	}
	pk.FixedHeader.Remaining = n
	if err := w.want(n); err != nil {
		return err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(w.in, body); err != nil {
		return err
	}
	return decode(pk, body)
}

// want is called before so many bytes of a packet are read: one that has not come yet
// has all of its time.
func (w *wire) want(n int) error {
	if w.in.Buffered() >= n {
		return nil
	}
	return w.arm()
}

// decode takes apart what a device may send; the others have no fields that anybody
// would look at.
func decode(pk *packets.Packet, body []byte) error {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return pk.PublishDecode(body)
	case packets.Puback:
		return pk.PubackDecode(body)
	case packets.Subscribe:
		return pk.SubscribeDecode(body)
	case packets.Unsubscribe:
		return pk.UnsubscribeDecode(body)
	}
	return nil
}

// errKind is a packet that is never written here.
var errKind = errors.New("not a packet that a server sends")

// write sends a packet and may wait for whoever writes, and for the device.
func (w *wire) write(pk packets.Packet) error {
	pk.ProtocolVersion = w.level
	var buf bytes.Buffer
	err := errKind
	switch pk.FixedHeader.Type {
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Suback:
		err = pk.SubackEncode(&buf)
	case packets.Unsuback:
		err = pk.UnsubackEncode(&buf)
	case packets.Pingresp:
		err = pk.PingrespEncode(&buf)
	}
	if err != nil {
		return err
	}
	return w.send(buf.Bytes())
}

// puback is write for the packet that there are most of.
func (w *wire) puback(id uint16) error {
	return w.send([]byte{packets.Puback << 4, 2, byte(id >> 8), byte(id)})
}

func (w *wire) send(b []byte) error {
	w.turn.Lock()
	defer w.turn.Unlock()
	_, err := w.conn.Write(b)
	return err
}
