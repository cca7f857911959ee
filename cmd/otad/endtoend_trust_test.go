package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// A product with secure upgrade: a device that has the product's key installs,
// one that trusts another key only fetches nothing.
func TestEndToEndDigestSign(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	var secure struct{ Data struct{ PublicKey string } }
	c.call(&secure, "UpdateProductOTASecurity", "ProductKey", c.product, "Enable", "true")
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	stranger := c.trusting("stranger", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	task := c.wantEnd(c.batch(stranger, "2.0.0", noise("2", 1<<20)), "FAILED")
	if !strings.HasPrefix(task.TaskDesc, "-3") || len(c.road.seen()) != 0 {
		t.Errorf("with another key: the cloud shows %+v, fetched was %+v", task, c.road.seen())
	}
	stranger.wantRuns(c, "1.0.0", "a", nil)
	image := noise("3", 1<<20)
	friend := c.trusting("friend", []byte(secure.Data.PublicKey))
	c.wantEnd(c.batch(friend, "3.0.0", image), "SUCCEEDED")
	friend.wantRuns(c, "3.0.0", "b", image)
	t.Logf("with another key: %s", task.TaskDesc)
}

// Over TLS: with the broker's CA an update goes its whole way, with another one
// nothing is sent and the log says why.
func TestEndToEndTLS(t *testing.T) {
	t.Parallel()
	ca, certificate := authority(t, "the broker's")
	foreign, _ := authority(t, "another")
	c := newTown(t, &tls.Config{Certificates: []tls.Certificate{certificate}})
	over := func(name string, ca []byte) *gateway {
		file := t.TempDir() + "/ca.pem"
		mustWrite(t, file, ca)
		g := c.newGateway(name, nil, endSlot, "", fmt.Sprintf("[cloud]\nurl = \"mqtts://%s\"\nca_file = %q\n", c.mqtt, file))
		g.on()
		return g
	}
	wrong, right := over("wrong", foreign), over("right", ca)
	c.waitVersion(right, "1.0.0")
	image := noise("2", 1<<20)
	c.wantEnd(c.batch(right, "2.0.0", image), "SUCCEEDED")
	right.wantRuns(c, "2.0.0", "b", image)
	within(t, slowest, "a refusal", func() bool { return wrong.logged("not signed by a trusted CA") })
	if s, ok := wrong.status(); !ok || s.Online || c.version("wrong") != "" {
		t.Errorf("with another CA: %+v, answered %v, the cloud has version %q", s, ok, c.version("wrong"))
	}
}

// authority makes a CA, in PEM, and a certificate of this machine that it signed.
func authority(t *testing.T, name string) (ca []byte, leaf tls.Certificate) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return key, der
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey, rootDER := issue(root, root, nil)
	key, der := issue(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, root, rootKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
