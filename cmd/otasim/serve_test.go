package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
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
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(leaf)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", private), roots
}

// TestServeTLS: a device signs in over TLS, and SIGTERM ends the process with 0.
func TestServeTLS(t *testing.T) {
	cert, key, roots := certificate(t)
	s := serve(t, filepath.Join(t.TempDir(), "data"), "--mqtts", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	defer s.kill()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	d := ota.Device{ProductKey: product.ProductKey, Name: "lamp-1"}
	login, err := ota.Credentials{Device: d, Secret: register(t, s, d), TLS: true}.Login()
	if err != nil {
		t.Fatal(err)
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + s.mqtts).SetProtocolVersion(4).
		SetClientID(login.ClientID).SetUsername(login.Username).SetPassword(login.Password).
		SetTLSConfig(&tls.Config{RootCAs: roots}).SetAutoReconnect(false))
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatalf("signing in over TLS: %v", tok.Error())
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	c.Disconnect(0)
}

// TestServeMaxPushRate: P34's upper limit is a flag.
func TestServeMaxPushRate(t *testing.T) {
	for _, tc := range []struct {
		flag, rate, refused string
	}{{"1000", "1001", "1000"}, {"20", "21", "20"}, {"unlimited", "5000000", ""}} {
		s := serve(t, filepath.Join(t.TempDir(), "data"), "--max-push-rate", tc.flag)
		var product struct{ ProductKey string }
		s.call("CreateProduct", &product, "ProductName", "lamp")
		d := ota.Device{ProductKey: product.ProductKey, Name: "lamp-1"}
		register(t, s, d)
		fw := newFirmware(t, s, d.ProductKey)
		err := s.try("CreateOTAStaticUpgradeJob", nil, "ProductKey", d.ProductKey, "FirmwareId", fw, "TargetSelection", "ALL", "MaximumPerMinute", tc.rate)
		if (err == nil) != (tc.refused == "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
			t.Errorf("--max-push-rate %s and a batch with %s a minute: %v", tc.flag, tc.rate, err)
		}
		s.kill()
	}
}
