package fleet

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// said is a connection that has said something, in pieces of a size, and says no more.
type said struct {
	net.Conn
	rest  []byte
	piece int
	sent  bytes.Buffer
}

func (c *said) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p[:min(len(p), c.piece)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *said) Write(p []byte) (int, error)      { return c.sent.Write(p) }
func (c *said) SetReadDeadline(time.Time) error  { return nil }
func (c *said) SetWriteDeadline(time.Time) error { return nil }

// packets are what a cloud may say: a CONNACK, a small message, one of 20 KB, an answer.
func packets() []byte {
	conn := &said{}
	w := wire{conn: conn}
	_ = w.send(packetConnack, []byte{0, 0})
	_ = w.post("/a/b", []byte("payload"))
	_ = w.send(packetPublish|qos1, appendText(nil, "/large"), []byte{0, 7}, bytes.Repeat([]byte("x"), 20_000))
	_ = w.send(packetPublish, appendText(nil, "/full"), bytes.Repeat([]byte("y"), bufferSize-10))
	_ = w.send(packetPong)
	return conn.sent.Bytes()
}

// TestWire reads the same packets however they are cut up, and acknowledges what wants it.
func TestWire(t *testing.T) {
	for _, piece := range []int{1, 2, 3, 7, 1000, 4095, 4096, 1 << 20} {
		conn := &said{rest: packets(), piece: piece}
		w := wire{conn: conn}
		var kinds []byte
		var topics []string
		for {
			p, err := w.read()
			if err != nil {
				break
			}
			kinds = append(kinds, p.kind)
			if p.kind&0xf0 == packetPublish {
				topic, payload, _, err := w.message(p)
				if err != nil {
					t.Fatal(err)
				}
				topics = append(topics, string(topic))
				if string(topic) == "/large" && len(payload) != 20_000 {
					t.Errorf("pieces of %d: %d bytes", piece, len(payload))
				}
			}
			w.rest()
		}
		if want := []byte{packetConnack, packetPublish, packetPublish | qos1, packetPublish, packetPong}; !bytes.Equal(kinds, want) {
			t.Errorf("pieces of %d: packets %x, want %x", piece, kinds, want)
		}
		if got := strings.Join(topics, " "); got != "/a/b /large /full" {
			t.Errorf("pieces of %d: %s", piece, got)
		}
		if !bytes.Equal(conn.sent.Bytes(), []byte{packetPuback, 2, 0, 7}) {
			t.Errorf("pieces of %d: it answered %x", piece, conn.sent.Bytes())
		}
		if w.buf != nil {
			t.Error("a connection that waits holds a buffer")
		}
	}
}

func FuzzWire(f *testing.F) {
	f.Add(packets()[:30], 3) // a long one takes the fuzzer long
	f.Add([]byte{packetPublish, 0xff, 0xff, 0xff, 0x7f}, 1)
	f.Add([]byte{packetPublish | qos1, 4, 0, 2, 'a', 'b'}, 9)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		if piece < 1 {
			return
		}
		w := wire{conn: &said{rest: b, piece: piece}}
		for {
			p, err := w.read()
			if err != nil {
				return
			}
			if len(p.body) > maxPacket {
				t.Fatalf("a packet of %d bytes", len(p.body))
			}
			if p.kind&0xf0 == packetPublish {
				_, _, _, _ = w.message(p)
			}
			w.rest()
		}
	})
}

// TestRefusal: a refused sign-in says with which code.
func TestRefusal(t *testing.T) {
	w := wire{conn: &said{rest: []byte{packetConnack, 2, 0, 4}, piece: 4}}
	if err := w.signIn(ota.Login{}); err != refusal(4) {
		t.Errorf("%v", err)
	}
}
