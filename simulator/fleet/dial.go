package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Target is where the fleet goes: a broker, and how it is reached.
type Target struct {
	addr string // host:port
	host string
	tls  *tls.Config // nil: plain
}

// ParseTarget reads mqtt://HOST[:PORT] or mqtts://HOST[:PORT]. conf is for mqtts: nil is
// the system's roots.
func ParseTarget(raw string, conf *tls.Config) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || (u.Path != "" && u.Path != "/") {
		return Target{}, fmt.Errorf("%.100q is no broker's URL (it looks like mqtt://127.0.0.1:1883)", raw)
	}
	t, port := Target{host: u.Hostname()}, "1883"
	switch u.Scheme {
	case "mqtt", "tcp":
	case "mqtts", "ssl":
		port, t.tls = "8883", &tls.Config{}
		if conf != nil {
			t.tls = conf.Clone()
		}
		if t.tls.ServerName == "" {
			t.tls.ServerName = t.host
		}
	default:
		return Target{}, fmt.Errorf("scheme %.20q of the broker's URL is not mqtt or mqtts", u.Scheme)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.addr = net.JoinHostPort(t.host, port)
	return t, nil
}

// Addr is host:port.
func (t Target) Addr() string { return t.addr }

// Host is the broker's host.
func (t Target) Host() string { return t.host }

// Local reports whether the broker is on this machine's loopback.
func (t Target) Local() bool { return loopback(t.host) }

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// dialer makes connections that the kernel finds a port for when they are made, and not
// before: with many of them the other way costs ten times as much.
func dialer(source netip.Addr, timeout time.Duration) *net.Dialer {
	d := &net.Dialer{Timeout: timeout, KeepAlive: -1}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		d.Control = bindNoPort
	}
	return d
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func bindNoPort(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); e != nil {
		return e
	}
	return err
}

// open connects to the broker, and says when TCP and when TLS were there.
func (t Target) open(ctx context.Context, dial dialFunc) (c net.Conn, tcp time.Time, err error) {
	conn, err := dial(ctx, "tcp", t.addr)
	if err != nil {
		return nil, tcp, err
	}
	tcp = time.Now()
	if t.tls == nil {
		return conn, tcp, nil
	}
	secure := tls.Client(conn, t.tls)
	_ = conn.SetDeadline(time.Now().Add(wireTimeout))
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, tcp, err
	}
	return secure, tcp, nil
}
