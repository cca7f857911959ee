//go:build !otad_small

package main

import (
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// emulatedTPM starts an swtpm, and gives its socket.
func emulatedTPM(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("no swtpm here, the emulated TPM: install the packages swtpm and swtpm-tools")
	}
	dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "sock")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); os.RemoveAll(dir) })
	eventually(t, "swtpm answers", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return socket
}

// A device whose secret is nowhere but in its TPM signs in, and its doctor says so.
func TestSecretInTheTPM(t *testing.T) {
	chip := emulatedTPM(t)
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	d.write("secret", testSecret+"\n")
	text, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	d.write("config.toml", strings.Replace(string(text), `device_secret = "`+testSecret+`"`, `tpm = "`+chip+`"`, 1))

	if _, stderr := d.otad(exitConfig, "run"); !strings.Contains(stderr, "it has not been set up there (otad tpm secret FILE puts it there)") {
		t.Errorf("without a secret in the TPM: %s", stderr)
	}
	d.otad(0, "tpm", "secret", d.path("secret"))
	if err := os.Remove(d.path("secret")); err != nil {
		t.Fatal(err)
	}
	if _, stderr := d.otad(exitConfig, "run"); !strings.Contains(stderr, "(otad tpm counter sets it up") {
		t.Errorf("without a counter: %s", stderr)
	}
	d.otad(0, "tpm", "counter", "--start", "4")
	out, _ := d.otad(0, "tpm", "status", "-o", "json")
	var v struct {
		Secret, Key bool
		Counter     *uint64
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || !v.Secret || v.Key || v.Counter == nil || *v.Counter != 4 {
		t.Errorf("status prints %q", out)
	}

	r := d.run()
	b.wait(t, "/inform/")
	if out, _ := d.otad(0, "doctor"); !strings.Contains(out, "in the TPM at "+chip) || !strings.Contains(out, "the TPM's security version is 4") {
		t.Errorf("doctor prints %s", out)
	}
	r.stop(syscall.SIGTERM, exitOK)

	// Another secret is refused unless it is meant.
	d.write("other", "another")
	if _, stderr := d.otad(exitFailure, "tpm", "secret", d.path("other")); !strings.Contains(stderr, "--replace") {
		t.Errorf("another secret: %s", stderr)
	}
	d.otad(0, "tpm", "secret", "--replace", d.path("other"))
}

func TestKeyInTheTPM(t *testing.T) {
	chip := emulatedTPM(t)
	d := newDevice(t, "mqtt://127.0.0.1:1", "")
	public, _ := d.otad(0, "tpm", "key", "--device", chip)
	request, _ := d.otad(0, "tpm", "key", "--device", chip, "--request", "lamp-1")
	again, _ := d.otad(0, "tpm", "key", "--device", chip)
	for text, kind := range map[string]string{public: "PUBLIC KEY", request: "CERTIFICATE REQUEST"} {
		if p, _ := pem.Decode([]byte(text)); p == nil || p.Type != kind {
			t.Errorf("printed is %q, wanted a %s", text, kind)
		}
	}
	if public != again {
		t.Error("the key was made twice")
	}
	if _, stderr := d.otad(exitConfig, "tpm", "status", "--device", d.path("none")); !strings.Contains(stderr, "there is no TPM 2.0") {
		t.Errorf("without a TPM: %s", stderr)
	}
}
