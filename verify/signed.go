package verify

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/leapslot/ota"
)

// Kind is what was signed. What is signed as one kind is worth nothing as the
// other.
type Kind int

// The kinds.
const (
	KindManifest Kind = iota // a Manifest, in a package's custom info
	KindKeyList              // a KeyList, in a directory of keys
)

// Limits of signed texts.
const (
	// MaxSignatures is the most signatures of one text (fault T13).
	MaxSignatures = 8
	// MaxKeyList is the longest key list, in bytes.
	MaxKeyList = 64 << 10
	// keyIDLen is the digits of a key's id.
	keyIDLen = 32
	// manifestHead is how the text of a signed manifest begins.
	manifestHead = `{"otad":`
)

// domain is what stands before the signed bytes, so that a signature is good for
// one kind of one version alone.
func (k Kind) domain() string {
	if k == KindKeyList {
		return "leapslot-ota keys v1\n"
	}
	return "leapslot-ota manifest v1\n"
}

func (k Kind) maxLen() int {
	if k == KindKeyList {
		return MaxKeyList
	}
	return ota.MaxUDILen
}

// Signed is bytes with signatures. That it was parsed says nothing of either.
type Signed struct {
	Kind       Kind
	Body       []byte // what is signed, byte for byte
	Signatures []Signature
}

// Signature is one key's.
type Signature struct {
	KeyID     string // 32 lower-case hexadecimal digits, see KeyID
	Algorithm Algorithm
	Value     []byte
}

// The wire: the body stands in it as base64, so that what is signed passes
// through clouds and programs that read and write JSON again.
type (
	wireManifest struct {
		Form int       `json:"otad"`
		Body string    `json:"m"`
		Sigs []wireSig `json:"s"`
	}
	wireKeyList struct {
		Form int       `json:"otadkeys"`
		Body string    `json:"m"`
		Sigs []wireSig `json:"s"`
	}
	wireSig struct {
		Key string `json:"k"`
		Alg string `json:"a"`
		Sig string `json:"s"`
	}
)

// wireForm is the one version of the wire that there is.
const wireForm = 1

// HasManifest tells whether a package's custom info is meant to be a signed
// manifest; it may be any text of the user's.
func HasManifest(udi string) bool { return strings.HasPrefix(udi, manifestHead) }

// ParseSigned reads what Text has written, and refuses everything else.
func ParseSigned(kind Kind, text string) (Signed, error) {
	s := Signed{Kind: kind}
	if len(text) > kind.maxLen() {
		return s, fmt.Errorf("%d characters, at most %d are allowed", len(text), kind.maxLen())
	}
	if !utf8.ValidString(text) {
		return s, errors.New("it is not valid UTF-8")
	}
	var w wireManifest
	var err error
	if kind == KindKeyList {
		var l wireKeyList
		err = decodeExact([]byte(text), &l)
		w = wireManifest(l)
	} else {
		err = decodeExact([]byte(text), &w)
	}
	if err != nil {
		return s, err
	}
	if w.Form != wireForm {
		return s, fmt.Errorf("it has the form %d, known is %d (is otad too old?)", w.Form, wireForm)
	}
	if s.Body, err = decodeBase64(w.Body, kind.maxLen()); err != nil {
		return s, fmt.Errorf("its body: %w", err)
	}
	if len(w.Sigs) > MaxSignatures { // before they are decoded
		return s, fmt.Errorf("%d signatures, at most %d are allowed", len(w.Sigs), MaxSignatures)
	}
	for i, ws := range w.Sigs {
		sig := Signature{KeyID: ws.Key, Algorithm: Algorithm(ws.Alg)}
		if sig.Value, err = decodeBase64(ws.Sig, MaxSignatureLen); err != nil {
			return s, fmt.Errorf("signature %d: %w", i+1, err)
		}
		s.Signatures = append(s.Signatures, sig)
	}
	return s, s.check()
}

// check refuses what no signature can make right.
func (s Signed) check() error {
	if len(s.Signatures) == 0 || len(s.Signatures) > MaxSignatures {
		return fmt.Errorf("%d signatures, allowed are 1 to %d", len(s.Signatures), MaxSignatures)
	}
	for i, sig := range s.Signatures {
		if err := checkKeyID(sig.KeyID); err != nil {
			return fmt.Errorf("signature %d: %w", i+1, err)
		}
		switch sig.Algorithm {
		case Ed25519, ECDSAP256, RSAPSS, RSAPKCS1, CMS:
		default:
			return fmt.Errorf("signature %d: unknown algorithm %.20q", i+1, string(sig.Algorithm))
		}
		for _, other := range s.Signatures[:i] {
			if other.KeyID == sig.KeyID { // T8
				return fmt.Errorf("the key %s has signed twice", sig.KeyID)
			}
		}
	}
	return nil
}

func checkKeyID(id string) error {
	if len(id) != keyIDLen || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("key id %.40q is not %d lower-case hexadecimal digits", id, keyIDLen)
	}
	return nil
}

// Text gives the package's custom info, or the content of a key list. An error
// says which limit it breaks.
func (s Signed) Text() (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	b64 := base64.StdEncoding.EncodeToString
	w := wireManifest{Form: wireForm, Body: b64(s.Body)}
	for _, sig := range s.Signatures {
		w.Sigs = append(w.Sigs, wireSig{sig.KeyID, string(sig.Algorithm), b64(sig.Value)})
	}
	var v any = w
	if s.Kind == KindKeyList {
		v = wireKeyList(w)
	}
	text, err := encodeExact(v)
	if err != nil {
		return "", err
	}
	if len(text) > s.Kind.maxLen() {
		return "", fmt.Errorf("it has %d characters with its signatures, at most %d are allowed (fewer or shorter signatures)", len(text), s.Kind.maxLen())
	}
	return string(text), nil
}

// Message is what a signature is of: a line that names kind and version, and
// the body. Signers outside of this package, in hardware or with certificates,
// sign it and use Add.
func (s Signed) Message() []byte { return append([]byte(s.Kind.domain()), s.Body...) }

// Sign adds a signature by key. An empty algorithm is the best of the key's:
// PSS for RSA. It is for the build host.
func (s *Signed) Sign(key crypto.Signer, alg Algorithm) error {
	id, err := KeyID(key.Public())
	if err != nil {
		return err
	}
	alg, value, err := signMessage(key, alg, s.Message())
	if err != nil {
		return err
	}
	return s.Add(Signature{KeyID: id, Algorithm: alg, Value: value})
}

// Add adds a signature that was made elsewhere. It is checked for its form only.
func (s *Signed) Add(sig Signature) error {
	if len(sig.Value) == 0 || len(sig.Value) > MaxSignatureLen {
		return fmt.Errorf("a signature of %d bytes, allowed are 1 to %d", len(sig.Value), MaxSignatureLen)
	}
	more := Signed{Kind: s.Kind, Body: s.Body, Signatures: append(s.Signatures[:len(s.Signatures):len(s.Signatures)], sig)}
	if err := more.check(); err != nil {
		return err
	}
	*s = more
	return nil
}

// signedBy gives how many of keys have signed, and why others do not count.
// Signatures of keys that are not known are passed over, or else no key could
// ever be replaced. One that a usable key is said to have made and has not is an
// error: somebody altered something.
func (s Signed) signedBy(keys []Key, usable func(Key) error) (count int, why []string, err error) {
	message := s.Message()
	for _, sig := range s.Signatures {
		i := indexOf(keys, sig.KeyID)
		if sig.Algorithm == CMS {
			continue
		}
		if i < 0 {
			why = append(why, fmt.Sprintf("key %s is not known", sig.KeyID))
			continue
		}
		if err := usable(keys[i]); err != nil {
			why = append(why, fmt.Sprintf("key %s: %v", keys[i].Name, err))
			continue
		}
		if err := verifyMessage(keys[i].Public, sig.Algorithm, message, sig.Value); err != nil {
			return 0, nil, fmt.Errorf("key %s: %w", keys[i].Name, err)
		}
		count++
	}
	return count, why, nil
}

func indexOf(keys []Key, id string) int {
	for i, k := range keys {
		if have, err := k.ID(); err == nil && have == id {
			return i
		}
	}
	return -1
}
