package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// web runs the HTTP side on a real socket and gives its address.
func web(t *testing.T, c *cloud) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() { c.ended <- c.Run(ctx, nil, []net.Listener{l}) }()
	return "http://" + l.Addr().String()
}

// TestHeaderLimit: a query of a megabyte, as the official client sends long lists, is
// read; more is refused.
func TestHeaderLimit(t *testing.T) {
	c := open(t, t.TempDir())
	at := web(t, c)
	defer c.stop()
	for n, want := range map[int]int{openapi.MaxQuery - 100: http.StatusBadRequest, openapi.MaxQuery + 100: http.StatusRequestURITooLong, 2 << 20: http.StatusRequestHeaderFieldsTooLarge} {
		resp, err := http.Get(at + "/?Action=" + strings.Repeat("a", n))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes of query: status %d, want %d", n, resp.StatusCode, want)
		}
	}
}

// TestPlainPaths: /metrics and /healthz want no body and read none.
func TestPlainPaths(t *testing.T) {
	c := open(t, t.TempDir())
	at := web(t, c)
	defer c.stop()
	endless := struct{ io.Reader }{neverEnding{}} // of a length that is not said
	for _, path := range []string{"/metrics", "/healthz"} {
		for _, r := range []struct {
			method string
			body   io.Reader
			want   int
		}{
			{http.MethodGet, nil, 200},
			{http.MethodHead, nil, 200},
			{http.MethodPost, nil, 405},
			{http.MethodPost, endless, 405},
			{http.MethodGet, endless, 413},
			{http.MethodDelete, nil, 405},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			req, err := http.NewRequestWithContext(ctx, r.method, at+path, r.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Errorf("%s %s: %v", r.method, path, err)
			} else {
				resp.Body.Close()
				if resp.StatusCode != r.want {
					t.Errorf("%s %s: status %d, want %d", r.method, path, resp.StatusCode, r.want)
				}
			}
			cancel()
		}
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// TestP7KeysOnce: secure upgrade that is switched off and on again has the same keys, and
// none are made for it.
func TestP7KeysOnce(t *testing.T) {
	c := open(t, t.TempDir()).run()
	defer c.stop()
	c.fill("d1")
	first := c.do(simulator.SetSecureUpgrade{Product: c.product, On: true}).(simulator.Product)
	c.do(simulator.SetSecureUpgrade{Product: c.product})
	for _, cmd := range []simulator.Command{
		simulator.SetSecureUpgrade{Product: c.product, On: true},
		simulator.SetSecureUpgrade{Product: "nothing", On: true},
		simulator.As{Account: "stranger", Command: simulator.SetSecureUpgrade{Product: c.product, On: true}},
	} {
		got, err := c.engine.prepare(t.Context(), cmd)
		if s := simulator.Bare(got).(simulator.SetSecureUpgrade); err != nil || s.SigningKey != nil {
			t.Errorf("%+v: keys are made, %v", cmd, err)
		}
	}
	again := c.do(simulator.SetSecureUpgrade{Product: c.product, On: true}).(simulator.Product)
	if string(again.PublicKey) != string(first.PublicKey) || len(first.PublicKey) == 0 {
		t.Error("the public key has changed")
	}
}
