package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

// signers are one pair of each kind, made for this run alone.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed2, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err, err2, err3); err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"ed": ed, "ec": ec, "rsa": testKey(), "other": ed2}
})

func publicKey(name string) Key { return Key{Name: name, Public: signers()[name].Public()} }

func keySet(threshold int, names ...string) KeySet {
	set := KeySet{Threshold: threshold}
	for _, n := range names {
		set.Keys = append(set.Keys, publicKey(n))
	}
	return set
}

var (
	day   = 24 * time.Hour
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	sumOf = func(c string) string { return strings.Repeat(c, 64) }
)

func patchManifest() Manifest {
	return Manifest{
		Product: "a1QR3GD1Db3", Module: "default", Version: "2.0.0", Patch: true, From: "1.0.0",
		Package: Content{1000, sumOf("a")}, Image: Content{5 << 32, sumOf("b")}, Source: Content{4096, sumOf("c")},
		SecurityVersion: 7, NotBefore: noon.Add(-day), NotAfter: noon.Add(day),
	}
}

func target() Device {
	return Device{Product: "a1QR3GD1Db3", Version: "1.0.0", SecurityVersion: 7, Now: noon}
}

// sealed signs a manifest with the keys of these names.
func sealed(t testing.TB, m Manifest, names ...string) Signed {
	t.Helper()
	s, err := SignManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := s.Sign(signers()[n], ""); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func textOf(t testing.TB, s Signed) string {
	t.Helper()
	text, err := s.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// announced is the notice of the manifest, as a cloud sends it.
func announced(t testing.TB, s Signed) *ota.Notice {
	t.Helper()
	n, err := NoticeOf(textOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	n.Files[0].URL = "https://example.com/p"
	return n
}

func policy(t testing.TB, require Requirement, set KeySet) *Trust {
	t.Helper()
	tr, err := NewTrust(require, set)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestManifestIsGranted(t *testing.T) {
	m := patchManifest()
	want := Grant{Manifest: true, PackageSize: 1000, PackageSHA256: sumOf("a"), ImageSize: 5 << 32, ImageSHA256: sumOf("b"),
		SourceSize: 4096, SourceSHA256: sumOf("c"), SecurityVersion: 7}
	for _, c := range []struct {
		key string
		alg Algorithm
	}{{"ed", Ed25519}, {"ec", ECDSAP256}, {"rsa", RSAPSS}, {"rsa", RSAPKCS1}, {"ed", ""}, {"ec", ""}, {"rsa", ""}} {
		s, err := SignManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Sign(signers()[c.key], c.alg); err != nil {
			t.Fatalf("%s: %v", c.key, err)
		}
		for _, require := range []Requirement{RequireDigest, RequireManifest} {
			got, err := policy(t, require, keySet(1, c.key)).Check(announced(t, s), target())
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("%s %s: %v %s", c.key, require, err, d)
			}
		}
	}
	// Without keys it is custom info like any other, and nothing is granted.
	g, err := policy(t, RequireDigest, KeySet{}).Check(announced(t, sealed(t, m, "ed")), Device{})
	if g != (Grant{}) || err != nil {
		t.Errorf("without keys: %v, %v", g, err)
	}
}

func TestManifestRoundTrip(t *testing.T) {
	full := patchManifest()
	full.Patch, full.From, full.Source = false, "", Content{}
	full.NotBefore, full.NotAfter = time.Time{}, time.Time{}
	for _, m := range []Manifest{patchManifest(), full} {
		body, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeManifest(body)
		if d := cmp.Diff(m, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
	s := sealed(t, full, "ed", "ec", "rsa")
	got, err := ParseSigned(KindManifest, textOf(t, s))
	if d := cmp.Diff(s, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	t.Logf("a manifest of three signatures has %d characters", len(textOf(t, s)))
}

// TestT1T3T5T9ManifestRefused changes one fact at a time: of what is signed, of what is
// announced, of the device.
func TestT1T3T5T9ManifestRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		signed func(*Manifest)
		notice func(*ota.Notice)
		device func(*Device)
		why    string
	}{
		{"nothing", nil, nil, nil, ""},
		{"T1 no manifest", nil, func(n *ota.Notice) { n.UDI = "" }, nil, "no signed manifest"},
		{"T1 other custom info", nil, func(n *ota.Notice) { n.UDI = `{"my":"info"}` }, nil, "no signed manifest"},
		{"T2 another product", nil, nil, func(d *Device) { d.Product = "a2" }, "product"},
		{"T2 no product", nil, nil, func(d *Device) { d.Product = "" }, "product"},
		{"another module", nil, func(n *ota.Notice) { n.Module = "MCU" }, nil, "module"},
		{"T9 an older package as a newer one", nil, func(n *ota.Notice) { n.Version = "3.0.0" }, nil, "version"},
		{"a patch as an image", nil, func(n *ota.Notice) { n.IsDiff = false }, nil, "patch"},
		{"a patch of another version", nil, nil, func(d *Device) { d.Version = "1.0.1" }, "running"},
		{"a patch of an unknown version", nil, nil, func(d *Device) { d.Version = "" }, "running"},
		{"a patch of any version", func(m *Manifest) { m.From = "" }, nil, func(d *Device) { d.Version = "0.1" }, ""},
		{"another size", nil, func(n *ota.Notice) { n.Files[0].Size++ }, nil, "bytes"},
		{"T9 parts of two releases", nil, func(n *ota.Notice) { n.Files[0].Size, n.Files[0].Sign = 2000, sumOf("e") }, nil, "bytes"},
		{"T5 another digest", nil, func(n *ota.Notice) { n.Files[0].Sign = sumOf("d") }, nil, "SHA-256"},
		{"T15 the digest in capitals", nil, func(n *ota.Notice) { n.Files[0].Sign = sumOf("A") }, nil, ""},
		{"T15 a short digest", nil, func(n *ota.Notice) { n.Files[0].Sign = sumOf("a")[2:] }, nil, "digits"},
		{"an Md5 beside it", nil, func(n *ota.Notice) { n.SignMethod, n.Files[0].Sign = ota.MD5, sumOf("1")[:32] }, nil, ""},
		{"T3 a second file", nil, func(n *ota.Notice) { n.Files = append(n.Files, n.Files[0]) }, nil, "one file"},
		{"T9 an older security version", nil, nil, func(d *Device) { d.SecurityVersion = 8 }, "does not go back"},
		{"a newer security version", nil, nil, func(d *Device) { d.SecurityVersion = 6 }, ""},
		{"not yet valid", nil, nil, func(d *Device) { d.Now = noon.Add(-2 * day) }, "valid from"},
		{"expired", nil, nil, func(d *Device) { d.Now = noon.Add(2 * day) }, "valid until"},
		{"K1 no clock", nil, nil, func(d *Device) { d.Now = time.Time{} }, "not known"},
		{"no clock needed", func(m *Manifest) { m.NotBefore, m.NotAfter = time.Time{}, time.Time{} }, nil, func(d *Device) { d.Now = time.Time{} }, ""},
		{"T5 one character altered", nil, func(n *ota.Notice) { n.UDI = alter(n.UDI) }, nil, "manifest"},
	} {
		m := patchManifest()
		if c.signed != nil {
			c.signed(&m)
		}
		n, d := announced(t, sealed(t, m, "ed")), target()
		if c.notice != nil {
			c.notice(n)
		}
		if c.device != nil {
			c.device(&d)
		}
		g, err := policy(t, RequireManifest, keySet(1, "ed")).Check(n, d)
		if (err == nil) != (c.why == "") || err != nil && (!strings.Contains(err.Error(), c.why) || g != (Grant{})) {
			t.Errorf("%s: %v, %v, want %q", c.name, g, err, c.why)
		}
	}
}

// alter changes a character in the middle of the body.
func alter(udi string) string {
	b := []byte(udi)
	b[100] ^= 1
	return string(b)
}

// TestT2KeysOfManifests: wrong, revoked, expired, not yet valid, for another
// product, for another use.
func TestT2KeysOfManifests(t *testing.T) {
	n := announced(t, sealed(t, patchManifest(), "ed", "ec"))
	for name, c := range map[string]struct {
		change func(*KeySet)
		why    string
	}{
		"right":               {func(s *KeySet) {}, ""},
		"wrong":               {func(s *KeySet) { s.Keys = []Key{publicKey("other")} }, "not known"},
		"revoked":             {func(s *KeySet) { id, _ := s.Keys[0].ID(); s.Revoked = []string{id} }, "revoked"},
		"expired":             {func(s *KeySet) { s.Keys[0].NotAfter = noon.Add(-time.Second) }, "valid until"},
		"not yet valid":       {func(s *KeySet) { s.Keys[0].NotBefore = noon.Add(time.Second) }, "valid from"},
		"valid now":           {func(s *KeySet) { s.Keys[0].NotBefore, s.Keys[0].NotAfter = noon, noon }, ""},
		"another product":     {func(s *KeySet) { s.Keys[0].Products = []string{"a2", "a3"} }, "product"},
		"several products":    {func(s *KeySet) { s.Keys[0].Products = []string{"a2", "a1QR3GD1Db3"} }, ""},
		"another use":         {func(s *KeySet) { s.Keys = []Key{publicKey("rsa"), s.Keys[0]}; s.Keys[1].Roles = []Role{RoleDigestSign} }, "not for manifest"},
		"one of two expired":  {func(s *KeySet) { s.Keys = append(s.Keys, publicKey("ec")); s.Keys[0].NotAfter = noon.Add(-day) }, ""},
		"two wanted":          {func(s *KeySet) { *s = keySet(2, "ed", "ec") }, ""},
		"two wanted, one has": {func(s *KeySet) { *s = keySet(2, "ed", "other") }, "signed by 1"},
		"three wanted":        {func(s *KeySet) { *s = keySet(3, "ed", "ec", "other") }, "signed by 2"},
	} {
		set := keySet(1, "ed")
		c.change(&set)
		_, err := policy(t, RequireManifest, set).Check(n, target())
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", name, err, c.why)
		}
	}
}

func TestT12Md5(t *testing.T) {
	tr := policy(t, RequireDigest, KeySet{})
	n := notice(t, ota.MD5)
	tr.MinMethod = ota.MD5
	if _, err := tr.Check(n, Device{}); err != nil {
		t.Error(err)
	}
	tr.MinMethod = ota.SHA256
	if _, err := tr.Check(n, Device{}); err == nil || !strings.Contains(err.Error(), "Md5") {
		t.Errorf("Md5: %v", err)
	}
	if _, err := tr.Check(notice(t, ota.SHA256), Device{}); err != nil {
		t.Error(err)
	}
	tr.MinMethod = "sha256"
	if _, err := tr.Check(notice(t, ota.SHA256), Device{}); err == nil {
		t.Error("an unknown method as the weakest: accepted")
	}
}

// TestOneForm: a manifest can be written in one way only.
func TestOneForm(t *testing.T) {
	body, err := patchManifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(body)
	r := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in it", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, text := range map[string]string{
		"an unknown key": r(`{`, `{"x":1,`), "a key twice": r(`{`, `{"product":"a2",`), "a key missing": r(`"from":"1.0.0",`, ``),
		"another case": r(`"from"`, `"From"`), "a blank": r(`,"from"`, `, "from"`), "a line break": good + "\n", "something after": good + "{}",
		"an exponent": r(`:1000,`, `:1e3,`), "a float": r(`:1000,`, `:1000.0,`), "negative": r(`:1000,`, `:-1000,`), "2^63": r(`:1000,`, `:9223372036854775808,`),
		"a string": r(`:1000,`, `:"1000",`), "null": r(`"1.0.0"`, `null`), "an escape": r(`"default"`, `"d\u0065fault"`), "out of place": r(`"from":"1.0.0",`, ``)[:len(good)-17] + `,"from":"1.0.0"}`,
		"the digest in capitals": r(sumOf("a"), sumOf("A")), "T15 a short digest": r(sumOf("a"), sumOf("a")[2:]), "T3 an empty digest": r(sumOf("a"), ""),
		"a local time": r(`"2026-11-21T12:00:00Z"`, `"2026-11-21T13:00:00+01:00"`), "a fraction": r(`"2026-11-21T12:00:00Z"`, `"2026-11-21T12:00:00.5Z"`),
		"it ends before it begins": r(`"2026-11-23T`, `"2026-11-20T`), "another type": r(`"patch"`, `"diff"`), "empty type": r(`"patch"`, `""`),
		"a full image with a source": r(`"patch"`, `"full"`), "a product of two lines": r(`a1QR3GD1Db3`, `a1\n`), "I5 no version": r(`"2.0.0"`, `""`),
		"a security version that is a date": r(`"securityVersion":7`, `"securityVersion":20261122`), "empty": "", "an array": "[]", "no object": "null", "size 0": r(`:1000,`, `:0,`),
	} {
		if _, err := DecodeManifest([]byte(text)); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	if _, err := DecodeManifest(bytes.Repeat([]byte(" "), ota.MaxUDILen+1)); err == nil {
		t.Error("a long one: decoded")
	}
}

// TestManifestDoesNotLeanOnTheCloud: with a manifest required, a digestsign of
// the cloud's own key, which this device does not have, is nothing to it; where
// it is not required, a wrong manifest is as bad as a wrong digestsign.
func TestManifestDoesNotLeanOnTheCloud(t *testing.T) {
	n := announced(t, sealed(t, patchManifest(), "rsa"))
	n.DigestSign = base64.StdEncoding.EncodeToString(make([]byte, 256))
	if _, err := policy(t, RequireManifest, keySet(1, "rsa")).Check(n, target()); err != nil {
		t.Error(err)
	}
	if _, err := policy(t, RequireDigest, keySet(1, "rsa")).Check(n, target()); err == nil {
		t.Error("a wrong digestsign: accepted")
	}
	digest, _ := hex.DecodeString(sumOf("a"))
	var err error
	if n.DigestSign, err = SignDigest(testKey(), ota.SHA256, digest); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		udi string
		ok  bool
	}{"none": {"", true}, "right": {n.UDI, true}, "altered": {alter(n.UDI), false}, "garbage": {`{"otad":`, false}} {
		n.UDI = c.udi
		if _, err := policy(t, RequireDigestSign, keySet(1, "rsa")).Check(n, target()); (err == nil) != c.ok {
			t.Errorf("signed digest and %s manifest: %v", name, err)
		}
	}
}

func TestMemoryCounter(t *testing.T) {
	var c Counter = &MemoryCounter{}
	for _, step := range []struct{ to, want uint64 }{{0, 0}, {7, 7}, {3, 7}, {8, 8}} {
		if err := c.Raise(step.to); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Value(); v != step.want || err != nil {
			t.Errorf("raised to %d: %d, %v", step.to, v, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	s := sealed(f, patchManifest(), "ed")
	f.Add(textOf(f, s))
	f.Add(textOf(f, sealed(f, patchManifest(), "ed", "ec", "rsa")))
	f.Add(string(s.Body))
	f.Add(`{"otad":1,"m":"","s":[]}`)
	f.Add("")
	tr := policy(f, RequireManifest, keySet(1, "ed"))
	n := announced(f, s)
	right := n.UDI
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSigned(KindManifest, text); err == nil {
			if again, err := s.Text(); err != nil || again != text {
				t.Fatalf("%q is written as %q, %v", text, again, err)
			}
		}
		if m, err := DecodeManifest([]byte(text)); err == nil {
			if again, err := m.Encode(); err != nil || string(again) != text {
				t.Fatalf("%q is written as %q, %v", text, again, err)
			}
		}
		c := *n
		c.UDI = text
		if _, err := tr.Check(&c, target()); err == nil && text != right && !bytes.Contains([]byte(text), []byte(base64.StdEncoding.EncodeToString(s.Body))) {
			t.Fatalf("accepted %q", text)
		}
	})
}
