package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Algorithm names how a manifest or a key list is signed.
type Algorithm string

// The algorithms. All but the first and the last sign the SHA-256 of the message.
const (
	Ed25519   Algorithm = "ed25519"      // RFC 8032, of the message itself
	ECDSAP256 Algorithm = "ecdsa-p256"   // the signature in ASN.1 DER
	RSAPSS    Algorithm = "rsa-pss"      // MGF1 with SHA-256, a salt of 32 bytes
	RSAPKCS1  Algorithm = "rsa-pkcs1v15" // RFC 8017, for keys that know nothing else
	CMS       Algorithm = "cms"          // a detached CMS message with the signer's certificate
)

// Lengths of signatures in bytes. That of RSA is its key's.
const (
	maxECDSALen = 72 // two numbers of 33 bytes and their heads
	minECDSALen = 8
	// MaxSignatureLen is the longest of all, in bytes: a CMS message. A manifest
	// with one that long does not fit in a package's custom info.
	MaxSignatureLen = 3 << 10
)

var errNotSigned = errors.New("not signed by this key, or not with this text")

// verifyMessage returns nil when signature is that of message by the private
// half of pub. The key's kind decides which algorithms there are to choose from,
// so that what a signature says of itself cannot pick a weaker one.
func verifyMessage(pub crypto.PublicKey, alg Algorithm, message, signature []byte) error {
	if err := checkPublic(pub); err != nil {
		return err
	}
	sum := sha256.Sum256(message)
	switch k := pub.(type) {
	case ed25519.PublicKey:
		if alg == Ed25519 {
			return verdict(len(signature) == ed25519.SignatureSize && ed25519.Verify(k, message, signature))
		}
	case *ecdsa.PublicKey:
		if alg == ECDSAP256 {
			fits := len(signature) >= minECDSALen && len(signature) <= maxECDSALen
			return verdict(fits && ecdsa.VerifyASN1(k, sum[:], signature))
		}
	case *rsa.PublicKey:
		// A shorter one could be filled up with zeros: one text, one form.
		fits := len(signature) == k.Size()
		switch alg {
		case RSAPSS:
			return verdict(fits && rsa.VerifyPSS(k, crypto.SHA256, sum[:], signature, pssOptions()) == nil)
		case RSAPKCS1:
			return verdict(fits && rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil)
		}
	}
	return fmt.Errorf("algorithm %.20q is not one of this key (%s)", string(alg), kindOf(pub))
}

func verdict(ok bool) error {
	if !ok {
		return errNotSigned
	}
	return nil
}

func pssOptions() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
}

// signMessage is the other half of verifyMessage. An empty alg is the best of
// the key's.
func signMessage(key crypto.Signer, alg Algorithm, message []byte) (Algorithm, []byte, error) {
	pub := key.Public()
	if err := checkPublic(pub); err != nil {
		return "", nil, err
	}
	if alg == "" {
		alg = bestOf(pub)
	}
	sum := sha256.Sum256(message)
	digest, opts := sum[:], crypto.SignerOpts(crypto.SHA256)
	switch alg {
	case Ed25519:
		digest, opts = message, crypto.Hash(0)
	case RSAPSS:
		opts = pssOptions()
	}
	signature, err := key.Sign(rand.Reader, digest, opts)
	if err != nil {
		return "", nil, err
	}
	// What was made is tried at once: a wrong algorithm, a key in hardware that
	// is another one, or a fault while it was computed show here, not in a fleet.
	if err := verifyMessage(pub, alg, message, signature); err != nil {
		return "", nil, err
	}
	return alg, signature, nil
}

func bestOf(pub crypto.PublicKey) Algorithm {
	switch pub.(type) {
	case ed25519.PublicKey:
		return Ed25519
	case *ecdsa.PublicKey:
		return ECDSAP256
	}
	return RSAPSS
}

// kindOf names a key's kind for people.
func kindOf(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return "Ed25519"
	case *ecdsa.PublicKey:
		return "ECDSA P-256"
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", k.N.BitLen())
	}
	return fmt.Sprintf("%T", pub)
}

// checkPublic refuses keys that are no good, and kinds that are not known.
func checkPublic(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return checkKey(k)
	case ed25519.PublicKey:
		return checkEd25519(k)
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return errors.New("ECDSA key: want one on the curve P-256")
		}
		if _, err := k.ECDH(); err != nil { // a point that is not on it
			return fmt.Errorf("ECDSA key: %w", err)
		}
		return nil
	case nil:
		return errors.New("there is no key")
	}
	return fmt.Errorf("a key of the kind %T is not known (want Ed25519, ECDSA P-256 or RSA)", pub)
}

// checkEd25519 refuses the points of small order: for such a key one signature
// holds for many messages, and needs no private half.
func checkEd25519(k ed25519.PublicKey) error {
	if len(k) != ed25519.PublicKeySize {
		return fmt.Errorf("Ed25519 key of %d bytes: want %d", len(k), ed25519.PublicKeySize)
	}
	y := [32]byte(k)
	y[31] &= 0x7F // the sign of x
	for _, small := range smallOrder {
		if y == small {
			return errors.New("Ed25519 key of small order: anybody can sign for it")
		}
	}
	return nil
}

// smallOrder are the y coordinates of the points of order 1, 2, 4 and 8 on the
// curve of Ed25519, little endian, with the two that are not reduced.
var smallOrder = [...][32]byte{
	{},
	{0: 1},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	nearPrime(0xec), nearPrime(0xed), nearPrime(0xee),
}

// nearPrime is 2^255 - 256 + low.
func nearPrime(low byte) (b [32]byte) {
	for i := range b {
		b[i] = 0xff
	}
	b[0], b[31] = low, 0x7f
	return b
}
