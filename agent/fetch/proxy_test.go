package fetch

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// proxyOn is a forward proxy that knows one password and leads every host to
// the target.
func proxyOn(t *testing.T, target string) (*misbehaving, *httptest.Server) {
	t.Helper()
	const want = "user:pass word"
	return serveOn(t, func(w http.ResponseWriter, r *http.Request) {
		got, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Proxy-Authorization"), "Basic "))
		if string(got) != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		up, err := net.Dial("tcp", target)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		} else {
			_ = r.Write(up)
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		go func() { _, _ = io.Copy(up, conn); up.Close() }()
		_, _ = io.Copy(conn, up)
	})
}

func TestN21ProxyFromTheConfiguration(t *testing.T) {
	file := content(10_000)
	m, s := serveOn(t, good(file))
	secure := httptest.NewUnstartedServer(good(file))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), nil, "files.test")}}
	secure.Config.ErrorLog = quiet()
	secure.StartTLS()
	defer secure.Close()
	_, proxy := proxyOn(t, s.Listener.Addr().String())
	_, secureProxy := proxyOn(t, secure.Listener.Addr().String())
	at := func(p *httptest.Server, user string) string { return "http://" + user + p.Listener.Addr().String() }
	plainURL := Request{URL: "http://files.test/fw.bin?auth_key=SECRET", Size: int64(len(file))}
	secureURL := Request{URL: "https://files.test/fw.bin?auth_key=SECRET", Size: int64(len(file))}
	trust := &tls.Config{RootCAs: pool(secure.TLS.Certificates[0].Leaf)}

	whole(t, client(t, Options{Proxy: at(proxy, "user:pass%20word@")}), plainURL, file)
	whole(t, client(t, Options{Proxy: at(secureProxy, "user:pass%20word@"), TLS: trust}), secureURL, file)
	for _, user := range []string{"", "user:SECRET@"} {
		refused(t, client(t, Options{Proxy: at(proxy, user)}), plainURL, nil, "the proxy asks for a user and a password")
		refused(t, client(t, Options{Proxy: at(secureProxy, user), TLS: trust}), secureURL, nil, "the proxy asks for a user and a password")
	}
	if n := len(m.requests()); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	for _, bad := range []string{"ftp://x", "127.0.0.1:8080", "http://", "://SECRET@x"} {
		if _, err := New(Options{Proxy: bad}); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("proxy %q: error %v", bad, err)
		}
	}
}

// The environment is read once in a process, so this one runs in its own.
func TestN21ProxyFromTheEnvironment(t *testing.T) {
	file := content(10_000)
	_, s := serveOn(t, good(file))
	_, proxy := proxyOn(t, s.Listener.Addr().String())
	for _, tt := range []struct{ noProxy, words string }{{"", "ok"}, {"files.test", "dial"}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildOfN21$", "-test.v")
		cmd.Env = append(os.Environ(), "FETCH_CHILD=1", "NO_PROXY="+tt.noProxy,
			"HTTP_PROXY=http://user:pass%20word@"+proxy.Listener.Addr().String())
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "result: "+tt.words) {
			t.Errorf("NO_PROXY=%q: %v, %s", tt.noProxy, err, out)
		}
	}
}

func TestChildOfN21(t *testing.T) {
	if os.Getenv("FETCH_CHILD") == "" {
		t.Skip("runs as the child of TestN21ProxyFromTheEnvironment")
	}
	c, err := New(Options{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := get(t, c, Request{URL: "http://files.test/fw.bin", Size: 10_000})
	if err == nil && string(got) == string(content(10_000)) {
		fmt.Println("result: ok")
		return
	}
	fmt.Println("result:", strings.TrimPrefix(err.Error(), "gave up at byte 0 of 10000 after 1 attempts without progress: "))
}
