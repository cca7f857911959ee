package link

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// inside is a key as hardware has it: it signs SHA-256 alone, and is not seen.
type inside struct {
	key    crypto.Signer
	signed *atomic.Int32
}

func (k inside) Public() crypto.PublicKey { return k.key.Public() }

func (k inside) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("asked for %v", opts.HashFunc())
	}
	k.signed.Add(1)
	return k.key.Sign(r, digest, opts)
}

func TestClientKeyInHardware(t *testing.T) {
	now := time.Now()
	server, ca := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
	device, deviceCA := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(deviceCA)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			b := newBroker(t)
			key := inside{device.PrivateKey.(crypto.Signer), new(atomic.Int32)}
			l := run(t, Config{CA: ca, ClientCert: deviceCA, ClientSigner: key, URL: "mqtts://" + b.listen(t, false, &tls.Config{
				Certificates: []tls.Certificate{server}, MaxVersion: version, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
			})})
			connected(t, l)
			send(t, l, "up")
			if key.signed.Load() != 1 {
				t.Errorf("%d signatures for one handshake", key.signed.Load())
			}
		})
	}
}

func TestClientKeyIsChecked(t *testing.T) {
	now := time.Now()
	device, chain := certificate(t, now, now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := device.PrivateKey.(crypto.Signer)
	for _, tt := range []struct {
		name, words string
		cfg         Config
	}{
		{"not encrypted", "not encrypted", Config{URL: "mqtt://h", ClientCert: chain, ClientSigner: own}},
		{"two keys", "one of them must go", Config{URL: "mqtts://h", ClientCert: chain, ClientSigner: own, ClientKey: []byte("x")}},
		{"no certificate", "BEGIN CERTIFICATE", Config{URL: "mqtts://h", ClientSigner: own}},
		{"another key", "is not that of the key", Config{URL: "mqtts://h", ClientCert: chain, ClientSigner: other}},
		{"no X.509", "cannot be read", Config{URL: "mqtts://h", ClientSigner: own, ClientCert: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}},
	} {
		tt.cfg.Credentials = testCredentials()
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: error %v does not say %q", tt.name, err, tt.words)
		}
	}
}
