package link

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tunnel is a HTTP or SOCKS5 proxy that knows one password.
func tunnel(t *testing.T, shake func(*bufio.Reader, net.Conn) (addr string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				addr := shake(r, conn)
				if addr == "" {
					return
				}
				up, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(up, r); up.Close() }()
				_, _ = io.Copy(conn, up)
			}()
		}
	}()
	return l.Addr().String()
}

func overHTTP(r *bufio.Reader, w net.Conn) string {
	req, err := http.ReadRequest(r)
	if err != nil {
		return ""
	}
	req.Header.Set("Authorization", req.Header.Get("Proxy-Authorization"))
	if user, password, _ := req.BasicAuth(); req.Method != http.MethodConnect || user != "user" || password != "pass word" {
		_, _ = io.WriteString(w, "HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
		return ""
	}
	_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n\r\n")
	return req.Host
}

func overSOCKS(r *bufio.Reader, w net.Conn) string {
	b := make([]byte, 512)
	read := func(n int) []byte { _, _ = io.ReadFull(r, b[:n]); return b[:n] }
	read(int(read(2)[1])) // methods
	_, _ = w.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	if password := string(read(int(read(1)[0]))); user != "user" || password != "pass word" {
		_, _ = w.Write([]byte{1, 1})
		return ""
	}
	_, _ = w.Write([]byte{1, 0})
	read(3)
	var host string
	switch read(1)[0] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	}
	port := binary.BigEndian.Uint16(read(2))
	_, _ = w.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func TestN21Proxies(t *testing.T) {
	b := newBroker(t)
	addr := b.listen(t, false, nil)
	web := newBroker(t)
	wsAddr := web.listen(t, true, nil)
	byHTTP, bySOCKS := tunnel(t, overHTTP), tunnel(t, overSOCKS)
	for _, proxy := range []string{"http://user:pass%20word@" + byHTTP, "socks5://user:pass%20word@" + bySOCKS} {
		for _, broker := range []string{"mqtt://" + addr, "ws://" + wsAddr} {
			l := run(t, Config{URL: broker, Proxy: proxy})
			connected(t, l)
			send(t, l, "through a proxy")
		}
	}
	for proxy, words := range map[string]string{
		"http://user:SECRET@" + byHTTP:    "407",
		"socks5://user:SECRET@" + bySOCKS: "authentication failed",
		"http://127.0.0.1:1":              "proxy: dial",
	} {
		l := run(t, Config{URL: "mqtt://" + addr, Proxy: proxy})
		for l.LastError() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		if err := l.LastError(); !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: last error %v", proxy, err)
		}
	}
}

// The environment is read once in a process, so this one runs in its own.
func TestN21ProxyFromTheEnvironment(t *testing.T) {
	b := newBroker(t)
	addr := b.listen(t, false, nil)
	toBroker := tunnel(t, func(r *bufio.Reader, w net.Conn) string {
		if overHTTP(r, w) != "broker.test:1883" {
			return ""
		}
		return addr
	})
	for noProxy, words := range map[string]string{"": "result: connected", "broker.test": "result: dial tcp"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildOfN21$", "-test.v")
		cmd.Env = append(os.Environ(), "LINK_CHILD=1", "NO_PROXY="+noProxy, "HTTPS_PROXY=http://user:pass%20word@"+toBroker)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), words) {
			t.Errorf("NO_PROXY=%q: %v, %s", noProxy, err, out)
		}
	}
}

func TestChildOfN21(t *testing.T) {
	if os.Getenv("LINK_CHILD") == "" {
		t.Skip("runs as the child of TestN21ProxyFromTheEnvironment")
	}
	l := run(t, Config{Proxy: "environment"})
	for !l.Connected() && l.LastError() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	if l.Connected() {
		fmt.Println("result: connected")
		return
	}
	fmt.Println("result:", l.LastError())
}

func TestProxyThatSaysNothing(t *testing.T) {
	addr := tunnel(t, func(r *bufio.Reader, _ net.Conn) string { _, _ = io.Copy(io.Discard, r); return "" })
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := connectThrough(ctx, conn, nil, "h:1"); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("error %v after %v", err, time.Since(began))
	}
}
