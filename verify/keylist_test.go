package verify

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func idNamed(t testing.TB, name string) string {
	t.Helper()
	id, err := publicKey(name).ID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// list is version 3 of a list: ed signs manifests of one product, ec of all
// until tomorrow, a key was lost.
func list(t testing.TB) KeyList {
	ed, ec := publicKey("ed"), publicKey("ec")
	ed.Name, ec.Name = idNamed(t, "ed"), idNamed(t, "ec")
	ed.Roles, ed.Products = []Role{RoleManifest}, []string{"a1QR3GD1Db3"}
	ec.Roles, ec.NotAfter, ec.Products = []Role{}, noon.Add(day), []string{}
	return KeyList{Version: 3, Threshold: 1, Keys: []Key{ed, ec}, Revoked: []string{sumOf("0")[:32]}}
}

func sealedList(t testing.TB, l KeyList, names ...string) string {
	t.Helper()
	s, err := SignKeyList(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := s.Sign(signers()[n], ""); err != nil {
			t.Fatal(err)
		}
	}
	return textOf(t, s)
}

func pemNamed(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(signers()[name].Public())
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PUBLIC KEY", der)
}

// keyDir is a directory with these roots, and with the list when it is not empty.
func keyDir(t testing.TB, list string, roots ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, r := range roots {
		if err := os.WriteFile(filepath.Join(dir, r+".pem"), pemNamed(t, r), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if list != "" {
		if err := os.WriteFile(filepath.Join(dir, KeyListName), []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestKeyListRoundTrip(t *testing.T) {
	want := list(t)
	got, err := OpenKeyList(sealedList(t, want, "rsa"), []Key{publicKey("rsa")}, 1)
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// TestKeyListRules: with a list, the list alone says which keys are good.
func TestKeyListRules(t *testing.T) {
	set, err := LoadPublicKeys(keyDir(t, sealedList(t, list(t), "rsa"), "rsa"), KeyOptions{ListVersion: 3})
	if err != nil || set.ListVersion != 3 || set.Threshold != 1 || len(set.Keys) != 2 {
		t.Fatalf("%+v, %v", set, err)
	}
	tr := policy(t, RequireManifest, set)
	other := patchManifest()
	other.Product = "a2"
	for _, c := range []struct {
		name   string
		m      Manifest
		signer string
		change func(*Device)
		ok     bool
	}{
		{"a key of the list", patchManifest(), "ed", nil, true},
		{"T2 another product's key", other, "ed", func(d *Device) { d.Product = "a2" }, false},
		{"a key for all products", other, "ec", func(d *Device) { d.Product = "a2" }, true},
		{"T2 a root that is not in the list", patchManifest(), "rsa", nil, false},
		{"T2 a key that nobody knows", patchManifest(), "other", nil, false},
	} {
		d := target()
		if c.change != nil {
			c.change(&d)
		}
		if _, err := tr.Check(announced(t, sealed(t, c.m, c.signer)), d); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestT2KeyList: lists that are not to be used, and what is said of them.
func TestT2KeyList(t *testing.T) {
	revoked := list(t)
	revoked.Revoked = append(revoked.Revoked, idNamed(t, "rsa"))
	two := list(t)
	two.Threshold = 2
	good := sealedList(t, list(t), "rsa")
	for _, c := range []struct {
		name  string
		list  string
		roots []string
		o     KeyOptions
		why   string
	}{
		{"right", good, []string{"rsa"}, KeyOptions{}, ""},
		{"a newer one", good, []string{"rsa"}, KeyOptions{ListVersion: 2}, ""},
		{"rolled back", good, []string{"rsa"}, KeyOptions{ListVersion: 4}, "does not come back"},
		{"removed", "", []string{"rsa"}, KeyOptions{ListVersion: 1}, "is gone"},
		{"signed by no root", good, []string{"other"}, KeyOptions{}, "signed by 0"},
		{"signed by a key of the list", sealedList(t, list(t), "ed"), []string{"rsa"}, KeyOptions{}, "signed by 0"},
		{"signed by one of two roots", good, []string{"rsa", "other"}, KeyOptions{ListThreshold: 2}, "signed by 1"},
		{"signed by both", sealedList(t, list(t), "rsa", "other"), []string{"rsa", "other"}, KeyOptions{ListThreshold: 2}, ""},
		{"more roots wanted than there are", good, []string{"rsa"}, KeyOptions{ListThreshold: 2}, "1 root"},
		{"T8 negative", good, []string{"rsa"}, KeyOptions{ListThreshold: -1}, "below 1"},
		{"T8 negative for manifests", good, []string{"rsa"}, KeyOptions{Threshold: -1}, "below 1"},
		{"a revoked root revokes itself", sealedList(t, revoked, "rsa"), []string{"rsa", "other"}, KeyOptions{}, "revoked"},
		{"one root revokes the other", sealedList(t, revoked, "rsa", "other"), []string{"rsa", "other"}, KeyOptions{}, ""},
		{"T5 altered", alter(good), []string{"rsa"}, KeyOptions{}, ""},
		{"garbage", "garbage", []string{"rsa"}, KeyOptions{}, "JSON"},
		{"a manifest", textOf(t, sealed(t, patchManifest(), "rsa")), []string{"rsa"}, KeyOptions{}, "one form"},
		{"T13 too long", strings.Repeat(" ", MaxKeyList+1), []string{"rsa"}, KeyOptions{}, "longer"},
		{"two must sign", sealedList(t, two, "rsa"), []string{"rsa"}, KeyOptions{}, ""},
	} {
		set, err := LoadPublicKeys(keyDir(t, c.list, c.roots...), c.o)
		if c.name == "T5 altered" {
			if err == nil {
				t.Errorf("%s: taken", c.name)
			}
			continue
		}
		if (err == nil) != (c.why == "") || err != nil && (!strings.Contains(err.Error(), c.why) || len(set.Keys) > 0) {
			t.Errorf("%s: %v, want %q", c.name, err, c.why)
		}
	}
	set, err := LoadPublicKeys(keyDir(t, good, "rsa"), KeyOptions{Threshold: 2})
	if err != nil || set.Threshold != 2 {
		t.Errorf("the device wants 2, the list 1: %d, %v", set.Threshold, err)
	}
}

// TestKeyListRefuses: what no signature makes right.
func TestKeyListRefuses(t *testing.T) {
	for name, change := range map[string]func(*KeyList){
		"version 0": func(l *KeyList) { l.Version = 0 }, "a huge version": func(l *KeyList) { l.Version = MaxListVersion + 1 },
		"T8 threshold 0": func(l *KeyList) { l.Threshold = 0 }, "T8 threshold -1": func(l *KeyList) { l.Threshold = -1 }, "a threshold above the keys": func(l *KeyList) { l.Threshold = 3 },
		"T8 a key twice": func(l *KeyList) { l.Keys = append(l.Keys, l.Keys[0]) }, "no keys": func(l *KeyList) { l.Keys = nil },
		"in use and revoked": func(l *KeyList) { l.Revoked = []string{idNamed(t, "ed")} }, "revoked twice": func(l *KeyList) { l.Revoked = append(l.Revoked, l.Revoked[0]) },
		"an id that is none": func(l *KeyList) { l.Revoked = []string{"abc"} }, "an unknown role": func(l *KeyList) { l.Keys[0].Roles = []Role{"root"} },
		"a role twice": func(l *KeyList) { l.Keys[0].Roles = []Role{RoleManifest, RoleManifest} }, "a digestsign of Ed25519": func(l *KeyList) { l.Keys[0].Roles = []Role{RoleDigestSign} },
		"an empty product":         func(l *KeyList) { l.Keys[0].Products = []string{""} },
		"many products":            func(l *KeyList) { l.Keys[0].Products = strings.Split(strings.Repeat("a,", MaxProducts)+"a", ",") },
		"it ends before it begins": func(l *KeyList) { l.Keys[1].NotBefore = noon.Add(2 * day) },
		"T13 thousands revoked": func(l *KeyList) {
			for i := range MaxRevoked {
				l.Revoked = append(l.Revoked, fmt.Sprintf("%032x", i+1))
			}
		},
	} {
		l := list(t)
		change(&l)
		if _, err := l.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	body, err := list(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"null for empty": strings.Replace(string(body), `"roles":[]`, `"roles":null`, 1), "an unknown key": strings.Replace(string(body), `{`, `{"x":1,`, 1),
		"a key twice": strings.Replace(string(body), `{`, `{"version":4,`, 1), "a line break": string(body) + "\n", "empty": "",
		"T13 many keys": `{"version":3,"threshold":1,"keys":[` + strings.Repeat(`{"key":"","roles":[],"products":[],"notBefore":"","notAfter":""},`, 400) + `{"key":"","roles":[],"products":[],"notBefore":"","notAfter":""}],"revoked":[]}`,
	} {
		if _, err := DecodeKeyList([]byte(text)); err == nil || text == string(body) {
			t.Errorf("%s: decoded", name)
		}
	}
}

// TestLoadEveryKind: three kinds of keys in PEM, one of them twice.
func TestLoadEveryKind(t *testing.T) {
	dir := keyDir(t, "", "ed", "ec", "rsa")
	set, err := LoadPublicKeys(dir, KeyOptions{Threshold: 3})
	if err != nil || len(set.Keys) != 3 || set.Threshold != 3 {
		t.Fatalf("%+v, %v", set, err)
	}
	if _, err := policy(t, RequireManifest, set).Check(announced(t, sealed(t, patchManifest(), "rsa", "ed", "ec")), target()); err != nil {
		t.Error(err)
	}
	pkcs1 := pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&testKey().PublicKey))
	if err := os.WriteFile(filepath.Join(dir, "z.pem"), pkcs1, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPublicKeys(dir, KeyOptions{}); err == nil || !strings.Contains(err.Error(), "rsa.pem and z.pem are the same key") {
		t.Errorf("T8 one key in two forms: %v", err)
	}
}

func TestDigestSignRoles(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, MinKeyBits)
	if err != nil {
		t.Fatal(err)
	}
	n := notice(t, "SHA256")
	if n.DigestSign, err = SignDigest(key, "SHA256", digestOf(t, "SHA256")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Key)
		ok     bool
	}{
		"no limits": {func(*Key) {}, true}, "its role": {func(k *Key) { k.Roles = []Role{RoleDigestSign} }, true},
		"T2 expired": {func(k *Key) { k.NotAfter = noon.Add(-day) }, false}, "T2 another product": {func(k *Key) { k.Products = []string{"a2"} }, false},
		"its product": {func(k *Key) { k.Products = []string{"a1QR3GD1Db3"} }, true},
	} {
		k := Key{Name: "k", Public: &key.PublicKey}
		c.change(&k)
		if _, err := policy(t, RequireDigestSign, KeySet{Keys: []Key{k}}).Check(n, target()); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewTrust(RequireDigestSign, KeySet{Keys: []Key{{Name: "k", Public: &key.PublicKey, Roles: []Role{RoleManifest}}, publicKey("ed")}}); err == nil {
		t.Error("a digestsign is required, and no key may make one: accepted")
	}
}

func FuzzKeyList(f *testing.F) {
	good := sealedList(f, list(f), "rsa")
	f.Add(good)
	f.Add(sealedList(f, list(f), "ed", "ec", "rsa", "other"))
	body, _ := list(f).Encode()
	f.Add(string(body))
	f.Add(`{"otadkeys":1,"m":"` + base64.StdEncoding.EncodeToString([]byte(`{}`)) + `","s":[]}`)
	roots := []Key{publicKey("rsa")}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := OpenKeyList(text, roots, 1); err == nil && !strings.Contains(text, base64.StdEncoding.EncodeToString(body)) {
			t.Fatalf("opened %q", text)
		}
		if l, err := DecodeKeyList([]byte(text)); err == nil {
			if again, err := l.Encode(); err != nil || string(again) != text {
				t.Fatalf("%q is written as %q, %v", text, again, err)
			}
		}
	})
}
