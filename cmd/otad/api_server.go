package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// serveAPI answers HTTP requests, one on each connection, until ctx ends, and
// waits for those under way. It is no http.Server: a program that has one is a
// third of a megabyte larger, for what a socket of one device has no use for.
func serveAPI(ctx context.Context, l net.Listener, answer func(ctx context.Context, method, path string) (int, any)) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var under sync.WaitGroup
	defer under.Wait()
	places := make(chan struct{}, apiMaxRequests)
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return
		case err != nil: // no file descriptor is free, say
			time.Sleep(10 * time.Millisecond)
			continue
		}
		under.Go(func() {
			defer c.Close()
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				exchange(ctx, c, answer)
			default:
				exchange(ctx, c, func(context.Context, string, string) (int, any) {
					return http.StatusServiceUnavailable, apiError{"failed", "too many requests at a time"}
				})
			}
		})
	}
}

// exchange reads one request and writes its answer. What is no request gets
// none.
func exchange(ctx context.Context, c net.Conn, answer func(ctx context.Context, method, path string) (int, any)) {
	c.SetDeadline(time.Now().Add(apiTimeout))
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now()) })()
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c, apiMaxRequest)))
	if err != nil {
		return
	}
	// No request has a body of use. Left unread it would break the connection
	// before its answer was read.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	status, v := answer(ctx, r.Method, r.URL.Path)
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return
	}
	resp := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Close: true,
		Header:        http.Header{"Content-Type": {"application/json"}},
		ContentLength: int64(body.Len()), Body: io.NopCloser(&body),
	}
	c.SetWriteDeadline(time.Now().Add(apiTimeout))
	resp.Write(c) // who asked has gone when this fails
}
