package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// certificate signs itself for the host; it is given as the server wants it and
// as a CA in PEM.
func certificate(t *testing.T, from, to time.Time, ip net.IP) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to,
		IPAddresses: []net.IP{ip}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestSignIn(t *testing.T) {
	cert, ca := certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), net.IPv4(127, 0, 0, 1))
	for _, tt := range []struct {
		scheme, mode string
		method       ota.HMACMethod
		ws, tls      bool
	}{
		{"mqtt", "3", ota.HMACMD5, false, false},
		{"mqtt", "3", ota.HMACSHA1, false, false},
		{"mqtt", "3", "", false, false},
		{"tcp", "3", ota.HMACSHA256, false, false},
		{"mqtts", "2", ota.HMACSHA256, false, true},
		{"ssl", "2", ota.HMACMD5, false, true},
		{"ws", "3", ota.HMACSHA256, true, false},
		{"wss", "2", ota.HMACSHA256, true, true},
	} {
		t.Run(tt.scheme+" "+string(tt.method), func(t *testing.T) {
			b := newBroker(t)
			cfg := Config{Credentials: testCredentials()}
			cfg.Credentials.Method = tt.method
			var server *tls.Config
			if tt.tls {
				server, cfg.CA = &tls.Config{Certificates: []tls.Certificate{cert}}, ca
			}
			cfg.URL = tt.scheme + "://" + b.listen(t, tt.ws, server)
			l := run(t, cfg)
			connected(t, l)
			send(t, l, "up")
			b.waitForSubscriber(t)
			b.send(t, ota.TopicUpgrade, []byte("down"))
			if e := next(t, l); e.Kind != ota.TopicUpgrade || string(e.Payload) != "down" {
				t.Errorf("event %v %q", e.Kind, e.Payload)
			}
			big := strings.Repeat("b", 100_000) // several reads and writes
			send(t, l, big)
			b.send(t, ota.TopicGetReply, []byte(big))
			if e := next(t, l); e.Kind != ota.TopicGetReply || string(e.Payload) != big {
				t.Errorf("event %v of %d bytes", e.Kind, len(e.Payload))
			}
			if got := b.payloads(); len(got) != 2 || got[0] != "up" || got[1] != big {
				t.Errorf("the broker got %d messages", len(got))
			}
			id, err := ota.ParseClientID(b.logins[0].ClientID)
			if err != nil || id.SecureMode != tt.mode || tt.method != "" && id.Method != tt.method {
				t.Errorf("client id %q, error %v", b.logins[0].ClientID, err)
			}
			if b.verdicts[0] != nil || l.LastError() != nil {
				t.Errorf("sign-in %v, last error %v", b.verdicts[0], l.LastError())
			}
		})
	}
}

// Each attempt is signed anew, by whoever holds the secret.
func TestSignerIsAskedForEachAttempt(t *testing.T) {
	b := newBroker(t)
	addr := b.listen(t, false, nil)
	calls := make(chan bool, 10)
	l := run(t, Config{URL: "mqtt://" + addr, Sign: func(_ context.Context, c ota.Credentials) (ota.Login, error) {
		calls <- c.TLS
		return c.Login()
	}})
	connected(t, l)
	for _, cl := range b.server.Clients.GetAll() {
		if !cl.Net.Inline {
			cl.Stop(nil)
		}
	}
	connected(t, l)
	if len(calls) != 2 || <-calls {
		t.Errorf("%d signatures for two connections", len(calls))
	}
	if err := l.LastError(); err == nil || !strings.Contains(err.Error(), "closed the connection") {
		t.Errorf("last error %v", err)
	}
}

func TestN16BrokersCertificate(t *testing.T) {
	now := time.Now()
	good, _ := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
	old, oldCA := certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour), net.IPv4(127, 0, 0, 1))
	other, otherCA := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(10, 0, 0, 1))
	for _, tt := range []struct {
		name, words string
		cert        tls.Certificate
		ca          []byte
	}{
		{"wrong CA", "not signed by a trusted CA", good, otherCA},
		{"expired", "expired", old, oldCA},
		{"wrong name", "10.0.0.1", other, otherCA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t)
			l := run(t, Config{URL: "mqtts://" + b.listen(t, false, &tls.Config{Certificates: []tls.Certificate{tt.cert}}), CA: tt.ca})
			for l.LastError() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			if err := l.LastError(); !strings.Contains(err.Error(), tt.words) {
				t.Errorf("last error %q does not say %q", err, tt.words)
			}
			if at, _ := b.signIns(); len(at) != 0 || l.Connected() {
				t.Error("signed in all the same")
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	good := Config{URL: "mqtts://h", Credentials: testCredentials()}
	for _, tt := range []struct {
		name, words string
		change      func(*Config)
	}{
		{"no URL", "mqtt, mqtts, ws or wss", func(c *Config) { c.URL = "" }},
		{"scheme", `"http"`, func(c *Config) { c.URL = "http://h" }},
		{"unreadable", "cannot be read", func(c *Config) { c.URL = "mqtt://[::1" }},
		{"no host", "names no host", func(c *Config) { c.URL = "mqtt://:1883" }},
		{"port", "port", func(c *Config) { c.URL = "mqtt://h:99999" }},
		{"path", "path", func(c *Config) { c.URL = "mqtt://h/mqtt" }},
		{"user", "user", func(c *Config) { c.URL = "mqtt://u:p@h" }},
		{"device", "product key", func(c *Config) { c.Credentials.Device.ProductKey = "a/b" }},
		{"secret", "secret", func(c *Config) { c.Credentials.Secret = "" }},
		{"keep-alive", "keep-alive", func(c *Config) { c.KeepAlive = time.Second }},
		{"empty CA", "BEGIN CERTIFICATE", func(c *Config) { c.CA = []byte{} }},
		{"CA for nothing", "not encrypted", func(c *Config) { c.URL, c.CA = "mqtt://h", []byte("x") }},
		{"certificate without key", "belong together", func(c *Config) { c.ClientCert = []byte("x") }},
		{"proxy", "proxy", func(c *Config) { c.Proxy = "https://h" }},
		{"proxy without host", "proxy", func(c *Config) { c.Proxy = "http://" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			c.Credentials.Secret = secret
			tt.change(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("error %v does not say %q", err, tt.words)
			}
		})
	}
	for raw, want := range map[string]address{
		"mqtt://h":           {host: "h:1883", name: "h"},
		"ssl://h":            {host: "h:8883", name: "h", tls: true},
		"mqtts://[::1]:443/": {host: "[::1]:443", name: "::1", tls: true},
		"ws://h/mqtt":        {host: "h:80", name: "h", ws: "ws://h:80/mqtt"},
		"wss://h:8443/?a=b":  {host: "h:8443", name: "h", tls: true, ws: "wss://h:8443/?a=b"},
	} {
		if got, err := parseAddress(raw); err != nil || got != want {
			t.Errorf("%s gives %+v, %v", raw, got, err)
		}
	}
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	l, err := New(Config{URL: "mqtt://h", Credentials: testCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Send(t.Context(), ota.TopicUpgrade, nil); err == nil {
		t.Error("a device publishes notices")
	}
	if err := l.Send(t.Context(), ota.TopicInform, make([]byte, ota.MaxMessageLen+1)); err == nil {
		t.Error("a message that is too long is sent")
	}
	l.Post(ota.TopicUpgrade, nil)
	l.Post(ota.TopicProgress, []byte("nobody is connected"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Send(ctx, ota.TopicInform, nil); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("error %v", err)
	}
}
