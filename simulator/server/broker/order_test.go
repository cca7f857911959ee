package broker

import (
	"encoding/binary"
	"testing"

	"github.com/leapslot/ota"
)

// What was pushed before a device's message was taken in reaches the device before the
// PUBACK of that message: it may forget what came until then.
func TestPushComesBeforePuback(t *testing.T) {
	c := newCity(lamp)
	b := newBroker(t, c)
	c.uplink = func(d ota.Device) {
		for range 3 {
			if err := b.Push(d, ota.TopicUpgrade, []byte("{}")); err != nil {
				t.Error(err)
			}
		}
	}
	conn := knock(t, b, lamp, 60)
	defer conn.Close()
	for id := range 300 {
		body := appendText(nil, ota.TopicProgress.Of(lamp))
		body = append(binary.BigEndian.AppendUint16(body, uint16(id+1)), "{}"...)
		go conn.Write(append([]byte{0x32, byte(len(body))}, body...))
		for pushed := 0; ; pushed++ {
			var head [2]byte
			if _, err := readFull(conn, head[:]); err != nil {
				t.Fatal(err)
			}
			rest := make([]byte, head[1])
			if _, err := readFull(conn, rest); err != nil {
				t.Fatal(err)
			}
			if head[0]>>4 == 4 {
				if pushed != 3 {
					t.Fatalf("round %d: the PUBACK comes after %d of 3 messages", id, pushed)
				}
				break
			}
		}
	}
}
