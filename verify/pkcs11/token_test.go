//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/leapslot/ota"
	cryptoki "github.com/miekg/pkcs11"
)

var _ ota.Signer = (*Secret)(nil)

const (
	pin    = "1234"
	secret = "632155d72f983dfe24b43b30c2ed9b2f"
)

// newToken makes a token of SoftHSM with a secret and two key pairs.
func newToken(t *testing.T) Config {
	t.Helper()
	cfg := Config{Token: "device", PIN: pin}
	for _, m := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(m); err == nil {
			cfg.Module = m
			break
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || cfg.Module == "" {
		t.Skip("no SoftHSM here, the token in software: install the package softhsm2")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", cfg.Token, "--so-pin", "0000", "--pin", pin).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	writeSecret(t, cfg.Module)
	ctx, err := crypto11.Configure(&crypto11.Config{Path: cfg.Module, TokenLabel: cfg.Token, Pin: pin})
	if err != nil {
		t.Fatal(err)
	}
	defer ctx.Close()
	for id, label := range map[string]string{"1": "ec", "3": "twice", "4": "twice"} {
		if _, err := ctx.GenerateECDSAKeyPairWithLabel([]byte(id), []byte(label), elliptic.P256()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ctx.GenerateRSAKeyPairWithLabel([]byte("2"), []byte("rsa"), 2048); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// writeSecret puts the device secret into the only token.
func writeSecret(t *testing.T, module string) {
	t.Helper()
	p := cryptoki.New(module)
	defer p.Destroy()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.Initialize())
	defer func() { _ = p.Finalize() }()
	slots, err := p.GetSlotList(true)
	must(err)
	session, err := p.OpenSession(slots[0], cryptoki.CKF_SERIAL_SESSION|cryptoki.CKF_RW_SESSION)
	must(err)
	must(p.Login(session, cryptoki.CKU_USER, pin))
	_, err = p.CreateObject(session, []*cryptoki.Attribute{
		cryptoki.NewAttribute(cryptoki.CKA_CLASS, cryptoki.CKO_SECRET_KEY),
		cryptoki.NewAttribute(cryptoki.CKA_KEY_TYPE, cryptoki.CKK_GENERIC_SECRET),
		cryptoki.NewAttribute(cryptoki.CKA_LABEL, "secret"),
		cryptoki.NewAttribute(cryptoki.CKA_TOKEN, true),
		cryptoki.NewAttribute(cryptoki.CKA_PRIVATE, true),
		cryptoki.NewAttribute(cryptoki.CKA_SENSITIVE, true),
		cryptoki.NewAttribute(cryptoki.CKA_EXTRACTABLE, false),
		cryptoki.NewAttribute(cryptoki.CKA_SIGN, true),
		cryptoki.NewAttribute(cryptoki.CKA_VALUE, []byte(secret)),
	})
	must(err)
}

func open(t *testing.T, cfg Config) *Token {
	t.Helper()
	token, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { token.Close() })
	return token
}

// The password that the token makes is the one that the cloud expects, from
// many goroutines too.
func TestSecretSignsIn(t *testing.T) {
	token := open(t, newToken(t))
	s, err := token.Secret("secret")
	if err != nil {
		t.Fatal(err)
	}
	c := ota.Credentials{Device: ota.Device{ProductKey: "a1pk", Name: "gateway-1"}, Signer: s}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if l, err := c.Login(); err != nil || l.Verify(secret) != nil {
					t.Errorf("%+v, %v: %v", l, err, l.Verify(secret))
				}
			}
		})
	}
	all.Wait()
	if _, err := token.Secret("other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a label that is not there: %v", err)
	}
}

func TestKeys(t *testing.T) {
	token := open(t, newToken(t))
	digest := sha256.Sum256([]byte("message"))
	ec, err := token.Key("ec")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ec.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(ec.Public().(*ecdsa.PublicKey), digest[:], sig) {
		t.Errorf("ECDSA %x: %v", sig, err)
	}
	rsaKey, err := token.Key("rsa")
	if err != nil {
		t.Fatal(err)
	}
	if sig, err = rsaKey.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil ||
		rsa.VerifyPKCS1v15(rsaKey.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], sig) != nil {
		t.Errorf("RSA %x: %v", sig, err)
	}
	if key, err := token.Key("other"); !errors.Is(err, ErrNotFound) || key != nil {
		t.Errorf("a label that is not there: %v", err)
	}
	if key, err := token.Key("twice"); err == nil || !strings.Contains(err.Error(), "2 times") || key != nil {
		t.Errorf("a label that is there twice: %v", err)
	}
	for _, key := range []crypto.Signer{ec, rsaKey} {
		handshake(t, key)
	}
}

// handshake opens TLS connections with a certificate of the key on both sides.
func handshake(t *testing.T, key crypto.Signer) {
	t.Helper()
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway-1"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), DNSNames: []string{"h"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		here, there := net.Pipe()
		server := tls.Server(there, &tls.Config{Certificates: cert, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: version})
		client := tls.Client(here, &tls.Config{Certificates: cert, RootCAs: pool, ServerName: "h"})
		done := make(chan error, 1)
		go func() {
			_, err := client.Write([]byte("x"))
			done <- err
		}()
		if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
			t.Errorf("%T in %s: %v", key.Public(), tls.VersionName(version), err)
		}
		there.Close()
		if err := <-done; err != nil {
			t.Errorf("%T in %s: %v", key.Public(), tls.VersionName(version), err)
		}
		here.Close()
	}
}

func TestOpenRefuses(t *testing.T) {
	good := newToken(t)
	for _, c := range []struct {
		says   string
		change func(*Config)
	}{
		{"are wanted", func(c *Config) { c.Module = "" }},
		{"are wanted", func(c *Config) { c.Token = "" }},
		{"/nowhere.so", func(c *Config) { c.Module = "/nowhere.so" }},
		{`"absent"`, func(c *Config) { c.Token = "absent" }},
		{"correct the PIN", func(c *Config) { c.PIN = "4321" }},
	} {
		cfg := good
		c.change(&cfg)
		token, err := Open(cfg)
		if err == nil || !strings.Contains(err.Error(), c.says) || token != nil {
			t.Errorf("%+v: error %v does not say %q", cfg, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), cfg.PIN) && cfg.PIN != pin {
			t.Errorf("the PIN is in the error %v", err)
		}
	}
}
