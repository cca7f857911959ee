package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

func TestKey(t *testing.T) {
	e := newEmulator(t)
	tpm := e.open(t)
	if _, err := tpm.Key(); !errors.Is(err, ErrNotProvisioned) {
		t.Fatalf("an empty TPM: %v", err)
	}
	made, err := tpm.ProvisionKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := tpm.ProvisionKey(nil); err != nil || !again.public.Equal(made.public) {
		t.Errorf("set up twice it is another key: %v", err)
	}
	digest := sha256.Sum256([]byte("message"))
	tpm = e.cycle(t)
	key, err := tpm.Key()
	if err != nil || !key.public.Equal(made.public) {
		t.Fatalf("after a power cut: %v", err)
	}
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(key.public, digest[:], sig) {
		t.Errorf("signature %x: %v", sig, err)
	}
	for _, bad := range []struct {
		digest []byte
		opts   crypto.SignerOpts
	}{{digest[:31], crypto.SHA256}, {digest[:], crypto.SHA384}, {digest[:], nil}} {
		if _, err := key.Sign(rand.Reader, bad.digest, bad.opts); err == nil {
			t.Errorf("%d bytes of %v were signed", len(bad.digest), bad.opts)
		}
	}
	text, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(text)
	if pub, err := x509.ParsePKIXPublicKey(b.Bytes); err != nil || !key.public.Equal(pub) {
		t.Errorf("%s: %v", text, err)
	}
	if err := tpm.RemoveKey(nil); err != nil {
		t.Fatal(err)
	}
	if next, err := tpm.ProvisionKey(nil); err != nil || next.public.Equal(made.public) {
		t.Errorf("after the removal it is the same key: %v", err)
	}
	// The old certificate must not be shown with the new key's signature.
	if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); !errors.Is(err, ErrOther) {
		t.Errorf("a key that was replaced: %v", err)
	}
}

// A certificate is asked for, given, and opens a TLS connection.
func TestKeyInTLS(t *testing.T) {
	key, err := newEmulator(t).open(t).ProvisionKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.Request("gateway-1")
	if err != nil {
		t.Fatal(err)
	}
	b, rest := pem.Decode(text)
	req, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil || len(rest) != 0 || req.CheckSignature() != nil || req.Subject.CommonName != "gateway-1" {
		t.Fatalf("%s: %v", text, err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway-1"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), DNSNames: []string{"h"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, req.PublicKey, key)
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
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		there.Close()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		here.Close()
	}
}
