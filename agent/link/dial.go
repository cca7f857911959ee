package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/proxy"
)

// Half-open connections are found by the kernel too, earlier than by MQTT's own
// pings when something was sent.
const (
	keepIdle     = 30 * time.Second
	keepInterval = 10 * time.Second
	keepCount    = 4
	userTimeout  = 45 * time.Second
)

func tcpDialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount},
		Control:         setUserTimeout,
	}
}

type dialer struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	proxy func(addr string) (*url.URL, error)
	tls   *tls.Config // nil for a plain connection
}

// open connects to the broker, up to where MQTT begins. The context bounds all
// of it, TLS handshake included.
func (d dialer) open(ctx context.Context, to address) (net.Conn, error) {
	if to.ws != "" {
		return d.webSocket(ctx, to.ws)
	}
	conn, err := d.tcp(ctx, "tcp", to.host)
	if err != nil || d.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// tcp connects, through a proxy where there is one on the way.
func (d dialer) tcp(ctx context.Context, network, addr string) (net.Conn, error) {
	u, err := d.proxy(addr)
	if err != nil {
		return nil, err
	}
	switch {
	case u == nil:
		return d.dial(ctx, network, addr)
	case u.Scheme == "socks5":
		return d.socks(ctx, u, addr)
	}
	conn, err := d.dial(ctx, network, hostPort(u, "80"))
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if err := connectThrough(ctx, conn, u.User, addr); err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", u.Host, err)
	}
	return conn, nil
}

// connectThrough asks a HTTP proxy for a tunnel.
func connectThrough(ctx context.Context, conn net.Conn, user *url.Userinfo, addr string) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	head := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if user != nil {
		password, _ := user.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	// A reader of one byte at a time takes nothing of what comes after the head.
	r := bufio.NewReaderSize(io.LimitReader(oneByte{conn}, maxProxyHead), 16)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	if resp.StatusCode == http.StatusProxyAuthRequired {
		return fmt.Errorf("it asks for a user and a password, or refuses those it was given (407)")
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it refuses to connect to %s: %d %s", addr, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

const maxProxyHead = 16 << 10

type oneByte struct{ io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(len(p), 1)]) }

func (d dialer) socks(ctx context.Context, u *url.URL, addr string) (net.Conn, error) {
	var auth *proxy.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	through, err := proxy.SOCKS5("tcp", hostPort(u, "1080"), auth, dialFunc(d.dial))
	if err != nil {
		return nil, err
	}
	conn, err := through.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return conn, nil
}

// dialFunc is what package proxy wants a dialer to be.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialFunc) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

func (f dialFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (d dialer) webSocket(ctx context.Context, u string) (net.Conn, error) {
	ws := websocket.Dialer{
		NetDialContext: d.tcp, TLSClientConfig: d.tls, Subprotocols: []string{"mqtt"},
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
	}
	conn, resp, err := ws.DialContext(ctx, u, nil)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("the server does not speak WebSocket here, it answered %d %s (is the URL's path right?)",
				resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		return nil, err
	}
	conn.SetReadLimit(maxPacket)
	return &wsConn{Conn: conn}, nil
}
