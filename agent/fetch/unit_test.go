package fetch

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

type counting struct {
	net.Listener
	n atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func TestHTTP2(t *testing.T) {
	file := content(1 << 20)
	major := new(atomic.Int64)
	broken := func(w http.ResponseWriter, r *http.Request) { // a stream that is reset
		major.Store(int64(r.ProtoMajor))
		good(file)(&cutter{ResponseWriter: w, left: 300_000}, r)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(50 * time.Millisecond)
		panic(http.ErrAbortHandler)
	}
	m := &misbehaving{script: []http.HandlerFunc{broken, good(file)}}
	s := httptest.NewUnstartedServer(m)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet()
	closed := make(chan bool, 10)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- true
		}
	}
	s.StartTLS()
	defer s.Close()
	whole(t, client(t, Options{TLS: &tls.Config{RootCAs: pool(s.Certificate())}}), request(s, file), file)
	for range 2 { // by the client: the server is still there
		select {
		case <-closed:
		case <-time.After(5 * time.Second):
			t.Error("a connection stays open after the download")
		}
	}
	if major.Load() != 2 {
		t.Errorf("spoke HTTP/%d", major.Load())
	}
	got := m.ranges(t)
	if len(got) != 2 || !strings.HasPrefix(got[1], "bytes=") || got[1] == rangeFrom(0, len(file)) {
		t.Errorf("asked for %q", got)
	}
}

// A slot that stalls must not make the memory fill: HTTP/2 would read on.
func TestHTTP2BuffersLittle(t *testing.T) {
	file := content(4 << 20)
	written := new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		for rest := file; len(rest) > 0; rest = rest[4096:] {
			if _, err := w.Write(rest[:4096]); err != nil {
				return
			}
			written.Add(4096)
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	b, err := client(t, Options{TLS: &tls.Config{RootCAs: pool(s.Certificate())}}).Open(t.Context(), request(s, file))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if n := written.Load(); n > 2*maxBuffered {
		t.Errorf("the server could send %d bytes before one was asked for", n)
	}
	if rest, err := io.ReadAll(b); err != nil || len(rest) != len(file)-1 {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}

func TestOptionsAndRequestsAreChecked(t *testing.T) {
	for _, o := range []Options{{RateLimit: -1}, {LowSpeed: -2}, {Retries: -2}, {IdleTimeout: -1}, {LowSpeedTime: -1}, {MaxRetryAfter: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	c := client(t, Options{})
	for _, r := range []Request{{}, {Size: -1}, {Size: 1 << 50}, {Size: 5, Offset: 6}, {Size: 5, Offset: -1},
		{Size: 5, Offset: 2, Validator: "x"}, {Size: 5, Offset: 2, Validator: "\"a\r\nX: y\""}} {
		r.URL = "http://h/"
		if _, err := c.Open(t.Context(), r); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}

func TestValidators(t *testing.T) {
	const date = "Mon, 16 Nov 2026 08:00:00 GMT"
	for _, tt := range []struct{ tag, date, want string }{
		{`"a"`, date, `"a"`}, {`W/"a"`, date, date}, {`W/"a"`, "", `W/"a"`}, {"", date, date}, {"", "", ""},
		{`bare`, "", ""}, {`"a`, "", ""}, {`"a b"`, date, date}, {`"` + strings.Repeat("x", 300) + `"`, "", ""}, {"", "yesterday", ""},
	} {
		h := http.Header{}
		h.Set("ETag", tt.tag)
		h.Set("Last-Modified", tt.date)
		if got := validatorOf(h); got != tt.want {
			t.Errorf("ETag %s and Last-Modified %s give %s, must be %s", tt.tag, tt.date, got, tt.want)
		}
	}
}

// An error stays: a reader that goes on after it must not get bytes from elsewhere.
func TestErrorsStay(t *testing.T) {
	file := content(1000)
	_, s := serveOn(t, answer(400), good(file))
	b, err := client(t, Options{}).Open(t.Context(), request(s, file))
	if err != nil {
		t.Fatal(err)
	}
	_, first := b.Read(make([]byte, 10))
	_, second := b.Read(make([]byte, 10))
	if first == nil || !errors.Is(second, first) {
		t.Errorf("first %v, then %v", first, second)
	}
	b.Close()
	b, _ = client(t, Options{}).Open(t.Context(), request(s, file))
	b.Close()
	if _, err := b.Read(make([]byte, 10)); err == nil || err == io.EOF {
		t.Errorf("a closed body reads: %v", err)
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 1000-1999/2000", "bytes */2000", "bytes -1-2/3", "bytes 1-2/*", "", "bytes 9223372036854775806-9223372036854775806/9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := parseContentRange(s)
		if !ok {
			return
		}
		if first < 0 || first > last || last >= total {
			t.Errorf("%q gives %d-%d/%d", s, first, last, total)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "120", "-1", "99999999999999999999", "Mon, 16 Nov 2026 08:00:00 GMT", "soon"} {
		f.Add(s, "Mon, 16 Nov 2026 08:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, after, date string) {
		h := http.Header{"Retry-After": {after}, "Date": {date}}
		if d := retryAfter(h, time.Unix(0, 0), time.Minute); d < 0 || d > time.Minute {
			t.Errorf("%q gives %v", after, d)
		}
	})
}

func FuzzScrub(f *testing.F) {
	f.Add("Get \"http://u:p@h/a?k=v\": EOF")
	f.Fuzz(func(t *testing.T, s string) {
		for _, word := range strings.FieldsFunc(scrub(s), isDelimiter) {
			if _, query, _ := strings.Cut(word, "?"); query != "" && query != "..." {
				t.Errorf("%q keeps the query %q", s, query)
			}
		}
		if _, query, _ := strings.Cut(Redact(s), "?"); query != "" && query != "..." {
			t.Errorf("%q keeps the query %q", s, query)
		}
	})
}

func BenchmarkDownload(b *testing.B) {
	file := bytes.Repeat(content(1<<20), 64)
	s := httptest.NewServer(good(file))
	defer s.Close()
	c, err := New(Options{Proxy: "direct"})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		body, err := c.Open(b.Context(), Request{URL: s.URL, Size: int64(len(file))})
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if err != nil || n != int64(len(file)) {
			b.Fatal(fmt.Errorf("%d bytes: %w", n, err))
		}
		body.Close()
	}
}
