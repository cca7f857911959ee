package verify

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/leapslot/ota"
)

// Limits of RSA keys.
const (
	// MinKeyBits is the shortest key, that of the platform (protocol section 7).
	MinKeyBits = 2048
	// MaxKeyBits is the longest: what a longer one costs a device is not worth it,
	// and with it a manifest would not fit.
	MaxKeyBits = 4096
	// minExponent: with the 3 of old keys, a careless check of the padding can
	// be cheated. Ours is not careless, and a key with 3 is still a bad sign.
	minExponent = 65537
)

// VerifyDigestSign returns nil when signature, in base64, is a digestsign
// (protocol section 7) of the digest by the private half of pub: RSA, PKCS#1
// v1.5, of the SHA-256 of the raw digest bytes, 16 for Md5 and 32 for SHA256.
func VerifyDigestSign(pub *rsa.PublicKey, method ota.SignMethod, digest []byte, signature string) error {
	if err := checkKey(pub); err != nil {
		return err
	}
	message, err := digestMessage(method, digest)
	if err != nil {
		return err
	}
	sig, err := decodeSignature(signature)
	if err != nil {
		return err
	}
	if len(sig) != pub.Size() {
		return fmt.Errorf("digestsign: a signature of %d bytes, that of this key has %d", len(sig), pub.Size())
	}
	if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, message, sig); err != nil {
		return errors.New("digestsign: not signed by this key, or not for this digest")
	}
	return nil
}

// SignDigest makes a digestsign, in base64. It is for the build host.
func SignDigest(key *rsa.PrivateKey, method ota.SignMethod, digest []byte) (string, error) {
	if key == nil {
		return "", errors.New("digestsign: no key")
	}
	if err := checkKey(&key.PublicKey); err != nil {
		return "", err
	}
	message, err := digestMessage(method, digest)
	if err != nil {
		return "", err
	}
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, message)
	if err != nil {
		return "", fmt.Errorf("digestsign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// digestMessage is what RSA signs.
func digestMessage(method ota.SignMethod, digest []byte) ([]byte, error) {
	n := method.DigestLen()
	if n == 0 {
		return nil, fmt.Errorf("digestsign: unknown method %.20q", string(method))
	}
	if len(digest) != n {
		return nil, fmt.Errorf("digestsign: a digest of %d bytes, %s has %d", len(digest), method, n)
	}
	sum := sha256.Sum256(digest)
	return sum[:], nil
}

// decodeSignature reads a digestsign's base64.
func decodeSignature(s string) ([]byte, error) {
	if s == "" {
		return nil, errors.New("digestsign: it is empty")
	}
	b, err := decodeBase64(s, ota.MaxDigestSignLen/4*3)
	if err != nil {
		return nil, fmt.Errorf("digestsign: %w", err)
	}
	return b, nil
}

// checkKey refuses keys that are no good.
func checkKey(pub *rsa.PublicKey) error {
	switch {
	case pub == nil || pub.N == nil || pub.N.Sign() <= 0:
		return errors.New("RSA key: there is none")
	case pub.N.BitLen() < MinKeyBits:
		return fmt.Errorf("RSA key of %d bits: want at least %d", pub.N.BitLen(), MinKeyBits)
	case pub.N.BitLen() > MaxKeyBits:
		return fmt.Errorf("RSA key of %d bits: at most %d are allowed", pub.N.BitLen(), MaxKeyBits)
	case pub.E < minExponent || pub.E%2 == 0:
		return fmt.Errorf("RSA key with the exponent %d: want an odd one of at least %d", pub.E, minExponent)
	case pub.N.Bit(0) == 0:
		return errors.New("RSA key with an even modulus")
	}
	return nil
}
