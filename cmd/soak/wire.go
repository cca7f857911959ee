package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/leapslot/ota"
)

// Packet types of MQTT 3.1.1, as the first byte has them.
const (
	packetConnect = 0x10
	packetConnack = 0x20
	packetPublish = 0x30
	packetPuback  = 0x40
	qos1          = 0x02
)

const (
	maxPacket   = 256 << 10
	wireTimeout = 10 * time.Second
	keepAlive   = 600 // seconds; a session is shorter
)

// wire is the little of MQTT that a device needs, in the goroutine that calls it.
type wire struct {
	net.Conn
	in   *bufio.Reader
	next uint16
	got  [][]byte // payloads that came while something else was waited for
}

// dial signs a device in.
func dial(addr string, c ota.Credentials) (*wire, error) {
	login, err := c.Login()
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", addr, wireTimeout)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, in: bufio.NewReaderSize(conn, 1024)}
	body := append(text(nil, "MQTT"), 4, 0xc2, keepAlive>>8, keepAlive&0xff) // level 4; user, password, clean session
	for _, s := range []string{login.ClientID, login.Username, login.Password} {
		body = text(body, s)
	}
	_ = conn.SetDeadline(time.Now().Add(wireTimeout))
	if err = w.send(packetConnect, body); err == nil {
		var kind byte
		if kind, body, err = w.read(); err == nil && (kind != packetConnack || len(body) != 2 || body[1] != 0) {
			err = fmt.Errorf("the sign-in was answered with %x %x", kind, body)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func (w *wire) send(kind byte, body []byte) error {
	packet := binary.AppendUvarint([]byte{kind}, uint64(len(body))) // MQTT counts as protobuf does
	_, err := w.Write(append(packet, body...))
	return err
}

func (w *wire) read() (kind byte, body []byte, err error) {
	if kind, err = w.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(w.in)
	if err != nil || n > maxPacket {
		return 0, nil, errors.Join(err, fmt.Errorf("a packet of %d bytes", n))
	}
	body = make([]byte, n)
	_, err = io.ReadFull(w.in, body)
	return kind, body, err
}

// publish sends a message and returns nil when it was acknowledged.
func (w *wire) publish(topic string, payload []byte) error {
	w.next++
	body := binary.BigEndian.AppendUint16(text(nil, topic), w.next)
	_ = w.SetDeadline(time.Now().Add(wireTimeout))
	if err := w.send(packetPublish|qos1, append(body, payload...)); err != nil {
		return err
	}
	for {
		kind, body, err := w.read()
		if err != nil {
			return err
		}
		if kind&0xf0 == packetPuback && len(body) == 2 && binary.BigEndian.Uint16(body) == w.next {
			return nil
		}
		if err := w.take(kind, body); err != nil {
			return err
		}
	}
}

// receive gives the next message, or an error at the deadline.
func (w *wire) receive(until time.Time) ([]byte, error) {
	_ = w.SetDeadline(until)
	for len(w.got) == 0 {
		kind, body, err := w.read()
		if err == nil {
			err = w.take(kind, body)
		}
		if err != nil {
			return nil, err
		}
	}
	m := w.got[0]
	w.got = w.got[1:]
	return m, nil
}

// take acknowledges a message and keeps it.
func (w *wire) take(kind byte, body []byte) error {
	if kind&0xf0 != packetPublish {
		return nil
	}
	if len(body) < 2 || len(body) < 4+int(binary.BigEndian.Uint16(body)) {
		return errors.New("a message that is cut off")
	}
	body = body[2+binary.BigEndian.Uint16(body):]
	if kind&0x06 == qos1 {
		if err := w.send(packetPuback, body[:2]); err != nil {
			return err
		}
		body = body[2:]
	}
	w.got = append(w.got, body)
	return nil
}
