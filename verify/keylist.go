package verify

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// Limits of a key list.
const (
	// MaxRevoked is the most revoked keys.
	MaxRevoked = 256
	// MaxProducts is the most products of a key.
	MaxProducts = 64
	// MaxListVersion is the highest version of a list.
	MaxListVersion = 1<<31 - 1
	maxSPKI        = 1 << 10 // bytes of a public key in DER; RSA of 4096 bits has 550
)

// KeyList says which keys are good for packages, and which are for nothing any
// more. It is signed by the roots, the keys in the directory beside it, so that
// the keys that sign every day can be replaced without touching those.
type KeyList struct {
	// Version grows with each list: a device never goes back to an older one.
	Version uint64
	// Threshold is how many of the keys must have signed a manifest.
	Threshold int
	Keys      []Key
	// Revoked are the ids of keys that count for nothing, also as signers of
	// this list.
	Revoked []string
}

type wireList struct {
	Version   uint64    `json:"version"`
	Threshold int       `json:"threshold"`
	Keys      []wireKey `json:"keys"`
	Revoked   []string  `json:"revoked"`
}

type wireKey struct {
	Key       string   `json:"key"`
	Roles     []Role   `json:"roles"`
	Products  []string `json:"products"`
	NotBefore string   `json:"notBefore"`
	NotAfter  string   `json:"notAfter"`
}

// Encode gives the bytes that are signed.
func (l KeyList) Encode() ([]byte, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	w := wireList{Version: l.Version, Threshold: l.Threshold, Revoked: append([]string{}, l.Revoked...)}
	for _, k := range l.Keys {
		spki, err := x509.MarshalPKIXPublicKey(k.Public)
		if err != nil {
			return nil, fmt.Errorf("key list: key %s: %w", k.Name, err)
		}
		w.Keys = append(w.Keys, wireKey{
			Key: base64.StdEncoding.EncodeToString(spki), Roles: append([]Role{}, k.Roles...),
			Products: append([]string{}, k.Products...), NotBefore: timeText(k.NotBefore), NotAfter: timeText(k.NotAfter),
		})
	}
	return encodeExact(w)
}

// DecodeKeyList reads what Encode has written, and refuses everything else. The
// keys' names are their ids.
func DecodeKeyList(body []byte) (KeyList, error) {
	var w wireList
	if len(body) > MaxKeyList {
		return KeyList{}, fmt.Errorf("key list: %d bytes, at most %d are allowed", len(body), MaxKeyList)
	}
	if err := decodeExact(body, &w); err != nil {
		return KeyList{}, fmt.Errorf("key list: %w", err)
	}
	if len(w.Keys) > MaxKeys { // before each is taken apart
		return KeyList{}, fmt.Errorf("key list: %d keys, at most %d are allowed", len(w.Keys), MaxKeys)
	}
	l := KeyList{Version: w.Version, Threshold: w.Threshold, Revoked: w.Revoked}
	for i, wk := range w.Keys {
		k, err := wk.key()
		if err != nil {
			return KeyList{}, fmt.Errorf("key list: key %d: %w", i+1, err)
		}
		l.Keys = append(l.Keys, k)
	}
	if err := l.Validate(); err != nil {
		return KeyList{}, err
	}
	// A key in DER could be written in more than one way, and a list in which
	// "products" is null reads like one where it is empty.
	if again, err := l.Encode(); err != nil || string(again) != string(body) {
		return KeyList{}, errors.New("key list: it is not in its one form")
	}
	return l, nil
}

func (w wireKey) key() (Key, error) {
	der, err := decodeBase64(w.Key, maxSPKI)
	if err != nil {
		return Key{}, err
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Key{}, err
	}
	k := Key{Public: pub, Roles: w.Roles, Products: w.Products}
	if k.Name, err = k.ID(); err != nil {
		return Key{}, err
	}
	if k.NotBefore, err = parseTime("notBefore", w.NotBefore); err != nil {
		return Key{}, err
	}
	k.NotAfter, err = parseTime("notAfter", w.NotAfter)
	return k, err
}

// Validate says which field is outside of which limit.
func (l KeyList) Validate() error {
	err := l.validate()
	if err != nil {
		return fmt.Errorf("key list: %w", err)
	}
	return nil
}

func (l KeyList) validate() error {
	if l.Version < 1 || l.Version > MaxListVersion {
		return fmt.Errorf("version %d, allowed are 1 to %d", l.Version, MaxListVersion)
	}
	if len(l.Keys) < 1 || len(l.Revoked) > MaxRevoked {
		return fmt.Errorf("%d keys and %d revoked ones, allowed are 1 to %d and at most %d", len(l.Keys), len(l.Revoked), MaxKeys, MaxRevoked)
	}
	if l.Threshold < 1 { // T8
		return fmt.Errorf("a threshold of %d signatures: want at least 1", l.Threshold)
	}
	set := KeySet{Keys: l.Keys, Threshold: l.Threshold}
	if err := set.check(); err != nil {
		return err
	}
	for i, id := range l.Revoked {
		if err := checkKeyID(id); err != nil {
			return err
		}
		if slices.Contains(l.Revoked[:i], id) {
			return fmt.Errorf("%s is revoked twice", id)
		}
		if indexOf(l.Keys, id) >= 0 {
			return fmt.Errorf("%s is both in use and revoked", id)
		}
	}
	for _, k := range l.Keys {
		if err := k.validate(); err != nil {
			return fmt.Errorf("key %s: %w", k.Name, err)
		}
	}
	return nil
}

// validate checks what a list says of a key.
func (k Key) validate() error {
	for i, r := range k.Roles {
		if r != RoleManifest && r != RoleDigestSign || slices.Contains(k.Roles[:i], r) {
			return fmt.Errorf("role %.20q is unknown or stands twice", string(r))
		}
		if r == RoleDigestSign && k.rsa() == nil {
			return fmt.Errorf("%s cannot sign a digestsign, only RSA can", kindOf(k.Public))
		}
	}
	if len(k.Products) > MaxProducts {
		return fmt.Errorf("%d products, at most %d are allowed", len(k.Products), MaxProducts)
	}
	for _, p := range k.Products {
		if err := checkProduct(p); err != nil {
			return err
		}
	}
	return validity(k.NotBefore, k.NotAfter)
}

// rsa is the key when it is one of RSA, else nil.
func (k Key) rsa() *rsa.PublicKey {
	key, _ := k.Public.(*rsa.PublicKey)
	return key
}

// SignKeyList makes a key list ready to be signed, with no signature yet.
func SignKeyList(l KeyList) (Signed, error) {
	body, err := l.Encode()
	return Signed{Kind: KindKeyList, Body: body}, err
}

// OpenKeyList reads a signed key list, and gives it when threshold of the roots
// have signed it. A root that the list itself revokes does not count. That its
// version is not an old one is the caller's to see.
func OpenKeyList(text string, roots []Key, threshold int) (KeyList, error) {
	if threshold < 1 || threshold > len(roots) {
		return KeyList{}, fmt.Errorf("key list: %d signatures are wanted, and there are %d root keys", threshold, len(roots))
	}
	if err := noneTwice(roots); err != nil {
		return KeyList{}, fmt.Errorf("key list: %w", err)
	}
	s, err := ParseSigned(KindKeyList, text)
	if err != nil {
		return KeyList{}, fmt.Errorf("key list: %w", err)
	}
	// The signatures first, so that nothing in the body is looked at before
	// (T11), and once more when it is known whom it revokes.
	if err := s.signedByRoots(roots, nil, threshold); err != nil {
		return KeyList{}, err
	}
	l, err := DecodeKeyList(s.Body)
	if err != nil {
		return KeyList{}, err
	}
	if err := s.signedByRoots(roots, l.Revoked, threshold); err != nil {
		return KeyList{}, err
	}
	return l, nil
}

func (s Signed) signedByRoots(roots []Key, revoked []string, threshold int) error {
	count, why, err := s.signedBy(roots, func(k Key) error { return notRevoked(k, revoked) })
	if err != nil {
		return fmt.Errorf("key list: %w", err)
	}
	if count < threshold {
		return fmt.Errorf("key list: signed by %d of its roots, %d are wanted%s", count, threshold, because(why))
	}
	return nil
}

func notRevoked(k Key, revoked []string) error {
	if id, err := k.ID(); err != nil {
		return err
	} else if slices.Contains(revoked, id) {
		return errors.New("it is revoked")
	}
	return nil
}
