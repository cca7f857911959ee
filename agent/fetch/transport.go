package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

func newTransport(opt Options) (*http.Transport, error) {
	proxy, err := proxyFunc(opt.Proxy)
	if err != nil {
		return nil, err
	}
	dial := opt.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	cfg := &tls.Config{}
	if opt.TLS != nil {
		cfg = opt.TLS.Clone()
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	return &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: checkProxyAnswer,
		DialContext:            dial,
		TLSClientConfig:        cfg,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      true,
		// A download is one long answer: an idle connection afterwards is of no
		// use, and costs memory and a radio that cannot sleep.
		DisableKeepAlives:  true,
		DisableCompression: true,
		// Without this a stream of HTTP/2 buffers up to 4 MiB when the slot is
		// slower than the network.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: maxBuffered, MaxReceiveBufferPerConnection: maxBuffered},
	}, nil
}

func proxyFunc(proxy string) (func(*http.Request) (*url.URL, error), error) {
	switch proxy {
	case "", "environment":
		return http.ProxyFromEnvironment, nil
	case "direct":
		return nil, nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5") {
		return nil, fmt.Errorf(`proxy %s is not "environment", "direct" or http://, https:// or socks5://[user:password@]host:port`, Redact(proxy))
	}
	return http.ProxyURL(u), nil
}

// checkProxyAnswer keeps the refusals of a proxy apart from those of the server
// behind it: another URL would not help.
func checkProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK, resp.StatusCode >= 500:
		return nil // net/http makes an error of the latter, which is tried again
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return final{errProxyPassword}
	}
	return final{fmt.Errorf("the proxy refuses to connect: %s", status(resp))}
}

var errProxyPassword = errors.New("the proxy asks for a user and a password, or refuses those it was given (407)")

// checkRedirect follows at most MaxRedirects, never from https to http, and
// never to what would have been refused as a URL.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return final{fmt.Errorf("more than %d redirects", MaxRedirects)}
	}
	if err := checkParsed(req.URL); err != nil {
		return final{fmt.Errorf("redirect: %w", err)}
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme == "http" {
		return final{errors.New("a redirect from https to http is refused")}
	}
	// net/http would tell the next server the whole signed URL of the first.
	req.Header.Del("Referer")
	return nil
}

// explain sorts what net/http failed with into final and transient.
func explain(err error, now time.Time) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which has its secret in it
	}
	var f final
	if errors.As(err, &f) {
		return f
	}
	if why := explainTLS(err, now); why != nil {
		return why
	}
	return transient{why: errors.New(scrub(err.Error()))}
}

// explainTLS says what is wrong with a certificate. All of it is final but one
// that is not valid yet: a device without a clock gets its time later.
func explainTLS(err error, now time.Time) error {
	var (
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		roots   x509.SystemRootsError
		other   *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
		return transient{why: fmt.Errorf("TLS: the server's certificate is valid from %s, but the clock says %s (set the clock)",
			day(invalid.Cert.NotBefore), day(now))}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return final{fmt.Errorf("TLS: the server's certificate expired on %s, and the clock says %s", day(invalid.Cert.NotAfter), day(now))}
	case errors.As(err, &unknown):
		return final{errors.New("TLS: the server's certificate is not signed by a trusted CA (add its CA to the trusted ones)")}
	case errors.As(err, &host):
		return final{fmt.Errorf("TLS: the server's certificate is for another name: %s", scrub(host.Error()))}
	case errors.As(err, &roots):
		return final{errors.New("TLS: this system has no list of trusted CAs (install ca-certificates, or name a CA file)")}
	case errors.As(err, &other):
		return final{fmt.Errorf("TLS: the server's certificate is refused: %s", scrub(other.Err.Error()))}
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
