package link

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// guarded is a connection that the MQTT library can be left alone with. Every
// write has a deadline (the library sets one for a part of them only), a packet
// that would not fit in memory ends the connection before it is allocated, and
// done tells when the library has closed it for whatever reason.
type guarded struct {
	net.Conn
	done  chan struct{}
	once  sync.Once
	wmu   sync.Mutex // the library writes its pings from another goroutine
	frame framing    // owned by Read
}

func guard(conn net.Conn) *guarded { return &guarded{Conn: conn, done: make(chan struct{})} }

func (g *guarded) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if tooLong := g.frame.feed(p[:n]); tooLong != nil {
		return 0, tooLong
	}
	return n, err
}

func (g *guarded) Write(p []byte) (int, error) {
	g.wmu.Lock()
	defer g.wmu.Unlock()
	if err := g.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

func (g *guarded) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.Conn.Close()
}

// SetDeadline is what the library bounds its wait for CONNACK with.
func (g *guarded) SetDeadline(t time.Time) error { return g.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: Write sets its own.
func (g *guarded) SetWriteDeadline(time.Time) error { return nil }

// framing follows the packets of a stream of MQTT without keeping them.
type framing struct {
	body   int  // bytes left of the packet
	inSize bool // within the length field
	size   int
	shift  uint
}

// feed looks at the next bytes of the stream. An error means that a packet is
// longer than maxPacket or that its length makes no sense.
func (f *framing) feed(p []byte) error {
	for len(p) > 0 {
		if f.body > 0 {
			n := min(f.body, len(p))
			f.body, p = f.body-n, p[n:]
			continue
		}
		b := p[0]
		p = p[1:]
		if !f.inSize { // the first byte: type and flags
			f.inSize, f.size, f.shift = true, 0, 0
			continue
		}
		f.size |= int(b&0x7f) << f.shift
		f.shift += 7
		if f.size > maxPacket || f.shift > 21 && b&0x80 != 0 {
			return fmt.Errorf("the broker sent a packet of more than %d bytes", maxPacket)
		}
		if b&0x80 == 0 {
			f.inSize, f.body = false, f.size
		}
	}
	return nil
}

// wsConn is a WebSocket as a stream. One goroutine reads; guarded sees to it
// that one writes at a time.
type wsConn struct {
	*websocket.Conn
	r io.Reader // the message being read, or nil
}

func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.r == nil {
			_, r, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			c.r = r
		}
		n, err := c.r.Read(p)
		if err == io.EOF {
			c.r, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wsConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}
