package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/leapslot/ota"
)

// notice announces the vector's package, signed by the vector's key.
func notice(t testing.TB, method ota.SignMethod) *ota.Notice {
	t.Helper()
	fw := read(t, "fw.bin")
	return &ota.Notice{
		ID: 1, Module: "default", Version: "2.0", SignMethod: method,
		Files:      []ota.File{{Size: int64(len(fw)), URL: "https://example.com/fw.bin", Sign: hex.EncodeToString(digestOf(t, method))}},
		DigestSign: string(read(t, vectors[method])),
	}
}

func trust(t testing.TB, require Requirement, keys ...*rsa.PublicKey) *Trust {
	t.Helper()
	var named []Key
	for i, k := range keys {
		named = append(named, Key{Name: fmt.Sprintf("%d.pem", i), Public: k})
	}
	tr, err := NewTrust(require, KeySet{Keys: named})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestTrust(t *testing.T) {
	right, wrong := vectorKey(t), &testKey().PublicKey
	unsigned := func(n *ota.Notice) { n.DigestSign = "" }
	for _, c := range []struct {
		name   string
		trust  *Trust
		change func(*ota.Notice)
		why    string // what the refusal says; empty = accepted
	}{
		{"digest", trust(t, RequireDigest), unsigned, ""},
		{"digest, signature that nobody checks", trust(t, RequireDigest), func(n *ota.Notice) { n.DigestSign = "!" }, ""},
		{"digest, in capitals", trust(t, RequireDigest), func(n *ota.Notice) { n.Files[0].Sign = strings.ToUpper(n.Files[0].Sign) }, ""},
		{"digest with keys, unsigned", trust(t, RequireDigest, right), unsigned, ""},
		{"digest with keys, signed", trust(t, RequireDigest, right), nil, ""},
		{"digest with the wrong keys, signed", trust(t, RequireDigest, wrong), nil, "no key has signed"},
		{"digest with keys, garbage", trust(t, RequireDigest, right), func(n *ota.Notice) { n.DigestSign = "garbage" }, "no key has signed"},
		{"signed", trust(t, RequireDigestSign, right), nil, ""},
		{"signed, in capitals", trust(t, RequireDigestSign, right), func(n *ota.Notice) { n.Files[0].Sign = strings.ToUpper(n.Files[0].Sign) }, ""},
		{"signed by the second key", trust(t, RequireDigestSign, wrong, right), nil, ""},
		{"T1 unsigned", trust(t, RequireDigestSign, right), unsigned, "not signed"},
		{"T2 wrong key", trust(t, RequireDigestSign, wrong), nil, "0.pem"},
		{"T5 another digest", trust(t, RequireDigestSign, right), func(n *ota.Notice) { n.Files[0].Sign = "00" + n.Files[0].Sign[2:] }, "no key has signed"},
		{"T10 blank signature", trust(t, RequireDigestSign, right), func(n *ota.Notice) { n.DigestSign = " " }, "no key has signed"},
		{"T3 no digest", trust(t, RequireDigest), func(n *ota.Notice) { n.Files[0].Sign = "" }, "digest"},
		{"T15 short digest", trust(t, RequireDigest), func(n *ota.Notice) { n.Files[0].Sign = n.Files[0].Sign[2:] }, "digest"},
		{"unknown method", trust(t, RequireDigest), func(n *ota.Notice) { n.SignMethod = "SHA1" }, "digest"},
		{"no method, no digest", trust(t, RequireDigest), func(n *ota.Notice) { n.SignMethod, n.Files[0].Sign = "", "" }, "digest"},
		{"no file", trust(t, RequireDigest), func(n *ota.Notice) { n.Files = nil }, "no file"},
		{"two files", trust(t, RequireDigest), func(n *ota.Notice) { n.Files = append(n.Files, n.Files[0]) }, ""},
		{"two files, one without a digest", trust(t, RequireDigest), func(n *ota.Notice) { n.Files = append(n.Files, ota.File{Size: 1}) }, "file 2"},
		{"two files, one signature", trust(t, RequireDigestSign, right), func(n *ota.Notice) { n.Files = append(n.Files, n.Files[0]) }, "one file"},
		{"a policy of zeros", &Trust{}, nil, "require"},
		{"a policy without its keys", &Trust{Require: RequireDigestSign}, nil, "no keys"},
		{"a policy that is none", &Trust{Require: "none"}, nil, "require"},
	} {
		for method := range vectors {
			n := notice(t, method)
			if c.change != nil {
				c.change(n)
			}
			_, err := c.trust.Check(n, Device{})
			if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s, %s: %v, want %q", c.name, method, err, c.why)
			}
		}
	}
	if _, err := trust(t, RequireDigest).Check(nil, Device{}); err == nil {
		t.Error("no notice: accepted")
	}
}

func TestNewTrustRefuses(t *testing.T) {
	key := Key{Name: "a.pem", Public: vectorKey(t)}
	again := Key{Name: "b.pem", Public: vectorKey(t)}
	for name, c := range map[string]struct {
		require Requirement
		keys    []Key
		why     string
	}{
		"nothing required":      {"", nil, "want"},
		"something unknown":     {"Digest", nil, "want"},
		"digestsign, no keys":   {RequireDigestSign, nil, "no keys"},
		"a manifest, no keys":   {RequireManifest, nil, "no keys"},
		"T8 a manifest, 0 keys": {RequireManifest, []Key{key}, "threshold"},
		"T8 the same key twice": {RequireDigestSign, []Key{key, again}, "a.pem and b.pem"},
		"T13 many keys":         {RequireDigest, make([]Key, MaxKeys+1), "at most"},
		"a key that is none":    {RequireDigest, []Key{{Name: "a.pem"}}, "a.pem"},
	} {
		if _, err := NewTrust(c.require, KeySet{Keys: c.keys}); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePublicKey(t *testing.T) {
	want := vectorKey(t)
	good := read(t, "pub.pem")
	pkcs1 := pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(want))
	for name, text := range map[string][]byte{
		"PKIX": good, "PKCS#1": pkcs1, "blanks around it": []byte("\n\n" + string(good) + "\n\n"),
		"line ends of DOS": bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")),
	} {
		got, err := ParsePublicKey(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		why  string
	}{
		"empty":           {nil, "PEM"},
		"DER":             {x509.MarshalPKCS1PublicKey(want), "PEM"},
		"text before":     {append([]byte("my key:\n"), good...), "PEM"},
		"text after":      {append(bytes.Clone(good), "more"...), "after"},
		"two keys":        {append(bytes.Clone(good), good...), "after"},
		"half a block":    {good[:200], "PEM"},
		"elliptic":        {pemOf("PUBLIC KEY", ec), "no RSA key"},
		"private":         {pemOf("PRIVATE KEY", private), "private"},
		"private, PKCS#1": {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey())), "private"},
		"a certificate":   {pemOf("CERTIFICATE", []byte("x")), "certificate"},
		"unknown":         {pemOf("SSH KEY", []byte("x")), "want PUBLIC KEY"},
		"garbage inside":  {pemOf("PUBLIC KEY", []byte("x")), ""},
		"wrong name":      {pemOf("RSA PUBLIC KEY", ec), ""},
		"too long":        {append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxKeyFile)...), "longer"},
		"too weak":        {pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: want.N, E: 3})), "exponent"},
	} {
		if key, err := ParsePublicKey(c.text); err == nil || key != nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadPublicKeys(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why string) {
		t.Helper()
		if keys, err := LoadPublicKeys(dir, KeyOptions{AllowTestKeys: true}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%d keys, %v, want an error with %q", len(keys.Keys), err, why)
		}
	}
	put("README", []byte("no key"))
	refused("no file named *.pem")
	other, err := x509.MarshalPKIXPublicKey(testKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	put("elsewhere", pemOf("PUBLIC KEY", other))
	if err := os.Symlink("elsewhere", filepath.Join(dir, "b.pem")); err != nil {
		t.Fatal(err)
	}
	put("a.pem", read(t, "pub.pem"))
	keys, err := LoadPublicKeys(dir, KeyOptions{AllowTestKeys: true})
	if err != nil || len(keys.Keys) != 2 || keys.Keys[0].Name != "a.pem" || keys.Keys[1].Name != "b.pem" || !testKey().PublicKey.Equal(keys.Keys[1].Public) {
		t.Fatalf("%v, %v", keys, err)
	}
	put("c.pem", []byte("garbage"))
	refused("c.pem")
	put("c.pem", bytes.Repeat([]byte("x"), MaxKeyFile+1))
	refused("longer")
	os.Remove(filepath.Join(dir, "c.pem"))
	if err := syscall.Mkfifo(filepath.Join(dir, "c.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("regular")
	os.Remove(filepath.Join(dir, "c.pem"))
	for i := range MaxKeys - 1 {
		put(fmt.Sprintf("many%d.pem", i), read(t, "pub.pem"))
	}
	refused("more than")
	if _, err := LoadPublicKeys(filepath.Join(dir, "none"), KeyOptions{}); err == nil {
		t.Error("no directory: loaded")
	}
}

func FuzzPublicKey(f *testing.F) {
	good := read(f, "pub.pem")
	f.Add(good)
	f.Add(pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(vectorKey(f))))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Add([]byte{})
	f.Add(pemNamed(f, "ed"))
	f.Add(pemNamed(f, "ec"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePublicKey(text)
		if (key == nil) == (err == nil) {
			t.Fatalf("%v, %v", key, err)
		}
		if err == nil && checkKey(key) != nil {
			t.Fatal("a key that is no good")
		}
		any, err := ParseKey(text)
		if (any == nil) == (err == nil) {
			t.Fatalf("%v, %v", any, err)
		}
		if _, idErr := KeyID(any); err == nil && idErr != nil {
			t.Fatal("a key that is no good")
		}
	})
}
