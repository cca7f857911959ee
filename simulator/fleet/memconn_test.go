package fleet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memoryPair is a connection without sockets that, unlike net.Pipe, takes what is written
// before it is read, as sockets do: two ends that both write first would wait for ever.
func memoryPair() (near, far net.Conn) {
	a, b := &stream{wake: make(chan struct{}, 1)}, &stream{wake: make(chan struct{}, 1)}
	return &memoryConn{a, b}, &memoryConn{b, a}
}

// stream is one direction.
type stream struct {
	mu       sync.Mutex
	data     []byte
	closed   bool
	deadline time.Time // of reading
	wake     chan struct{}
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

type memoryConn struct{ in, out *stream }

func (c *memoryConn) Read(p []byte) (int, error) {
	for {
		c.in.mu.Lock()
		if len(c.in.data) > 0 {
			n := copy(p, c.in.data)
			if c.in.data = c.in.data[n:]; len(c.in.data) == 0 {
				c.in.data = nil
			}
			c.in.mu.Unlock()
			return n, nil
		}
		closed, deadline := c.in.closed, c.in.deadline
		c.in.mu.Unlock()
		if closed {
			return 0, io.EOF
		}
		if !c.in.await(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// await waits until something has changed; false: until the deadline.
func (s *stream) await(deadline time.Time) bool {
	if deadline.IsZero() {
		<-s.wake
		return true
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-s.wake:
		return true
	case <-t.C:
		return false
	}
}

func (c *memoryConn) Write(p []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.closed {
		return 0, io.ErrClosedPipe
	}
	c.out.data = append(c.out.data, p...)
	c.out.signal()
	return len(p), nil
}

func (c *memoryConn) Close() error {
	for _, s := range []*stream{c.in, c.out} {
		s.mu.Lock()
		s.closed = true
		s.signal()
		s.mu.Unlock()
	}
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.deadline = t
	c.in.signal()
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *memoryConn) RemoteAddr() net.Addr             { return c.LocalAddr() }
