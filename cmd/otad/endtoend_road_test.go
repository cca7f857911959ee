package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	roadSlice  = 32 << 10 // bytes that are let through at a time
	roadBuffer = 64 << 10 // asked of the kernel for a connection's sending side
)

// road is what lies between devices and packages: it notes what was asked for
// and how much of it was let through, and can be slow.
type road struct {
	l      net.Listener
	server *http.Server

	mu       sync.Mutex
	to       string // host:port of the package server
	rate     int64  // bytes a second; 0 is no limit
	requests []*passage

	// begins, when set, hears of each request for a package and gives the place
	// in it at which reached is called and the connection ends; -1 is nowhere.
	// reached is told how much of what was sent the kernel still holds.
	begins  func(start int64) (until int64)
	reached func(at, held int64)
}

// passage is one request for a package.
type passage struct {
	start int64 // first byte asked for
	sent  int64 // bytes handed to the kernel
}

func newRoad(t *testing.T) *road {
	r := &road{l: listenOn(t, "127.0.0.1:0")}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: slowest, ConnState: func(c net.Conn, s http.ConnState) {
		if tcp, ok := c.(*net.TCPConn); ok && s == http.StateNew {
			tcp.SetWriteBuffer(roadBuffer)
		}
	}}
	go r.server.Serve(r.l)
	t.Cleanup(func() { r.server.Close() })
	return r
}

func (r *road) url() string { return "http://" + r.l.Addr().String() }

func (r *road) leadTo(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = addr
}

func (r *road) slow(rate int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rate = rate
}

// seen gives the requests for packages so far.
func (r *road) seen() []passage {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []passage
	for _, p := range r.requests {
		all = append(all, *p)
	}
	return all
}

// ServeHTTP passes a request on, and the answer as fast as the road lets it.
func (r *road) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	out, err := http.NewRequestWithContext(req.Context(), req.Method, "http://"+to+req.URL.RequestURI(), req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header, out.ContentLength = req.Header.Clone(), req.ContentLength
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	if req.Method != http.MethodGet {
		io.Copy(w, resp.Body)
		return
	}
	p := &passage{start: rangeStart(req.Header)}
	r.mu.Lock()
	r.requests = append(r.requests, p)
	until := int64(-1)
	if r.begins != nil {
		until = r.begins(p.start)
	}
	r.mu.Unlock()
	r.pass(req, w, resp.Body, p, until)
}

// rangeStart is where "bytes=N-M" begins; what does not look like that, or
// nothing, is the start of the file. -1 is more than one range.
func rangeStart(h http.Header) int64 {
	var from, to int64
	switch v := h.Values("Range"); {
	case len(v) == 0:
		return 0
	case len(v) > 1:
		return -1
	default:
		if n, err := fmt.Sscanf(v[0], "bytes=%d-%d", &from, &to); n != 2 || err != nil {
			return -1
		}
	}
	return from
}

func (r *road) pass(req *http.Request, w io.Writer, body io.Reader, p *passage, until int64) {
	buf := make([]byte, roadSlice)
	for sent := int64(0); ; {
		if until >= 0 && p.start+sent >= until {
			r.reached(p.start+sent, held(r.l.Addr().String(), req.RemoteAddr))
			panic(http.ErrAbortHandler)
		}
		part := buf
		if left := until - p.start - sent; until >= 0 && left < roadSlice {
			part = buf[:left]
		}
		n, err := body.Read(part)
		if _, werr := w.Write(part[:n]); werr != nil {
			return
		}
		w.(http.Flusher).Flush()
		sent += int64(n)
		r.mu.Lock()
		p.sent = sent
		rate := r.rate
		r.mu.Unlock()
		if err != nil {
			return
		}
		if rate > 0 { // time that was lost is not made up for: rate is never exceeded
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(rate)):
			case <-req.Context().Done():
				return
			}
		}
	}
}

// held is how many bytes of a connection on this machine the kernel has taken
// from the one end and not yet given to the other. The bytes move while they are
// counted, so the largest of some counts is it.
func held(sender, receiver string) (most int64) {
	from, to := procAddr(sender), procAddr(receiver)
	for range 3 {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return 0
		}
		var sum int64
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line) // number, local, remote, state, sending:receiving
			if len(f) < 5 {
				continue
			}
			var sending, receiving int64
			fmt.Sscanf(f[4], "%x:%x", &sending, &receiving)
			switch {
			case f[1] == from && f[2] == to:
				sum += sending
			case f[1] == to && f[2] == from:
				sum += receiving
			}
		}
		most = max(most, sum)
	}
	return most
}

// procAddr writes 127.0.0.1:PORT as the kernel's table does.
func procAddr(addr string) string {
	a := netip.MustParseAddrPort(addr)
	b := a.Addr().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(b[:]), a.Port())
}
