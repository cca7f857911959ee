package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/leapslot/ota"
)

// The few packets of MQTT 3.1.1 that a measurement of brokers wants, and the
// answers to them that are successes.

const (
	keepAlive = 1200 // seconds, the most that the platform allows: nothing pings while it is measured
	packetID  = 1    // of every packet: one of a connection is under way at a time
)

var (
	connack = []byte{0x20, 2, 0, 0}
	suback  = []byte{0x90, 3, 0, packetID, 1}
	puback  = []byte{0x40, 2, 0, packetID}
)

// packet puts the fixed header before the parts of a body.
func packet(kind byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	head := []byte{kind}
	n := len(body)
	for ; n > 0x7f; n >>= 7 {
		head = append(head, byte(n)|0x80)
	}
	return append(append(head, byte(n)), body...)
}

// text is a string with its length before it.
func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// connectPacket asks for a clean session.
func connectPacket(l ota.Login) []byte {
	const userPasswordClean = 0xc2
	return packet(0x10, text("MQTT"), []byte{4, userPasswordClean, keepAlive >> 8, keepAlive & 0xff},
		text(l.ClientID), text(l.Username), text(l.Password))
}

// subscribePacket subscribes with QoS 1.
func subscribePacket(filter string) []byte {
	return packet(0x82, []byte{0, packetID}, text(filter), []byte{1})
}

// publishPacket publishes with QoS 1.
func publishPacket(topic string, payload []byte) []byte {
	return packet(0x32, text(topic), []byte{0, packetID}, payload)
}

// exchange sends a packet and wants that answer, and nothing before it.
func exchange(conn io.ReadWriter, request, answer []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("no answer to a packet %#02x: %w", request[0], err)
	}
	if !bytes.Equal(got, answer) {
		return fmt.Errorf("the answer to a packet %#02x is %x, not %x", request[0], got, answer)
	}
	return nil
}
