package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// TestBackupRestores: a backup is made while the server registers devices as fast as it
// can. The extracted directory serves: what was acknowledged before the backup is there,
// a device signs in with its secret, and downloads the whole package with the URL that it
// is given.
func TestBackupRestores(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir)
	defer func() { s.kill() }()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	l := &lamp{dev: ota.Device{ProductKey: product.ProductKey, Name: "lamp-1"}, notice: make(chan ota.Notice, 10)}
	l.secret = register(t, s, l.dev)
	fw := newFirmware(t, s, product.ProductKey)
	s.call("CreateOTAStaticUpgradeJob", nil, "ProductKey", product.ProductKey, "FirmwareId", fw, "TargetSelection", "ALL")

	stop, loaded := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				loaded <- n
				return
			default:
			}
			if s.try("RegisterDevice", nil, "ProductKey", product.ProductKey, "DeviceName", fmt.Sprint("load-", n)) != nil {
				break
			}
		}
	}()
	file := filepath.Join(t.TempDir(), "ota.tar")
	for range 3 { // again over the former one
		if out, err := otasim("backup", "--data", dir, file).CombinedOutput(); err != nil {
			t.Fatalf("backup: %v\n%s", err, out)
		}
	}
	close(stop)
	t.Logf("%d devices were registered meanwhile", <-loaded)
	s.kill()

	s = serve(t, extract(t, file))
	c := l.connect(s.mqtt)
	if c == nil {
		t.Fatal("the device cannot sign in to the restored cloud")
	}
	defer c.Disconnect(0)
	select {
	case n := <-l.notice:
		resp, err := http.Get(n.Files[0].URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if want := bytes.Repeat([]byte("firmware"), 8<<10); err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
			t.Errorf("the package's file: status %d, %d bytes, %v", resp.StatusCode, len(got), err)
		}
	case <-time.After(10 * time.Second):
		t.Error("no notice from the restored cloud")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".otasim*")); err != nil || len(left) > 0 {
		t.Errorf("the backup left %v, %v", left, err)
	}
}

// extract is tar -x into a new directory.
func extract(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, os.FileMode(h.Mode)))
		if err != nil {
			t.Fatal(err)
		}
	}
}
