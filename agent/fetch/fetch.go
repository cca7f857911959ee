// Package fetch turns a URL, or a stream over MQTT, into a reader that survives
// the network, and decides nothing else.
//
// The promise: the bytes that a [Body] delivers are the bytes Offset to Size of
// one and the same file of the server, in order, each once. Between two
// attempts it asks for the rest by an absolute offset, under the condition that
// the file is still the one that was begun; an answer that does not fit is
// refused before one byte of it is delivered. It waits between attempts with
// full jitter, does as a Retry-After says, and gives up after a bounded number
// of attempts without progress. It holds no more than 64 KiB of the file. A
// [StreamBody] promises the same of a file that comes over MQTT, and holds a block.
//
// The trust: none. Server, proxy and DNS may answer what they like; what was
// delivered is what one server had, and only package verify says whether it is
// what was announced. A TLS certificate that does not verify ends the download:
// there is no way to skip that check.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/leapslot/ota"
	"golang.org/x/time/rate"
)

// What a zero in [Options] means.
const (
	DefaultUserAgent     = "leapslot-ota"
	DefaultLowSpeed      = 128 // bytes a second
	DefaultLowSpeedTime  = 30 * time.Second
	DefaultIdleTimeout   = time.Minute
	DefaultRetries       = 12
	DefaultMaxRetryAfter = 15 * time.Minute
)

// Bounds that are not configured.
const (
	MinBackoff   = time.Second // MinBackoff is the window of the first pause; each pause is a random part of its window.
	MaxBackoff   = time.Minute
	MaxRedirects = 10

	maxBuffered   = 64 << 10 // bytes of the file that are held at a time
	maxHeader     = 64 << 10
	dialTimeout   = 30 * time.Second
	tlsTimeout    = 30 * time.Second
	keepAlive     = 30 * time.Second
	freshProgress = 1 << 20 // bytes after which a URL may expire once more
)

// ErrChanged means that what the server has now is not what was begun: another
// validator, another length, or an answer that ignores the range. What was
// delivered is of no use; the caller starts over at 0, and counts how often.
var ErrChanged = errors.New("the file on the server is not the one that was begun")

// Options are the limits of a [Client]. The zero value is good.
type Options struct {
	UserAgent     string
	RateLimit     int64         // bytes a second of all downloads of the client together; 0 is no limit
	LowSpeed      int64         // an attempt slower than so many bytes a second, over LowSpeedTime, is cut; -1 is never
	LowSpeedTime  time.Duration // time spent waiting for the network
	IdleTimeout   time.Duration // silence after which an attempt is cut
	Retries       int           // attempts after the first without progress; -1 is none
	MaxRetryAfter time.Duration // the most that a server's Retry-After is obeyed
	Proxy         string        // "" or "environment" as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, "direct" none, or http://, https://, socks5://[user:password@]host:port
	TLS           *tls.Config   // RootCAs, Certificates; nil is the system's roots. InsecureSkipVerify is refused

	// Dial makes the TCP connections, through one network interface for
	// instance; nil is an ordinary dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client downloads. It may be used by several goroutines at once; it keeps no
// connection open between downloads and needs no closing.
type Client struct {
	opt     Options
	http    *http.Client
	limiter *rate.Limiter // nil is no limit
	pause   backoff
}

// Request names what is downloaded.
type Request struct {
	URL       string
	Size      int64  // bytes of the whole file, as announced
	Offset    int64  // bytes that the caller has already
	Validator string // what Body.Validator gave for those bytes; without it a changed file is found by its length and by its digest only

	// Fresh asks for another URL of the same file when the server says 403, 404
	// or 410: a URL may have expired while the device was off. nil is none. It
	// is called once, and again only after much progress.
	Fresh func(ctx context.Context) (url string, err error)
}

// New makes a client, or says which option has which wrong value.
func New(opt Options) (*Client, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	c := &Client{opt: opt, pause: backoff{MinBackoff, MaxBackoff}}
	if opt.RateLimit > 0 {
		c.limiter = rate.NewLimiter(rate.Limit(opt.RateLimit), burst(opt.RateLimit))
	}
	transport, err := newTransport(opt)
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return c, nil
}

// burst is what may come at once under a rate limit: a tenth of a second, at
// least a packet and at most what is buffered anyway.
func burst(perSecond int64) int {
	return int(min(max(perSecond/10, 1<<10), maxBuffered))
}

func (o *Options) complete() error {
	if o.UserAgent == "" {
		o.UserAgent = DefaultUserAgent
	}
	if o.RateLimit < 0 {
		return fmt.Errorf("rate limit %d is negative (0 is no limit)", o.RateLimit)
	}
	if o.LowSpeed < -1 || o.Retries < -1 {
		return fmt.Errorf("low speed %d and retries %d are at least -1 (which switches them off)", o.LowSpeed, o.Retries)
	}
	if o.LowSpeed == 0 {
		o.LowSpeed = DefaultLowSpeed
	}
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	o.Retries = max(o.Retries, 0)
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"low speed time", &o.LowSpeedTime, DefaultLowSpeedTime},
		{"idle timeout", &o.IdleTimeout, DefaultIdleTimeout},
		{"longest Retry-After", &o.MaxRetryAfter, DefaultMaxRetryAfter},
	} {
		if *d.value < 0 {
			return fmt.Errorf("%s %v is negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if o.TLS != nil && o.TLS.InsecureSkipVerify {
		return errors.New("TLS certificates are always verified: add the server's CA to RootCAs in place of InsecureSkipVerify")
	}
	return nil
}

// Open checks the request and gives its reader. It does not wait for the
// network: the first Read connects. The context ends the reader too.
func (c *Client) Open(ctx context.Context, r Request) (*Body, error) {
	if err := checkURL(r.URL); err != nil {
		return nil, err
	}
	if r.Size <= 0 || r.Size > ota.MaxPackageSize {
		return nil, fmt.Errorf("size %d of the file is not within 1 and %d", r.Size, int64(ota.MaxPackageSize))
	}
	if r.Offset < 0 || r.Offset > r.Size {
		return nil, fmt.Errorf("offset %d is not within the file's %d bytes", r.Offset, r.Size)
	}
	if r.Offset == 0 {
		r.Validator = "" // nothing was begun
	}
	if r.Validator != "" && !validatorOK(r.Validator) {
		return nil, errors.New("the saved validator is neither an ETag nor a date of HTTP")
	}
	return &Body{ctx: ctx, c: c, req: r, at: r.Offset, url: r.URL, valid: r.Validator}, nil
}

// Size asks how many bytes a file has that nobody announced, for [Request.Size].
// What comes is compared with it as with any other size.
func (c *Client) Size(ctx context.Context, url string) (int64, error) {
	if err := checkURL(url); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.opt.IdleTimeout, errIdle)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return 0, errors.New("the download URL cannot be read")
	}
	req.Header.Set("User-Agent", c.opt.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, explain(err, time.Now())
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("the server answers %d to a question for the size", resp.StatusCode)
	case resp.ContentLength <= 0 || resp.ContentLength > ota.MaxPackageSize:
		return 0, fmt.Errorf("the server says that the file has %d bytes, which is not within 1 and %d", resp.ContentLength, int64(ota.MaxPackageSize))
	}
	return resp.ContentLength, nil
}
