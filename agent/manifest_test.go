package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
	otab "github.com/leapslot/ota/verify/bundle"
)

const testProduct = "a1PRODUCT"

// realTrust is a policy with one key, made from nothing but a letter.
func realTrust(t *testing.T, require verify.Requirement, key byte) *verify.Trust {
	t.Helper()
	trust, err := verify.NewTrust(require, verify.KeySet{Keys: []verify.Key{{Name: "it", Public: signingKey(key).Public()}}, Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func signingKey(key byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{key}, ed25519.SeedSize))
}

// manifest signs what the world announces.
func (w *world) manifest(key byte, change func(*verify.Manifest)) string {
	w.t.Helper()
	g := grantOf(w.pkg, w.new)
	m := verify.Manifest{Product: testProduct, Module: w.notice.Module, Version: w.notice.Version, Patch: w.notice.IsDiff, SecurityVersion: 7,
		Package: verify.Content{Size: g.PackageSize, SHA256: g.PackageSHA256}, Image: verify.Content{Size: g.ImageSize, SHA256: g.ImageSHA256}}
	if m.Patch {
		m.From, m.Source = oldVersion, verify.Content{Size: int64(len(w.old)), SHA256: fmt.Sprintf("%x", sha256.Sum256(w.old))}
	}
	if change != nil {
		change(&m)
	}
	s, err := verify.SignManifest(m)
	if err == nil {
		err = s.Sign(signingKey(key), "")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := s.Text()
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// With the real policy and real signatures: a good package passes, and T1, T2,
// T5, T9 and T12 are refused before a byte is fetched.
func TestManifests(t *testing.T) {
	product := func(c *Config) { c.Product = testProduct }
	for name, spoil := range map[string]func(w *world){
		"good":                   func(*world) {},
		"T1 no manifest":         func(w *world) { w.notice.UDI = "" },
		"T2 wrong key":           func(w *world) { w.notice.UDI = w.manifest('x', nil) },
		"T2 another product":     func(w *world) { w.change = func(c *Config) { c.Product = "a1OTHER" } },
		"T5 altered":             func(w *world) { w.notice.UDI = w.notice.UDI[:200] + "A" + w.notice.UDI[201:] },
		"T9 under a new version": func(w *world) { w.notice.Version = "2.0.1" },
		"T9 older than the counter": func(w *world) {
			c := &verify.MemoryCounter{}
			c.Raise(8)
			w.change = func(cfg *Config) { product(cfg); cfg.Counter = c }
		},
		"T12 downgraded to MD5": func(w *world) {
			w.signed(true, nil)
			trust := realTrust(w.t, verify.RequireManifest, 'k')
			trust.MinMethod = ota.SHA256
			w.policy = trust
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := patchWorld(t)
			w.change = product
			w.policy = realTrust(t, verify.RequireManifest, 'k')
			w.notice.UDI = w.manifest('k', nil)
			spoil(w)
			if name == "good" {
				w.ends("[1.0.0 100 2.0.0]", true, "")
				return
			}
			w.ends("[1.0.0 -3]", false, "")
			if len(w.ranges) != 0 {
				t.Error("it was fetched all the same")
			}
		})
	}
}

// A real bundle, on a device that wants less of what the cloud announces; and one
// whose key is not this device's.
func TestRealBundle(t *testing.T) {
	for _, key := range []byte{'k', 'x'} {
		w := goodWorld(t)
		w.cloud.quiet, w.install = true, w.path("usb.otab")
		w.policy = realTrust(t, verify.RequireDigest, 'k')
		w.change = func(c *Config) {
			c.Product, c.TrustBundles = testProduct, realTrust(t, verify.RequireManifest, 'k')
			c.OpenBundle = func(r io.ReaderAt, size int64) (Bundle, error) {
				b, err := otab.Open(r, size)
				if err != nil {
					return Bundle{}, err
				}
				n, err := verify.NoticeOf(b.Manifest)
				if err != nil {
					return Bundle{}, err
				}
				return Bundle{Notice: *n, Payload: b.Package(r)}, nil
			}
		}
		var out bytes.Buffer
		if err := otab.Write(&out, w.manifest(key, nil), bytes.NewReader(w.pkg), int64(len(w.pkg))); err != nil {
			t.Fatal(err)
		}
		w.write("usb.otab", out.Bytes())
		if key == 'k' {
			w.ends("[1.0.0 100 2.0.0]", true, "")
		} else {
			w.ends("[1.0.0 -3]", false, "manifest")
		}
	}
}
