package gateway

import (
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

// TestManifestOfSubDevice: what is signed counts for a sub-device too: its
// product, its version, the SHA-256 of the package where only an Md5 was
// announced, and no way back to a lower security version (T9).
func TestManifestOfSubDevice(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.NewTrust(verify.RequireManifest, verify.KeySet{Threshold: 1, Keys: []verify.Key{{Name: "k", Public: pub}}})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(t *testing.T, n *ota.Notice, m verify.Manifest) {
		s, err := verify.SignManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Sign(key, ""); err != nil {
			t.Fatal(err)
		}
		if n.UDI, err = s.Text(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(n *ota.Notice, m *verify.Manifest)
		why    string
	}{
		"right":              {func(*ota.Notice, *verify.Manifest) {}, ""},
		"T1 no manifest":     {nil, "no signed manifest"},
		"T2 another product": {func(_ *ota.Notice, m *verify.Manifest) { m.Product = "gw" }, "product"},
		"another version": {func(n *ota.Notice, m *verify.Manifest) {
			n.IsDiff, m.Patch, m.From = true, true, "0.9"
		}, "running"},
		"Md5 announced": {func(n *ota.Notice, _ *verify.Manifest) { n.SignMethod, n.Files[0].Sign = ota.MD5, "" }, ""},
		"T12 Md5 announced of another package": {func(n *ota.Notice, m *verify.Manifest) {
			n.SignMethod, n.Files[0].Sign, m.Package.SHA256 = ota.MD5, "", fmt.Sprintf("%064x", 1)
		}, "of the manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, lamp)
				w.cfg.Trust = trust
				w.start()
				w.settle(time.Minute)
				w.wants(lamp, func(n *ota.Notice) {
					if c.change == nil {
						return
					}
					content := verify.Content{Size: pkgSize, SHA256: fmt.Sprintf("%x", sha256.Sum256(w.pkg))}
					m := verify.Manifest{Product: lamp.ProductKey, Module: n.Module, Version: n.Version, Package: content, Image: content}
					c.change(n, &m)
					if n.SignMethod == ota.MD5 {
						n.Files[0].Sign = fmt.Sprintf("%x", md5.Sum(w.pkg))
					}
					sign(t, n, m)
				})
				w.settle(time.Hour)
				if c.why != "" {
					w.wantFailed(lamp, ota.StepVerifyFailed, c.why)
				} else if s := w.state(lamp); s != "succeeded" {
					t.Errorf("the task is %q", s)
				}
			})
		})
	}
	t.Run("T9", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, lamp)
			w.cfg.Trust = trust
			w.start()
			w.settle(time.Minute)
			offer := func(version string, security uint64) {
				w.wants(lamp, func(n *ota.Notice) {
					n.Version = version
					content := verify.Content{Size: pkgSize, SHA256: n.Files[0].Sign}
					sign(t, n, verify.Manifest{Product: lamp.ProductKey, Module: n.Module, Version: version, Package: content, Image: content, SecurityVersion: security})
				})
				w.settle(time.Hour)
			}
			offer("2.0.0", 5)
			if s := w.state(lamp); s != "succeeded" {
				t.Fatalf("security version 5: %q", s)
			}
			w.stop()
			w.start() // it is remembered
			w.settle(time.Minute)
			offer("1.9.0", 4)
			w.wantFailed(lamp, ota.StepVerifyFailed, "does not go back")
		})
	})
}
