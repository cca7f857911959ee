package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// rsaCertificate makes a server certificate with an RSA key, as old devices want.
func rsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS runs b over TLS, as MQTT or as WebSocket.
func serveTLS(t *testing.T, b *Broker, o TLSOptions, serve func(net.Listener) error) string {
	t.Helper()
	config, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(t, b, func() error { return serve(tls.NewListener(l, config)) })
	return l.Addr().String()
}

// C SDK 4.2.0 offers RSA key exchange with CBC only: let in when the option is on, and
// refused in the handshake when it is not. Others keep their suites.
func TestTLSLegacySuites(t *testing.T) {
	c := newCity(lamp)
	b := newBroker(t, c)
	cert := rsaCertificate(t)
	legacy := serveTLS(t, b, TLSOptions{Certificate: cert, Legacy: true}, b.Serve)
	modern := serveTLS(t, b, TLSOptions{Certificate: cert}, b.Serve)
	connect := func(addr string, suites ...uint16) (uint16, error) {
		var used uint16
		o := options4("tls://"+addr, login(t, lamp, "")).SetTLSConfig(&tls.Config{
			InsecureSkipVerify: true, CipherSuites: suites, MaxVersion: tls.VersionTLS12,
			VerifyConnection: func(s tls.ConnectionState) error { used = s.CipherSuite; return nil },
		})
		cl := paho.NewClient(o)
		err := settle(cl.Connect())
		cl.Disconnect(0)
		return used, err
	}
	for _, suite := range legacySuites() {
		if used, err := connect(legacy, suite); err != nil || used != suite {
			t.Errorf("%s: %v, used %s", tls.CipherSuiteName(suite), err, tls.CipherSuiteName(used))
		}
		if _, err := connect(modern, suite); err == nil {
			t.Errorf("%s was accepted without the option", tls.CipherSuiteName(suite))
		}
	}
	modernSuite := uint16(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
	if used, err := connect(legacy, append(legacySuites(), modernSuite)...); err != nil || used != modernSuite {
		t.Errorf("a device that knows better: %v, used %s", err, tls.CipherSuiteName(used))
	}
	if _, err := (TLSOptions{Certificate: selfSigned(t), Legacy: true}).Config(); err == nil {
		t.Error("old suites with a certificate that cannot serve them")
	}
}

// authority signs the certificates of devices.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "device CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{t, c, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue makes a device's certificate.
func (a *authority) issue(name string, until time.Time) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
