package fetch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestN12Downgrade(t *testing.T) {
	file := content(100)
	plain, http1 := serveOn(t, good(file))
	s := httptest.NewUnstartedServer(answer(302, "Location", http1.URL))
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	c := client(t, Options{TLS: &tls.Config{RootCAs: pool(s.Certificate())}})
	refused(t, c, request(s, file), nil, "from https to http")
	if len(plain.requests()) != 0 {
		t.Error("the plain server was asked")
	}
}

func pool(cert *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(cert)
	return p
}

// certificate signs itself for 127.0.0.1 and the names.
func certificate(t *testing.T, from, to time.Time, ips []net.IP, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to,
		IPAddresses: ips, DNSNames: names, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestN16TLS(t *testing.T) {
	file, here := content(100), []net.IP{net.IPv4(127, 0, 0, 1)}
	now, year := time.Now(), 365*24*time.Hour
	right := certificate(t, now.Add(-year), now.Add(year), here)
	for _, tt := range []struct {
		name     string
		cert     tls.Certificate
		trusted  *x509.Certificate // nil is the certificate itself
		words    string
		attempts int64
	}{
		{"right", right, nil, "", 1},
		{"expired", certificate(t, now.Add(-2*year), now.Add(-year), here), nil, "expired on", 1},
		{"wrong CA", right, certificate(t, now, now.Add(year), here).Leaf, "not signed by a trusted CA", 1},
		{"wrong name", certificate(t, now.Add(-year), now.Add(year), nil, "another.test"), nil, "for another name", 1},
		{"not valid yet", certificate(t, now.Add(year), now.Add(2*year), here), nil, "set the clock", 3}, // K1
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &misbehaving{script: []http.HandlerFunc{good(file)}}
			s := httptest.NewUnstartedServer(m)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{tt.cert}}
			s.Config.ErrorLog = quiet()
			l := &counting{Listener: s.Listener}
			s.Listener = l
			s.StartTLS()
			defer s.Close()
			roots := pool(tt.cert.Leaf)
			if tt.trusted != nil {
				roots = pool(tt.trusted)
			}
			c := client(t, Options{Retries: 2, TLS: &tls.Config{RootCAs: roots}})
			if tt.words == "" {
				whole(t, c, request(s, file), file)
			} else {
				refused(t, c, request(s, file), nil, tt.words)
			}
			if n := l.n.Load(); n != tt.attempts {
				t.Errorf("%d attempts, must be %d", n, tt.attempts)
			}
		})
	}
	if _, err := New(Options{TLS: &tls.Config{InsecureSkipVerify: true}}); err == nil {
		t.Error("a way to skip the check of certificates is accepted")
	}
}
