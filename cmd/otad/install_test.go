package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/bundle"
)

// signer is a key whose public half the device has.
func (d *device) signer() ed25519.PrivateKey {
	d.t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.MkdirAll(d.path("keys"), 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.write("keys/release.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	return key
}

// bundle writes a signed bundle of an image.
func (d *device) bundle(name, version string, image []byte, key ed25519.PrivateKey) string {
	d.t.Helper()
	c := verify.Content{Size: int64(len(image)), SHA256: fmt.Sprintf("%x", sha256.Sum256(image))}
	signed, err := verify.SignManifest(verify.Manifest{Product: testProduct, Module: "default", Version: version, Package: c, Image: c})
	if err == nil {
		err = signed.Sign(key, "")
	}
	if err != nil {
		d.t.Fatal(err)
	}
	text, err := signed.Text()
	if err != nil {
		d.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bundle.Write(&out, text, bytes.NewReader(image), c.Size); err != nil {
		d.t.Fatal(err)
	}
	d.write(name, out.String())
	return d.path(name)
}

// supervise starts the service again whenever it asks for it, until the test ends.
func (d *device) supervise() {
	d.t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			cmd := exec.Command("otad", "run", "-c", d.file)
			if cmd.Start() != nil {
				return
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-quit:
				cmd.Process.Signal(syscall.SIGTERM)
				<-ended
				return
			}
		}
	}()
	d.t.Cleanup(func() { close(quit); <-done })
	eventually(d.t, "the service answers", d.answers)
}

// A bundle from a medium or from a web server is installed over a restart; the cloud,
// which knows nothing of it, hears the new version.
func TestInstall(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	key := d.signer()
	d.append(fmt.Sprintf("[trust]\nkeys = %q\nrequire = \"manifest\"\n", d.path("keys")))
	first := d.bundle("first.tar", "2.0.0", bytes.Repeat([]byte("two "), 9000), key)
	d.bundle("second.tar", "3.0.0", bytes.Repeat([]byte("three "), 9000), key)
	d.supervise()
	b.wait(t, "/inform/", `"version":"1.0.0"`)

	if out, _ := d.otad(0, "verify", first); !strings.Contains(out, "module default, version 2.0.0") {
		t.Errorf("verify prints %q", out)
	}
	d.otad(0, "verify", first, "--keys", d.path("keys"), "-o", "json")
	if out, _ := d.otad(0, "install", first); out != "installed: version 2.0.0\n" {
		t.Errorf("install prints %q", out)
	}
	b.wait(t, "/inform/", `"version":"2.0.0"`)
	if s := d.status(); s.Version != "2.0.0" || s.Slot != "b" {
		t.Errorf("the status is %+v", s)
	}
	if _, stderr := d.otad(exitNothing, "install", first); !strings.Contains(stderr, "installed already") {
		t.Errorf("again: %q", stderr)
	}

	srv := httptest.NewServer(http.FileServer(http.Dir(d.dir)))
	defer srv.Close()
	if out, _ := d.otad(0, "install", srv.URL+"/second.tar", "-o", "json"); !strings.Contains(out, `"version": "3.0.0"`) && !strings.Contains(out, `"version":"3.0.0"`) {
		t.Errorf("install prints %q", out)
	}
	if _, stderr := d.otad(exitDownload, "install", srv.URL+"/none.tar"); !strings.Contains(stderr, "404") {
		t.Errorf("of nothing: %q", stderr)
	}
}

// T1: what this device's keys have not signed is not installed, whoever brings it; the
// exit code is that of the verification.
func TestT1InstallUnsigned(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	d.signer()
	d.append(fmt.Sprintf("[trust]\nkeys = %q\nrequire = \"manifest\"\n", d.path("keys")))
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign := d.bundle("foreign.tar", "2.0.0", []byte("foreign"), stranger)
	d.supervise()
	b.wait(t, "/inform/")
	if _, stderr := d.otad(exitVerify, "install", foreign); !strings.Contains(stderr, "version 2.0.0: ") {
		t.Errorf("install prints %q", stderr)
	}
	for _, args := range [][]string{{"verify", foreign}, {"verify", foreign, "--keys", d.path("keys")}} {
		if _, stderr := d.otad(exitVerify, args...); !strings.Contains(stderr, "(do not install it)") {
			t.Errorf("%v prints %q", args, stderr)
		}
	}
	d.write("junk.tar", strings.Repeat("junk", 1000))
	if _, stderr := d.otad(exitFailure, "install", d.path("junk.tar")); !strings.Contains(stderr, "not a bundle") {
		t.Errorf("junk: %q", stderr)
	}
	if s := d.status(); s.Version != "1.0.0" || s.Slot != "a" {
		t.Errorf("the status is %+v", s)
	}
	d.otad(0, "pause")
	if _, stderr := d.otad(exitBusy, "install", foreign); !strings.Contains(stderr, "otad resume ends it") {
		t.Errorf("paused: %q", stderr)
	}
	if s := d.status(); !s.Paused {
		t.Errorf("the status is %+v", s)
	}
	d.otad(0, "resume")
	d.otad(exitNothing, "commit")
	d.otad(exitNothing, "rollback")
	d.otad(0, "mark-good")
}
