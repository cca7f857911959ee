package broker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/leapslot/ota"
)

// ServeWebSocket is [Broker.Serve] for MQTT over WebSocket, at every path.
func (b *Broker) ServeWebSocket(l net.Listener) error {
	if !b.addListener(l) {
		return ErrClosed
	}
	defer b.removeListener(l)
	up := websocket.Upgrader{
		HandshakeTimeout: ConnectTimeout,
		ReadBufferSize:   512,
		WriteBufferSize:  512,
		Subprotocols:     []string{"mqtt", "mqttv3.1"},
		// Devices send no Origin, and a page in a browser has no secret.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	srv := &http.Server{
		ReadHeaderTimeout: ConnectTimeout,
		IdleTimeout:       ConnectTimeout,
		MaxHeaderBytes:    16 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return // Upgrade has answered
			}
			c.SetReadLimit(2 * ota.MaxMessageLen) // of one WebSocket message: several packets
			b.ServeConn(&webConn{Conn: c})
		}),
	}
	defer srv.Close() // connections that have not been upgraded yet
	return b.listenError(l, srv.Serve(l))
}

// errText means that a client sent text where MQTT wants binary messages.
var errText = errors.New("a WebSocket message of MQTT is not binary")

// webConn makes a stream of bytes of WebSocket messages. Unlike other
// connections, the one below it does not want its write deadline set while it
// writes: it is kept here until the next write.
type webConn struct {
	*websocket.Conn
	message  io.Reader // the rest of the message that is being read
	deadline atomic.Pointer[time.Time]
}

// Read implements net.Conn.
func (c *webConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, r, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			c.message = r
		}
		n, err := c.message.Read(p)
		if err == io.EOF {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// Write implements net.Conn, for one goroutine at a time.
func (c *webConn) Write(p []byte) (int, error) {
	if t := c.deadline.Load(); t != nil {
		c.Conn.SetWriteDeadline(*t)
	}
	if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline implements net.Conn.
func (c *webConn) SetDeadline(t time.Time) error {
	c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn, from the next write on.
func (c *webConn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return nil
}
