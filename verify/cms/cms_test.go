package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/leapslot/ota/verify"
)

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	year    = 365 * 24 * time.Hour
	message = []byte("leapslot-ota manifest v1\n{}")
)

// party is somebody with a key and a certificate.
type party struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func newECDSA(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for signatures, changed by change; a nil issuer is
// itself.
func issue(t testing.TB, key crypto.Signer, issuer *party, change func(*x509.Certificate)) party {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "leapslot test", SerialNumber: serial.String()}, NotBefore: noon.Add(-year), NotAfter: noon.Add(year),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	self := party{key, c}
	if issuer == nil {
		issuer = &self
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer.cert, key.Public(), issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	if self.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return self
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
}

func pemOf(parties ...party) []byte {
	var out []byte
	for _, p := range parties {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})...)
	}
	return out
}

func rootsOf(t testing.TB, p ...party) *Roots {
	t.Helper()
	r, err := ParseRoots(pemOf(p...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sign(t testing.TB, signer party, between ...party) []byte {
	t.Helper()
	chain := []*x509.Certificate{signer.cert}
	for _, p := range between {
		chain = append(chain, p.cert)
	}
	sig, err := Sign(message, signer.key, chain)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestSigner(t *testing.T) {
	root := issue(t, newECDSA(t), nil, authority)
	between := issue(t, newECDSA(t), &root, authority)
	ec := issue(t, newECDSA(t), &between, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs := issue(t, rsaKey, &between, nil)
	roots := rootsOf(t, root)
	for name, signer := range map[string]party{"ECDSA": ec, "RSA": rs} {
		sig := sign(t, signer, between)
		spki, err := roots.Signer(message, sig, noon)
		if err != nil || !bytes.Equal(spki, signer.cert.RawSubjectPublicKeyInfo) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s with one issuer: %d bytes", name, len(sig))
	}
}

// TestManifestByCertificate: the whole way, and what fits in 4,096 characters.
func TestManifestByCertificate(t *testing.T) {
	root := issue(t, newECDSA(t), nil, authority)
	first := issue(t, newECDSA(t), &root, authority)
	second := issue(t, newECDSA(t), &first, authority)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaRoot := issue(t, rsaKey, nil, authority)
	text := strings.Repeat("a", 64)
	m := verify.Manifest{Product: text, Module: text, Version: text, Patch: true, From: text, SecurityVersion: 7, NotBefore: noon, NotAfter: noon,
		Package: verify.Content{Size: 1 << 40, SHA256: text}, Image: verify.Content{Size: 1 << 40, SHA256: text}, Source: verify.Content{Size: 1 << 40, SHA256: text}}
	rsaSigner := issue(t, rsaKey, &rsaRoot, nil)
	for name, chain := range map[string][]party{"ECDSA, two issuers": {issue(t, newECDSA(t), &second, nil), second, first}, "RSA, no issuer": {rsaSigner}} {
		doc, err := verify.SignManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		var certs []*x509.Certificate
		for _, p := range chain {
			certs = append(certs, p.cert)
		}
		sig, err := Sign(doc.Message(), chain[0].key, certs)
		if err != nil {
			t.Fatal(err)
		}
		id, err := verify.KeyID(chain[0].key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Add(verify.Signature{KeyID: id, Algorithm: verify.CMS, Value: sig}); err != nil {
			t.Fatal(err)
		}
		udi, err := doc.Text()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d characters", name, len(udi))
		n, err := verify.NoticeOf(udi)
		if err != nil {
			t.Fatal(err)
		}
		d := verify.Device{Product: text, Version: text, Now: noon}
		trust := &verify.Trust{Require: verify.RequireManifest, Keys: verify.KeySet{Threshold: 1}, Certificates: rootsOf(t, root, rsaRoot)}
		if g, err := trust.Check(n, d); err != nil || !g.Manifest {
			t.Errorf("%s: %v", name, err)
		}
		for what, change := range map[string]func(){
			"T2 other roots":    func() { trust.Certificates = rootsOf(t, issue(t, newECDSA(t), nil, authority)) },
			"T2 revoked":        func() { trust.Keys.Revoked = []string{id} },
			"no certificates":   func() { trust.Certificates = nil },
			"two signers":       func() { trust.Keys.Threshold = 2 },
			"K1 no clock":       func() { d.Now = time.Time{} },
			"T8 a threshold 0":  func() { trust.Keys.Threshold = 0 },
			"T2 another key id": func() { n.UDI = strings.Replace(udi, id, strings.Repeat("0", 32), 1) },
		} {
			oldTrust, oldNow, oldUDI := *trust, d.Now, n.UDI
			change()
			if _, err := trust.Check(n, d); err == nil {
				t.Errorf("%s, %s: accepted", name, what)
			}
			*trust, d.Now, n.UDI = oldTrust, oldNow, oldUDI
		}
	}
}

// TestT2Certificates: wrong, expired, not yet valid, for another purpose.
func TestT2Certificates(t *testing.T) {
	root := issue(t, newECDSA(t), nil, authority)
	roots := rootsOf(t, root)
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		at     time.Time
		why    string
	}{
		"right":            {nil, noon, ""},
		"expired":          {nil, noon.Add(2 * year), "expired"},
		"not yet valid":    {nil, noon.Add(-2 * year), "not yet valid"},
		"no clock":         {nil, time.Time{}, "not known"},
		"for TLS":          {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, noon, "code signing"},
		"for anything":     {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, noon, "code signing"},
		"for nothing":      {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, noon, "code signing"},
		"not to sign":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, noon, "digitalSignature"},
		"an authority":     {func(c *x509.Certificate) { c.IsCA = true }, noon, "authority"},
		"a critical extra": {func(c *x509.Certificate) { c.ExtraExtensions = critical() }, noon, "critical"},
	} {
		signer := issue(t, newECDSA(t), &root, c.change)
		_, err := roots.Signer(message, sign(t, signer), c.at)
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", name, err, c.why)
		}
	}
	other := issue(t, newECDSA(t), nil, authority)
	if _, err := roots.Signer(message, sign(t, issue(t, newECDSA(t), &other, nil)), noon); err == nil {
		t.Error("another root: accepted")
	}
	if _, err := roots.Signer(message, sign(t, issue(t, newECDSA(t), nil, nil)), noon); err == nil {
		t.Error("signed by itself: accepted")
	}
	between := issue(t, newECDSA(t), &root, authority)
	if _, err := roots.Signer(message, sign(t, issue(t, newECDSA(t), &between, nil)), noon); err == nil {
		t.Error("without its issuer: accepted")
	}
	forTLS := issue(t, newECDSA(t), &root, func(c *x509.Certificate) {
		authority(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	if _, err := roots.Signer(message, sign(t, issue(t, newECDSA(t), &forTLS, nil), forTLS), noon); err == nil {
		t.Error("an issuer for TLS only: accepted")
	}
}

func critical() []pkix.Extension {
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
}

// TestT10T13Messages: weak digests, contents of their own, several signers, too
// many certificates, alterations.
func TestT10T13Messages(t *testing.T) {
	root := issue(t, newECDSA(t), nil, authority)
	signer, roots := issue(t, newECDSA(t), &root, nil), rootsOf(t, root)
	build := func(content []byte, change func(*pkcs7.SignedData)) []byte {
		t.Helper()
		s, err := pkcs7.NewSignedData(content)
		if err != nil {
			t.Fatal(err)
		}
		s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		change(s)
		der, err := s.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaSigner := issue(t, rsaKey, &root, nil)
	addRSA := func(s *pkcs7.SignedData) {
		s.SetEncryptionAlgorithm(pkcs7.OIDEncryptionAlgorithmRSA)
		if err := s.SignWithoutAttr(rsaSigner.cert, rsaKey, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		s.Detach()
	}
	if _, err := roots.Signer(message, build(message, addRSA), noon); err != nil {
		t.Error(err)
	}
	add := func(s *pkcs7.SignedData) {
		if err := s.AddSigner(signer.cert, signer.key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	// With attributes, as others make them; their time is that of this test, which
	// must lie in the certificate's.
	if time.Now().After(noon.Add(-year)) && time.Now().Before(noon.Add(year)) {
		if _, err := roots.Signer(message, build(message, func(s *pkcs7.SignedData) { add(s); s.Detach() }), noon); err != nil {
			t.Error(err)
		}
	} else {
		t.Log("attributes are not tried: the clock is outside of the test's certificates")
	}
	for name, sig := range map[string][]byte{
		"a content of its own": build(message, add),
		"another content":      build([]byte("other"), func(s *pkcs7.SignedData) { add(s); s.Detach() }),
		"two signers":          build(message, func(s *pkcs7.SignedData) { add(s); add(s); s.Detach() }),
		"none":                 build(message, func(s *pkcs7.SignedData) { s.AddCertificate(signer.cert); s.Detach() }),
		"SHA-1":                build(message, func(s *pkcs7.SignedData) { s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1); add(s); s.Detach() }),
		"SHA-1 with RSA":       build(message, func(s *pkcs7.SignedData) { s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1); addRSA(s) }),
		"many certificates": build(message, func(s *pkcs7.SignedData) {
			add(s)
			for range MaxCertificates {
				s.AddCertificate(root.cert)
			}
			s.Detach()
		}),
		"empty": {}, "zeros": make([]byte, 500), "too long": make([]byte, MaxMessage+1), "deep": bytes.Repeat([]byte{0x30, 0x80}, MaxMessage/2),
	} {
		if _, err := roots.Signer(message, sig, noon); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := roots.Signer([]byte("other"), sign(t, signer), noon); err == nil {
		t.Error("another message: accepted")
	}
	if _, err := Sign(message, root.key, []*x509.Certificate{signer.cert}); err == nil {
		t.Error("another's certificate: signed")
	}
	for name, text := range map[string][]byte{"empty": nil, "no authority": pemOf(signer), "a key": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"}), "long": make([]byte, MaxRootsFile+1)} {
		if _, err := ParseRoots(text); err == nil {
			t.Errorf("roots, %s: parsed", name)
		}
	}
}

// TestOpenSSL: what openssl signs is accepted, and it accepts what we sign.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatalf("%v (apt-get install openssl)", err)
	}
	dir := t.TempDir()
	now := time.Now()
	valid := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(time.Hour) }
	root := issue(t, newECDSA(t), nil, func(c *x509.Certificate) { authority(c); valid(c) })
	signer := issue(t, newECDSA(t), &root, valid)
	key, err := x509.MarshalPKCS8PrivateKey(signer.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), "cert.pem": pemOf(signer), "root.pem": pemOf(root), "message": message, "ours": sign(t, signer)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, more := range map[string][]string{"attributes": nil, "no attributes": {"-noattr"}, "SHA-512": {"-md", "sha512"}} {
		run(append([]string{"cms", "-sign", "-binary", "-in", "message", "-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER", "-out", "theirs"}, more...)...)
		theirs, err := os.ReadFile(filepath.Join(dir, "theirs"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rootsOf(t, root).Signer(message, theirs, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	run("cms", "-verify", "-binary", "-inform", "DER", "-in", "ours", "-content", "message", "-CAfile", "root.pem", "-purpose", "any", "-out", "out")
}

func FuzzCMS(f *testing.F) {
	root := issue(f, newECDSA(f), nil, authority)
	signer := issue(f, newECDSA(f), &root, nil)
	roots, good := rootsOf(f, root), sign(f, signer)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, sig []byte) {
		spki, err := roots.Signer(message, sig, noon)
		if err == nil && !bytes.Equal(spki, signer.cert.RawSubjectPublicKeyInfo) {
			t.Fatal("signed by somebody else")
		}
		if _, err := roots.Signer([]byte("other"), sig, noon); err == nil {
			t.Fatal("good for another message")
		}
	})
}
