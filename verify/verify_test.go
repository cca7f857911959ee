package verify

import (
	"bytes"
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/leapslot/ota"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testKey is a pair that lives as long as the test: no private key is kept in
// the repository.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, MinKeyBits)
	if err != nil {
		panic(err)
	}
	return key
})

func vectorKey(t testing.TB) *rsa.PublicKey {
	t.Helper()
	key, err := ParsePublicKey(read(t, "pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// digestOf is the digest of the vector's package.
func digestOf(t testing.TB, method ota.SignMethod) []byte {
	t.Helper()
	h, err := NewDigest(method)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(read(t, "fw.bin"))
	return h.Sum(nil)
}

// vectors are the digestsigns of protocol section 7.
var vectors = map[ota.SignMethod]string{ota.MD5: "digestsign_md5.b64", ota.SHA256: "digestsign_sha256.b64"}

func TestVectors(t *testing.T) {
	pub := vectorKey(t)
	for method, name := range vectors {
		sig := string(read(t, name))
		if err := VerifyDigestSign(pub, method, digestOf(t, method), sig); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	if VerifyDigestSign(pub, ota.MD5, digestOf(t, ota.MD5), string(read(t, vectors[ota.SHA256]))) == nil {
		t.Error("the signature of one digest is taken for the other")
	}
}

func TestDigests(t *testing.T) {
	if _, err := NewDigest("SHA1"); err == nil {
		t.Error("an unknown method has a digest")
	}
	if _, err := NewDigest(""); err == nil {
		t.Error("no method has a digest")
	}
	data := bytes.Repeat([]byte("0123456789"), 1000)
	wantMD5, want := md5.Sum(data), sha256.Sum256(data)
	s := NewSHA256()
	s.Write(data)
	if !bytes.Equal(s.Sum(nil), want[:]) {
		t.Error("NewSHA256 is no SHA-256")
	}
	for method, want := range map[ota.SignMethod][]byte{ota.MD5: wantMD5[:], ota.SHA256: want[:]} {
		a, err := NewDigest(method)
		if err != nil {
			t.Fatal(err)
		}
		a.Write(data[:3333])
		state, err := a.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := NewDigest(method)
		if err := b.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		b.Write(data[3333:])
		if !bytes.Equal(b.Sum(nil), want) {
			t.Errorf("%s: the digest is another after its state was restored", method)
		}
	}
}

// TestT15: compared exactly once normalised; a wrong length is refused.
func TestT15(t *testing.T) {
	sum := sha256.Sum256([]byte("package"))
	lower := hex.EncodeToString(sum[:])
	for _, good := range []string{lower, strings.ToUpper(lower), lower[:10] + strings.ToUpper(lower[10:])} {
		if err := Equal(good, sum[:]); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	other := "0" + lower[1:]
	if other == lower {
		other = "1" + lower[1:]
	}
	for _, bad := range []string{"", lower[:63], lower + "0", lower + "00", " " + lower, lower + "\n", " " + lower[:63],
		"0x" + lower, lower[:62] + "zz", lower[:32], strings.Repeat("0", 64), other} {
		if Equal(bad, sum[:]) == nil {
			t.Errorf("%q was taken for it", bad)
		}
	}
	if Equal("", nil) == nil || Equal("", []byte{}) == nil || Equal(lower, nil) == nil { // T3
		t.Error("an empty digest was taken for equal")
	}
}

func TestSignAndVerify(t *testing.T) {
	key := testKey()
	for method, n := range map[ota.SignMethod]int{ota.MD5: 16, ota.SHA256: 32} {
		digest := bytes.Repeat([]byte{7}, n)
		sig, err := SignDigest(key, method, digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyDigestSign(&key.PublicKey, method, digest, sig); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if VerifyDigestSign(vectorKey(t), method, digest, sig) == nil { // T2
			t.Errorf("%s: verified with another key", method)
		}
		for i := range digest {
			digest[i] ^= 1
			if VerifyDigestSign(&key.PublicKey, method, digest, sig) == nil {
				t.Errorf("%s: verified another digest", method)
			}
			digest[i] ^= 1
		}
	}
	for name, err := range map[string]error{
		"no key":         second(SignDigest(nil, ota.MD5, make([]byte, 16))),
		"wrong length":   second(SignDigest(key, ota.MD5, make([]byte, 32))),
		"empty digest":   second(SignDigest(key, ota.SHA256, nil)),
		"unknown method": second(SignDigest(key, "SHA1", make([]byte, 20))),
	} {
		if err == nil {
			t.Errorf("signed: %s", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestT10: empty signatures, unknown algorithms and games with the padding.
func TestT10(t *testing.T) {
	key := testKey()
	digest := bytes.Repeat([]byte{9}, 32)
	sum := sha256.Sum256(digest)
	b64 := base64.StdEncoding.EncodeToString
	good, err := SignDigest(key, ota.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(good)
	pss, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	ofFile, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest) // of the digest as if it were the hash
	if err != nil {
		t.Fatal(err)
	}
	unnamed, err := rsa.SignPKCS1v15(nil, key, 0, sum[:]) // without the name of the hash
	if err != nil {
		t.Fatal(err)
	}
	// Raw RSA of paddings that a careless check lets through.
	power := func(em []byte) string {
		n := new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N)
		return b64(n.FillBytes(make([]byte, key.Size())))
	}
	prefix, _ := hex.DecodeString("3031300d060960864801650304020105000420")
	info := append(prefix, sum[:]...)
	short := append(append([]byte{0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0}, info...), make([]byte, 256-11-len(info))...)
	noise := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xFE}, 256-3-len(info))...), append([]byte{0}, info...)...)
	whole := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xFF}, 256-3-len(info))...), append([]byte{0}, info...)...)
	if err := VerifyDigestSign(&key.PublicKey, ota.SHA256, digest, power(whole)); err != nil {
		t.Fatalf("the games below prove nothing: %v", err)
	}
	for name, sig := range map[string]string{
		"empty": "", "zeros": b64(make([]byte, 256)), "one": b64(append(make([]byte, 255), 1)), "the modulus": b64(key.N.Bytes()),
		"PSS": b64(pss), "digest as hash": b64(ofFile), "no hash named": b64(unnamed), "short padding": power(short), "noisy padding": power(noise),
		"one byte less": b64(raw[1:]), "one byte more": b64(append([]byte{0}, raw...)), "plus the modulus": b64(new(big.Int).Add(new(big.Int).SetBytes(raw), key.N).Bytes()),
	} {
		if VerifyDigestSign(&key.PublicKey, ota.SHA256, digest, sig) == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if VerifyDigestSign(&key.PublicKey, "SHA1", digest, good) == nil || VerifyDigestSign(&key.PublicKey, "", digest, good) == nil {
		t.Error("an unknown method: verified")
	}
}

// TestT13: signatures are bounded, and have one form.
func TestT13(t *testing.T) {
	pub := vectorKey(t)
	digest := digestOf(t, ota.SHA256)
	good := string(read(t, vectors[ota.SHA256]))
	for name, sig := range map[string]string{
		"huge": strings.Repeat("A", 1<<20), "just too long": strings.Repeat("A", ota.MaxDigestSignLen+4),
		"line break at its end": good + "\n", "line break inside": good[:64] + "\n" + good[64:], "blanks": " " + good,
		"without padding": strings.TrimRight(good, "="), "more padding": good + "====", "URL alphabet": strings.NewReplacer("+", "-", "/", "_").Replace(good),
		"stray bits": good[:len(good)-3] + "B==", "twice": good + good,
	} {
		if sig == good {
			t.Fatalf("%s: the same", name)
		}
		if VerifyDigestSign(pub, ota.SHA256, digest, sig) == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

func TestWeakKeys(t *testing.T) {
	n := func(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }
	for name, pub := range map[string]*rsa.PublicKey{
		"none": nil, "empty": {}, "1024 bits": {N: n(1024), E: 65537}, "2047 bits": {N: n(2047), E: 65537},
		"huge": {N: n(MaxKeyBits + 1), E: 65537}, "exponent 1": {N: n(2048), E: 1}, "exponent 3": {N: n(2048), E: 3},
		"even exponent": {N: n(2048), E: 65538}, "negative exponent": {N: n(2048), E: -1},
		"even modulus": {N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}, "negative": {N: new(big.Int).Neg(n(2048)), E: 65537},
	} {
		if VerifyDigestSign(pub, ota.MD5, make([]byte, 16), string(read(t, vectors[ota.MD5]))) == nil {
			t.Errorf("%s: verified", name)
		}
		if _, err := NewTrust(RequireDigestSign, KeySet{Keys: []Key{{Name: "k", Public: pub}}}); err == nil {
			t.Errorf("%s: trusted", name)
		}
	}
}

func FuzzSignature(f *testing.F) {
	for _, name := range vectors {
		f.Add(string(read(f, name)))
	}
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 344))
	pub := vectorKey(f)
	want := map[string]bool{}
	digests := map[ota.SignMethod][]byte{}
	for method, name := range vectors {
		want[string(read(f, name))] = true
		digests[method] = digestOf(f, method)
	}
	f.Fuzz(func(t *testing.T, sig string) {
		for method, digest := range digests {
			if VerifyDigestSign(pub, method, digest, sig) == nil && !want[sig] {
				t.Fatalf("verified %q", sig)
			}
		}
	})
}

func BenchmarkSHA256(b *testing.B) {
	data := make([]byte, 1<<20)
	standard, err := NewDigest(ota.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]interface{ Write([]byte) (int, error) }{"standard": standard, "simd": NewSHA256()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				h.Write(data)
			}
		})
	}
}
