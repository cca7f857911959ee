package verify

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

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
