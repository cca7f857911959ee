package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// authority is a CA with an RSA key; it is the server's own certificate too.
type authority struct {
	t        *testing.T
	cert     *x509.Certificate
	key      *rsa.PrivateKey
	certFile string
	keyFile  string
	roots    *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &authority{t, c, key, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()}
	a.roots.AddCert(c)
	a.write(a.certFile, "CERTIFICATE", der)
	a.write(a.keyFile, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	return a
}

func (a *authority) write(path, kind string, b []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue makes the certificate of a device.
func (a *authority) issue(d ota.Device) tls.Certificate {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: d.Name + "&" + d.ProductKey}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestServeDoors: one process with every way in: WebSocket, WebSocket over TLS, an old
// device that has RSA-CBC suites only, and one with a certificate and no secret.
func TestServeDoors(t *testing.T) {
	a := newAuthority(t)
	s := serve(t, filepath.Join(t.TempDir(), "data"), "--mqtts", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--wss", "127.0.0.1:0",
		"--tls-cert", a.certFile, "--tls-key", a.keyFile, "--tls-legacy", "--mqtts-client-ca", a.certFile, "--connects-per-minute", "5")
	defer s.kill()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	d := ota.Device{ProductKey: product.ProductKey, Name: "lamp-1"}
	secret, err := ota.Credentials{Device: d, Secret: register(t, s, d), TLS: true}.Login()
	if err != nil {
		t.Fatal(err)
	}
	certificate := ota.Login{ClientID: "x|securemode=2|", Username: d.Name + "&" + d.ProductKey}
	safe := &tls.Config{RootCAs: a.roots}
	for i, tc := range []struct {
		server string
		login  ota.Login
		config *tls.Config
		good   bool
	}{
		{"ws://" + s.ws, secret, nil, true},
		{"wss://" + s.wss, secret, safe, true},
		{"ssl://" + s.mqtts, secret, &tls.Config{
			RootCAs: a.roots, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA256},
		}, true},
		{"ssl://" + s.mqtts, certificate, &tls.Config{RootCAs: a.roots, Certificates: []tls.Certificate{a.issue(d)}}, true},
		{"ssl://" + s.mqtts, certificate, safe, false},
		{"tcp://" + s.mqtt, secret, nil, true},
		{"tcp://" + s.mqtt, secret, nil, false}, // the sixth in a minute
	} {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(tc.server).SetProtocolVersion(4).
			SetClientID(tc.login.ClientID).SetUsername(tc.login.Username).SetPassword(tc.login.Password).
			SetTLSConfig(tc.config).SetAutoReconnect(false))
		tok := c.Connect()
		if !tok.WaitTimeout(10*time.Second) || (tok.Error() == nil) != tc.good {
			t.Errorf("%d, %s: %v", i, tc.server, tok.Error())
		}
		c.Disconnect(0)
	}
}

// TestServeDoorsRefused: what cannot be, is said before anything is served.
func TestServeDoorsRefused(t *testing.T) {
	cert, key, _ := certificate(t) // of an elliptic curve
	for want, more := range map[string][]string{
		"go together":                   {"--wss", ":0"},
		"are for --mqtts and --wss":     {"--tls-legacy"},
		"wants an RSA key":              nil,
		"--connects-per-minute is 0":    {"--connects-per-minute", "-1"},
		"has no certificate":            {"--mqtts", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--mqtts-client-ca", key},
		"the certificate needs an RSA":  {"--mqtts", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--tls-legacy"},
		"--mqtts-client-ca: open /no/p": {"--mqtts", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--mqtts-client-ca", "/no/p"},
	} {
		if more == nil {
			more = []string{"--help"}
		}
		args := []string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--access-key", "id:secret"}
		out, err := otasim(append(args, more...)...).CombinedOutput()
		if !strings.Contains(string(out), want) || (err == nil) != (more[0] == "--help") {
			t.Errorf("%v: %v, want %q in\n%s", more, err, want, out)
		}
	}
}
