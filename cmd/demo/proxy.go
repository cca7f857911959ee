package main

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// What the network between the devices and the packages does.
const (
	honest int32 = iota
	cutting
	flipping
)

// proxy is that network.
type proxy struct {
	l      net.Listener
	server *http.Server
	target string // host:port of the package server
	mode   atomic.Int32
}

func newProxy() (*proxy, error) {
	l, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go p.server.Serve(l)
	return p, nil
}

func (p *proxy) url() string { return "http://" + p.l.Addr().String() }
func (p *proxy) close()      { p.server.Close() }

// cutAfter is how much of the package comes before the network is gone for good.
const cutAfter = 20 << 20

// ServeHTTP passes a request on, and the answer as the mode says.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode := p.mode.Load()
	if r.Method != http.MethodGet { // an upload
		mode = honest
	}
	if mode == cutting && r.Header.Get("Range") != "" {
		panic(http.ErrAbortHandler)
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+p.target+r.URL.RequestURI(), r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header, out.ContentLength = r.Header.Clone(), r.ContentLength
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	switch mode {
	case cutting:
		io.CopyN(w, resp.Body, cutAfter)
		panic(http.ErrAbortHandler)
	case flipping:
		io.CopyN(w, resp.Body, cutAfter)
		var b [1]byte
		io.ReadFull(resp.Body, b[:])
		b[0] ^= 1
		w.Write(b[:])
	}
	io.Copy(w, resp.Body)
}
