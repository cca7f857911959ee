package local

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCloud(t *testing.T) {
	dir := t.TempDir()
	otasim := filepath.Join(dir, "otasim")
	if out, err := exec.Command("go", "build", "-o", otasim, "../../cmd/otasim").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var log bytes.Buffer
	c, err := Start(otasim, filepath.Join(dir, "data"), &log, "--public-url", "http://192.0.2.1:8080")
	if err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	defer c.Stop()
	if c.MQTT == "" || c.HTTP == "" || c.MQTTS != "" || c.PID() == os.Getpid() {
		t.Errorf("%+v", c)
	}
	var product struct{ ProductKey string }
	if err := c.Call(t.Context(), &product, "CreateProduct", "ProductName", "lamp", "NodeType", "0"); err != nil || product.ProductKey == "" {
		t.Fatalf("%+v, %v", product, err)
	}
	file := filepath.Join(dir, "image")
	if err := os.WriteFile(file, []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The upload reaches the cloud, though devices are told another address.
	id, err := c.MakePackage(t.Context(), file, "ProductKey", product.ProductKey, "FirmwareName", "fw", "DestVersion", "2.0")
	if err != nil || id == "" {
		t.Errorf("%q, %v", id, err)
	}
	if err := c.Call(t.Context(), nil, "NoSuchAction"); err == nil {
		t.Error("an action that there is not was answered")
	}
}

func TestStartSaysWhyNot(t *testing.T) {
	if _, err := Start(filepath.Join(t.TempDir(), "none"), t.TempDir(), nil); err == nil {
		t.Error("a program that is not there was started")
	}
	echo, err := exec.LookPath("echo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(echo, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "before it was ready") {
		t.Errorf("a program that ends at once: %v", err)
	}
}
