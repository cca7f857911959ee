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
	"fmt"
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

// TestT5EveryByteAltered: of a signed manifest nothing can be changed, be it
// the body, a key id, an algorithm, a signature or a bracket.
func TestT5EveryByteAltered(t *testing.T) {
	n := announced(t, sealed(t, patchManifest(), "ed"))
	tr, udi := policy(t, RequireManifest, keySet(1, "ed")), n.UDI
	for i := range udi {
		for _, flip := range []byte{1, 2, 4, 0x20, 0x80} {
			b := []byte(udi)
			b[i] ^= flip
			n.UDI = string(b)
			if _, err := tr.Check(n, target()); err == nil {
				t.Fatalf("byte %d: accepted %s", i, n.UDI)
			}
		}
		n.UDI = udi[:i]
		if _, err := tr.Check(n, target()); err == nil {
			t.Fatalf("accepted when cut at %d", i)
		}
	}
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

// TestWrongSignatureAmongRightOnes: one that a trusted key is said to have made,
// and has not, is not outvoted; one of an unknown key is passed over.
func TestWrongSignatureAmongRightOnes(t *testing.T) {
	s := sealed(t, patchManifest(), "ed", "ec", "other")
	s.Signatures[1].Value = s.Signatures[2].Value
	s.Signatures[1].Algorithm = ECDSAP256
	n := announced(t, s)
	if _, err := policy(t, RequireManifest, keySet(1, "ed")).Check(n, target()); err != nil {
		t.Errorf("wrong for a key that is not known: %v", err)
	}
	if _, err := policy(t, RequireManifest, keySet(1, "ed", "ec")).Check(n, target()); err == nil || !strings.Contains(err.Error(), "key ec") {
		t.Errorf("wrong for a key that is known: %v", err)
	}
}

// TestT8Threshold: 0 and negative ones, and the same key twice.
func TestT8Threshold(t *testing.T) {
	for _, threshold := range []int{-1, 0, 3} {
		if _, err := NewTrust(RequireManifest, keySet(threshold, "ed", "ec")); err == nil {
			t.Errorf("a threshold of %d of two keys: accepted", threshold)
		}
		tr := &Trust{Require: RequireDigest, Keys: keySet(threshold, "ed", "ec")}
		if _, err := tr.Check(announced(t, sealed(t, patchManifest(), "ed", "ec")), target()); err == nil {
			t.Errorf("a threshold of %d, not by NewTrust: accepted", threshold)
		}
	}
	if _, err := NewTrust(RequireManifest, keySet(2, "ed", "ed")); err == nil {
		t.Error("one key as two: accepted")
	}
	s := sealed(t, patchManifest(), "rsa")
	if err := s.Sign(signers()["rsa"], RSAPKCS1); err == nil {
		t.Error("one key has signed twice")
	}
	s.Signatures = append(s.Signatures, s.Signatures[0])
	if _, err := s.Text(); err == nil {
		t.Error("one signature twice: written")
	}
	twice := bytes.Replace([]byte(textOf(t, sealed(t, patchManifest(), "ed"))), []byte(`"s":[`), []byte(`"s":[`+wireOf(t, "ed")+`,`), 1)
	if _, err := ParseSigned(KindManifest, string(twice)); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("one signature twice: %v", err)
	}
}

// wireOf is a signature as it stands on the wire.
func wireOf(t testing.TB, name string) string {
	sig := sealed(t, patchManifest(), name).Signatures[0]
	return fmt.Sprintf(`{"k":%q,"a":%q,"s":%q}`, sig.KeyID, sig.Algorithm, base64.StdEncoding.EncodeToString(sig.Value))
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

// TestT10Manifests: empty signatures, zeros, one key's as another's, unknown
// algorithms, other forms of the same.
func TestT10Manifests(t *testing.T) {
	s := sealed(t, patchManifest(), "ed", "ec", "rsa")
	message := s.Message()
	for i, name := range []string{"ed", "ec", "rsa"} {
		pub, good := signers()[name].Public(), s.Signatures[i]
		if err := verifyMessage(pub, good.Algorithm, message, good.Value); err != nil {
			t.Fatal(err)
		}
		for what, sig := range map[string][]byte{
			"empty": {}, "zeros": make([]byte, len(good.Value)), "r = s = 0": {0x30, 6, 2, 1, 0, 2, 1, 0}, "r = s = 1": {0x30, 6, 2, 1, 1, 2, 1, 1},
			"one byte more": append(bytes.Clone(good.Value), 0), "a zero before": append([]byte{0}, good.Value...), "one byte less": good.Value[1:],
			"a long head": append([]byte{0x30, 0x81, byte(len(good.Value) - 2)}, good.Value[min(2, len(good.Value)):]...),
		} {
			if verifyMessage(pub, good.Algorithm, message, sig) == nil {
				t.Errorf("%s, %s: verified", name, what)
			}
		}
		for _, alg := range []Algorithm{Ed25519, ECDSAP256, RSAPSS, RSAPKCS1, CMS, "", "none", "ED25519"} {
			if alg != good.Algorithm && verifyMessage(pub, alg, message, good.Value) == nil {
				t.Errorf("%s as %q: verified", name, alg)
			}
		}
		if verifyMessage(pub, good.Algorithm, s.Body, good.Value) == nil {
			t.Errorf("%s: verified without its domain", name)
		}
	}
	list := Signed{Kind: KindKeyList, Body: s.Body}
	if verifyMessage(signers()["ed"].Public(), Ed25519, list.Message(), s.Signatures[0].Value) == nil {
		t.Error("a manifest's signature is good for a key list")
	}
}

// TestSmallOrderKeys: such keys are refused, and the list of them is no longer
// than it must be: for each of them one signature of nothing is good for many.
func TestSmallOrderKeys(t *testing.T) {
	nothing := append([]byte{1}, make([]byte, 63)...) // R is the neutral point, S is 0
	for _, y := range smallOrder {
		for _, sign := range []byte{0, 0x80} {
			k := ed25519.PublicKey(bytes.Clone(y[:]))
			k[31] |= sign
			if _, err := KeyID(k); err == nil {
				t.Errorf("%x: taken for a key", k)
			}
			weak := false
			for i := range 256 {
				weak = weak || ed25519.Verify(k, []byte{byte(i)}, nothing)
			}
			if !weak && sign == 0 {
				t.Errorf("%x is not weak", k)
			}
		}
	}
}

// TestT13Manifests: bounded before they are looked at.
func TestT13Manifests(t *testing.T) {
	good := textOf(t, sealed(t, patchManifest(), "ed"))
	entry := wireOf(t, "ed")
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"k":"%032x","a":"ed25519","s":"AA=="}`, i))
		}
		return strings.Replace(good, entry, strings.Join(list, ","), 1)
	}
	if _, err := ParseSigned(KindManifest, many(MaxSignatures)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"one signer too many": many(MaxSignatures + 1), "thousands": many(5000), "none": strings.Replace(good, entry, "", 1),
		"null":             strings.Replace(good, "["+entry+"]", "null", 1),
		"a huge signature": strings.Replace(good, entry, `{"k":"`+sumOf("0")[:32]+`","a":"cms","s":"`+strings.Repeat("A", 4200)+`"}`, 1),
		"deep":             `{"otad":` + strings.Repeat("[", 4000),
		"megabytes":        `{"otad":1,"m":"` + strings.Repeat("A", 1<<20),
	} {
		if _, err := ParseSigned(KindManifest, text); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	s := sealed(t, patchManifest(), "ed")
	s.Signatures[0].Value = make([]byte, MaxSignatureLen)
	if _, err := s.Text(); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("longer than the custom info may be: %v", err)
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

// TestT11NothingIsReadBeforeItIsSigned: what is not signed is not taken apart,
// and so the refusal speaks of the signatures, whatever stands in the body.
func TestT11NothingIsReadBeforeItIsSigned(t *testing.T) {
	for _, body := range []string{"garbage", `{"product":`, strings.Repeat("[", 2000)} {
		forged := Signed{Kind: KindManifest, Body: []byte(body)}
		if err := forged.Sign(signers()["other"], ""); err != nil {
			t.Fatal(err)
		}
		n := announced(t, sealed(t, patchManifest(), "ed"))
		n.UDI = textOf(t, forged)
		_, err := policy(t, RequireManifest, keySet(1, "ed")).Check(n, target())
		if err == nil || !strings.Contains(err.Error(), "signed by 0") {
			t.Errorf("a manifest of %.10q: %v", body, err)
		}
		forged = Signed{Kind: KindKeyList, Body: []byte(body)}
		if err := forged.Sign(signers()["other"], ""); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeyList(textOf(t, forged), []Key{publicKey("ed")}, 1); err == nil || !strings.Contains(err.Error(), "signed by 0") {
			t.Errorf("a key list of %.10q: %v", body, err)
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
