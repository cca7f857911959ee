package verify

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role is what a key may sign.
type Role string

// The roles. A key without any has both.
const (
	RoleManifest   Role = "manifest"
	RoleDigestSign Role = "digestsign" // RSA alone (protocol section 7)
)

// Key is a public key that packages may be signed with.
type Key struct {
	// Name says which key it is, in messages: its file's name, or its id.
	Name string
	// Public is an ed25519.PublicKey, an *ecdsa.PublicKey on P-256 or an
	// *rsa.PublicKey.
	Public crypto.PublicKey
	// What a key list says of it. A key that is not from a list has no limits.
	Roles               []Role    // empty: both
	Products            []string  // product keys; empty: all
	NotBefore, NotAfter time.Time // zero: no limit
}

// ID is the key's id, see KeyID.
func (k Key) ID() (string, error) { return KeyID(k.Public) }

// KeyID names a public key: the first 16 bytes of the SHA-256 of its
// SubjectPublicKeyInfo (RFC 5280) in DER, in lower-case hexadecimal digits. A
// key has one id, whatever file it came from.
func KeyID(pub crypto.PublicKey) (string, error) {
	if err := checkPublic(pub); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", err
	}
	return idOf(der), nil
}

func idOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:keyIDLen/2])
}

// signs tells whether the key has a role at all.
func (k Key) signs(r Role) bool { return len(k.Roles) == 0 || slices.Contains(k.Roles, r) }

// usable says why the key may not sign in this role for this device now.
func (k Key) usable(r Role, d Device) error {
	switch {
	case !k.signs(r):
		return fmt.Errorf("it is not for %s", r)
	case len(k.Products) > 0 && !slices.Contains(k.Products, d.Product):
		return fmt.Errorf("it is not for the product %.80q", d.Product)
	}
	return within(d.Now, k.NotBefore, k.NotAfter)
}

// ParseKey reads a public key in PEM, as PKIX ("PUBLIC KEY": Ed25519, ECDSA
// P-256, RSA) or PKCS#1 ("RSA PUBLIC KEY"), with nothing before or after it but
// blanks.
func ParseKey(text []byte) (crypto.PublicKey, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("longer than %d bytes", MaxKeyFile)
	}
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return nil, errors.New("does not start with a PEM block (-----BEGIN PUBLIC KEY-----)")
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type == "" {
		return nil, errors.New("is not a PEM block")
	}
	if len(rest) > 0 {
		return nil, errors.New("has something after its first PEM block (one key a file)")
	}
	key, err := parseBlock(block)
	if err != nil {
		return nil, err
	}
	if err := checkPublic(key); err != nil {
		return nil, err
	}
	return key, nil
}

// ParsePublicKey is ParseKey for a digestsign, where only RSA will do.
func ParsePublicKey(text []byte) (*rsa.PublicKey, error) {
	key, err := ParseKey(text)
	if err != nil {
		return nil, err
	}
	if rsaKey, ok := key.(*rsa.PublicKey); ok {
		return rsaKey, nil
	}
	return nil, fmt.Errorf("is no RSA key but %s", kindOf(key))
}

func parseBlock(block *pem.Block) (crypto.PublicKey, error) {
	switch {
	case block.Type == "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		return key, nil
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, errors.New("is a private key (it must not be on a device: put its public half here, and make a new pair)")
	case block.Type == "CERTIFICATE":
		return nil, errors.New("is a certificate (want its key: openssl x509 -pubkey -noout)")
	}
	return nil, fmt.Errorf("is a PEM block of type %.40q, want PUBLIC KEY", block.Type)
}

// testKeys are the ids of the keys that stand in this project's testdata, where
// everybody can read how they are used, and perhaps their private halves
// (fault T14). A test walks the sources and wants every key it finds to be here.
var testKeys = [...]string{
	"68b93594ff148680c1c82255ceda9208", // pub.pem of the vectors (protocol section 8)
}

func isTestKey(id string) bool { return slices.Contains(testKeys[:], id) }
