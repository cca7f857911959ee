package main

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// What a relay does with bytes of a device.
type verdict int

const (
	forward verdict = iota
	lose            // the connection ends before the bytes have passed
	mute            // they pass, and the connection ends before the answer does
)

// relay is the way of devices to their broker. It can be cut.
type relay struct {
	l  net.Listener
	to string

	mu     sync.Mutex
	down   bool
	conns  []net.Conn
	opened int                    // connections that were let through
	came   []byte                 // all that the broker sent
	judge  func(b []byte) verdict // of what a device sends; nil lets all pass
}

func newRelay(t *testing.T, to string) *relay {
	r := &relay{l: listenOn(t, "127.0.0.1:0"), to: to}
	go r.accept()
	t.Cleanup(func() { r.l.Close(); r.cut() })
	return r
}

func (r *relay) url() string { return "mqtt://" + r.l.Addr().String() }

func (r *relay) accept() {
	for {
		near, err := r.l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		far, err := net.Dial("tcp", r.to)
		if r.down || err != nil {
			r.mu.Unlock()
			near.Close()
			if err == nil {
				far.Close()
			}
			continue
		}
		r.conns = append(r.conns, near, far)
		r.opened++
		r.mu.Unlock()
		quiet := make(chan struct{})
		go r.up(near, far, quiet)
		go r.back(near, far, quiet)
	}
}

// up brings what the device sends to the broker.
func (r *relay) up(near, far net.Conn, quiet chan struct{}) {
	defer near.Close()
	defer far.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := near.Read(buf)
		r.mu.Lock()
		say := forward
		if r.judge != nil {
			say = r.judge(buf[:n])
		}
		r.mu.Unlock()
		if say == lose || err != nil {
			return
		}
		if say == mute {
			close(quiet)
		}
		far.Write(buf[:n])
		if say == mute {
			time.Sleep(300 * time.Millisecond) // the broker has stored it by then
			return
		}
	}
}

// back brings what the broker sends to the device.
func (r *relay) back(near, far net.Conn, quiet chan struct{}) {
	defer near.Close()
	defer far.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := far.Read(buf)
		r.mu.Lock()
		r.came = append(r.came, buf[:n]...)
		r.mu.Unlock()
		select {
		case <-quiet:
			continue // until up closes the connection
		default:
		}
		if _, werr := near.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut ends all connections and lets none through any more.
func (r *relay) cut() { r.shut(true) }

// shake ends all connections and lets new ones through.
func (r *relay) shake() { r.shut(false) }

func (r *relay) shut(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
}

// counts says how many connections were let through, and how often the broker
// sent the word.
func (r *relay) counts(word string) (opened, words int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened, bytes.Count(r.came, []byte(word))
}

// on sets the judge.
func (r *relay) on(judge func(b []byte) verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.judge = judge
}

// first gives a judge that says v once, for the first bytes with the word.
func first(v verdict, word string) (judge func([]byte) verdict, count func() int) {
	var mu sync.Mutex
	seen := 0
	judge = func(b []byte) verdict {
		mu.Lock()
		defer mu.Unlock()
		if !bytes.Contains(b, []byte(word)) {
			return forward
		}
		if seen++; seen == 1 {
			return v
		}
		return forward
	}
	return judge, func() int { mu.Lock(); defer mu.Unlock(); return seen }
}
