// Package link is a device's connection to its cloud over MQTT 3.1.1, and the
// only place that knows the MQTT library.
//
// The promise: while [Link.Run] runs there is a connection whenever the network
// and the broker allow one, and never more than one. [Link.Send] returns nil
// only when the broker has acknowledged the message; a message that was under
// way when a connection broke is sent again on the next one, so it arrives at
// least once. Nothing that the cloud sends can make the link block: when the
// receiver of [Link.Events] is slow the oldest messages are dropped, and
// counted. Attempts to connect are spread by full jitter and are rarer when the
// broker refuses the device.
//
// The trust: with mqtts and wss the broker's certificate is verified, always.
// What the broker sends is bounded in size, and is otherwise passed on as it
// came.
package link

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota"
)

// Timing of a link. Each pause before an attempt to connect is a random part of
// a window that doubles with each failure.
const (
	MinBackoff = 4 * time.Second // the first window
	MaxBackoff = 2 * time.Minute
	MinRefused = 30 * time.Second // the first window after the broker refused the device; half of it is waited at least
	MaxRefused = 10 * time.Minute
	Stable     = time.Minute // a connection that lasted so long starts the windows anew

	DefaultKeepAlive = 60 * time.Second
	MinKeepAlive     = 30 * time.Second // what the platform accepts (protocol section 1)
	MaxKeepAlive     = 1200 * time.Second

	connectTimeout = 45 * time.Second // dialling, TLS and CONNACK together
	writeTimeout   = 10 * time.Second
	pingTimeout    = 15 * time.Second
	quiesce        = 200 * time.Millisecond // for the last words of a link that is stopped
	stopTimeout    = 500 * time.Millisecond
	retryPause     = time.Second // between two tries of a message on one connection
)

// Bounds of what is held in memory.
const (
	maxQueued         = 64 // events that wait for their receiver
	maxQueuedBytes    = 1 << 20
	maxPosts          = 16 // best-effort messages that wait to be written
	maxUnacknowledged = 8  // messages given up on one connection before it is given up
	maxPacket         = 2 * ota.MaxMessageLen
)

// Signer makes the fields of CONNECT. It is called for every attempt. The
// credentials' TLS field says whether the connection is encrypted.
type Signer func(ctx context.Context, c ota.Credentials) (ota.Login, error)

// Config says where and as whom to connect.
type Config struct {
	URL         string          // mqtt://host[:1883], mqtts://host[:8883], ws://host[:80][/path], wss://host[:443][/path]; tcp and ssl mean mqtt and mqtts
	Credentials ota.Credentials // TLS is set by the link
	Sign        Signer          // nil is Credentials.Login, with the secret in memory
	CA          []byte          // PEM; nil is the system's list. Only with mqtts and wss, like the next two
	ClientCert  []byte          // PEM, the device's certificate first; together with ClientKey or ClientSigner
	ClientKey   []byte          // PEM
	Proxy       string          // "" or "direct" none, "environment" as HTTPS_PROXY and NO_PROXY say, or http:// or socks5://[user:password@]host:port
	KeepAlive   time.Duration   // 0 is DefaultKeepAlive
	Log         *slog.Logger    // nil is silent

	// ClientSigner is the private key of ClientCert where that is not a file: in
	// a TPM or a token, which signs the TLS handshakes.
	ClientSigner crypto.Signer

	// Now is the time that certificates are checked at; nil is time.Now. A
	// device without a clock gives the time of its build instead of 1970 (K1).
	Now func() time.Time

	// Dial makes the TCP connections, through one network interface for
	// instance; nil is an ordinary dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Link is one device's connection. Its methods may be called from any goroutine.
type Link struct {
	cfg     Config
	to      address
	device  ota.Device
	dialer  dialer
	queue   queue
	blocks  expected
	events  chan ota.Event
	gateway *Gateway // nil for a device without sub-devices; set before Run
	running atomic.Bool

	mu      sync.Mutex
	cur     *session      // nil while there is no connection
	changed chan struct{} // closed when cur changes
	lastErr error
}

// New checks the configuration; the error says which value is wrong and what to
// do. It opens no connection, and signs once to see that it can.
func New(cfg Config) (*Link, error) {
	to, err := parseAddress(cfg.URL)
	if err != nil {
		return nil, err
	}
	cfg.Credentials.TLS = to.tls
	if err := cfg.Credentials.Device.Validate(); err != nil {
		return nil, err
	}
	if cfg.Sign == nil {
		if _, err := cfg.Credentials.Login(); err != nil {
			return nil, err
		}
		cfg.Sign = func(_ context.Context, c ota.Credentials) (ota.Login, error) { return c.Login() }
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = DefaultKeepAlive
	}
	if cfg.KeepAlive < MinKeepAlive || cfg.KeepAlive > MaxKeepAlive {
		return nil, fmt.Errorf("keep-alive %v is not within %v and %v, which the platform asks for", cfg.KeepAlive, MinKeepAlive, MaxKeepAlive)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Link{
		cfg: cfg, to: to, device: cfg.Credentials.Device,
		events: make(chan ota.Event), changed: make(chan struct{}),
		queue: queue{wake: make(chan struct{}, 1)},
	}
	if l.dialer.tls, err = tlsConfig(cfg, to); err != nil {
		return nil, err
	}
	if l.dialer.proxy, err = proxyFunc(cfg.Proxy); err != nil {
		return nil, err
	}
	if l.dialer.dial = cfg.Dial; cfg.Dial == nil {
		l.dialer.dial = tcpDialer().DialContext
	}
	return l, nil
}

// Events gives what the cloud sends on the device's topics, blocks of files
// excepted (see [Link.Block]), and an event of Kind 0 for each new connection: by
// then Send works, and the messages that it brings come after. They are in the order
// in which the cloud sent them. At most 64 events and 1 MiB wait; the oldest messages
// make room, news of a connection never do (several in a row are one). The channel is
// never closed.
func (l *Link) Events() <-chan ota.Event { return l.events }

// Dropped counts the messages that were lost because nobody received them.
func (l *Link) Dropped() uint64 { return l.queue.dropped.Load() }

// Connected reports whether there is a connection that the broker accepted. It
// may be gone already, unnoticed for up to one and a half keep-alives.
func (l *Link) Connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur != nil
}

// LastError says why the latest failed attempt failed, or the latest connection
// ended, in words for people; nil when nothing has failed yet. It stays after
// the next connection.
func (l *Link) LastError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastErr
}

func (l *Link) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastErr = err
}

// use makes s, or nil, the current connection, and wakes those who wait.
func (l *Link) use(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cur = s
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits for a connection.
func (l *Link) await(ctx context.Context) (*session, error) {
	for {
		l.mu.Lock()
		s, changed := l.cur, l.changed
		l.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// proxyFunc gives the proxy on the way to an address; nil is none.
func proxyFunc(proxy string) (func(addr string) (*url.URL, error), error) {
	switch proxy {
	case "", "direct":
		return func(string) (*url.URL, error) { return nil, nil }, nil
	case "environment":
		return func(addr string) (*url.URL, error) {
			u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: addr}})
			if err != nil {
				return nil, errors.New("HTTPS_PROXY cannot be read as a URL")
			}
			if u != nil && !proxyOK(u) {
				return nil, fmt.Errorf("HTTPS_PROXY has the scheme %q, a broker is reached through http and socks5 only", u.Scheme)
			}
			return u, nil
		}, nil
	}
	u, err := url.Parse(proxy)
	if err != nil || !proxyOK(u) {
		return nil, errors.New(`the proxy is not "direct", "environment", http://host:port or socks5://host:port, with user:password@ before the host where needed`)
	}
	return func(string) (*url.URL, error) { return u, nil }, nil
}

func proxyOK(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "socks5") && u.Hostname() != ""
}
