package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is a file that looks the same nowhere.
func content(n int) []byte {
	r := rand.NewChaCha8([32]byte{7})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// misbehaving is a web server that answers each request as its script says, the
// last step being repeated, and remembers what it was asked.
type misbehaving struct {
	script []http.HandlerFunc
	mu     sync.Mutex
	asked  []http.Header
	urls   []string
}

func (m *misbehaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	step := m.script[min(len(m.asked), len(m.script)-1)]
	m.asked = append(m.asked, r.Header.Clone())
	m.urls = append(m.urls, r.URL.String())
	m.mu.Unlock()
	step(w, r)
}

func (m *misbehaving) requests() []http.Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// ranges are the Range fields of all requests; "" is a request without.
func (m *misbehaving) ranges(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, h := range m.requests() {
		if n := len(h.Values("Range")); n > 1 {
			t.Errorf("a request has %d Range fields", n)
		}
		if got := h.Values("Accept-Encoding"); len(got) != 1 || got[0] != "identity" {
			t.Errorf("a request has Accept-Encoding %q", got)
		}
		out = append(out, h.Get("Range"))
	}
	return out
}

func serveOn(t *testing.T, script ...http.HandlerFunc) (*misbehaving, *httptest.Server) {
	t.Helper()
	m := &misbehaving{script: script}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	return m, s
}

const tag = `"v1"`

// good serves the file as a good server does, Range and If-Range included.
func good(file []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Get("ETag") == "" {
			w.Header().Set("ETag", tag)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	}
}

// with sets fields before the next step answers.
func with(next http.HandlerFunc, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		next(w, r)
	}
}

func answer(code int, fields ...string) http.HandlerFunc {
	return with(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }, fields...)
}

// cut is a good answer whose connection is reset after n bytes of the body.
func cut(file []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(file)(&cutter{ResponseWriter: w, left: n}, r)
		reset(w)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	_, _ = c.ResponseWriter.Write(p[:n])
	if n < len(p) {
		return n, errors.New("cut")
	}
	return n, nil
}

// reset ends the connection with a RST where it can.
func reset(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	h, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	time.Sleep(20 * time.Millisecond) // a RST discards what the other side has not read
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	conn.Close()
}

// raw writes an answer byte by byte as given, and closes.
func raw(head string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n\r\n")
		_, _ = conn.Write(body)
	}
}

// client has pauses of a millisecond.
func client(t *testing.T, opt Options) *Client {
	t.Helper()
	if opt.Proxy == "" {
		opt.Proxy = "direct"
	}
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	c.pause = backoff{time.Millisecond, 2 * time.Millisecond}
	return c
}

func request(s *httptest.Server, file []byte) Request {
	return Request{URL: s.URL + "/fw.bin?auth_key=SECRET", Size: int64(len(file))}
}

// get downloads and gives what was delivered, even on an error.
func get(t *testing.T, c *Client, r Request) ([]byte, error) {
	t.Helper()
	b, err := c.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return io.ReadAll(b)
}

// whole downloads a file that must arrive unharmed.
func whole(t *testing.T, c *Client, r Request, file []byte) {
	t.Helper()
	got, err := get(t, c, r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, file[r.Offset:]) {
		t.Fatalf("%d bytes arrived that are not the file's %d", len(got), len(file)-int(r.Offset))
	}
}

// refused downloads what must fail for good: no byte after those before the
// fault, a text with the words and without the URL's secret.
func refused(t *testing.T, c *Client, r Request, delivered []byte, words string) error {
	t.Helper()
	got, err := get(t, c, r)
	if err == nil {
		t.Fatal("the download succeeded")
	}
	if !strings.Contains(err.Error(), words) {
		t.Errorf("error %q does not say %q", err, words)
	}
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %q has the URL's secret in it", err)
	}
	if !bytes.Equal(got, delivered) {
		t.Errorf("%d bytes were delivered, must be the %d before the fault", len(got), len(delivered))
	}
	return err
}

// pipes is a network inside of the process, for tests in virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inVirtualTime serves the script over pipes; call it in a synctest bubble.
func inVirtualTime(t *testing.T, opt Options, script ...http.HandlerFunc) (*misbehaving, *Client) {
	t.Helper()
	m, p := &misbehaving{script: script}, newPipes()
	srv := &http.Server{Handler: m}
	served := make(chan error)
	go func() { served <- srv.Serve(p) }()
	t.Cleanup(func() { srv.Close(); <-served })
	opt.Proxy = "direct"
	if opt.Dial == nil {
		opt.Dial = p.dial
	} else if broken := opt.Dial; true {
		opt.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if _, err := broken(ctx, network, addr); err != nil {
				return nil, err
			}
			return p.dial(ctx, network, addr)
		}
	}
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return m, c
}

func rangeFrom(at, size int) string { return fmt.Sprintf("bytes=%d-%d", at, size-1) }
