package tpm

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	// MaxContent is the longest text that a secret signs, in bytes: what every
	// TPM takes in one command. That of a sign-in has less than half of it.
	MaxContent = 1024
	// maxSecret is the longest device secret, in bytes; TestSecretLimit holds it
	// to that of the ota package.
	maxSecret = 256

	theSecret = "the device secret"
)

// Secret is a device secret inside the TPM. It is an ota.Signer for the method
// hmacsha256.
type Secret struct{ tpm *TPM }

func secretTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{
			Scheme: tpm2.TPMTKeyedHashScheme{Scheme: tpm2.TPMAlgHMAC,
				Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256})},
		}),
	}
}

// ProvisionSecret puts the device secret into the TPM, with the owner's
// password where there is one. It may be done again with the same secret. With
// another one than the TPM holds the error is ErrOther: see [TPM.RemoveSecret].
// The caller removes the secret from wherever it came from, after this has
// succeeded.
func (t *TPM) ProvisionSecret(owner, secret []byte) (*Secret, error) {
	if len(secret) == 0 || len(secret) > maxSecret {
		return nil, fmt.Errorf("TPM: the device secret has %d bytes, wanted are 1 to %d", len(secret), maxSecret)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.makeRoot(owner)
	if err != nil {
		return nil, err
	}
	o, err := t.secret()
	if errors.Is(err, ErrNotProvisioned) {
		key := secret
		if len(key) > sha256.BlockSize {
			// What HMAC itself does with a key that is longer than a block, which
			// TPMs do not take.
			sum := sha256.Sum256(key)
			key = sum[:]
		}
		o, err = t.keep(r, theSecret, owner, key, secretTemplate(), secretHandle)
	}
	if err != nil {
		return nil, err
	}
	if err := t.compare(r, o, secret); err != nil {
		return nil, err
	}
	return &Secret{t}, nil
}

// compare tells whether the TPM signs as the secret does.
func (t *TPM) compare(r root, o object, secret []byte) error {
	challenge := make([]byte, sha256.Size)
	_, _ = rand.Read(challenge) // never fails
	got, err := t.hmac(r, o, challenge)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(challenge)
	if !hmac.Equal(got, mac.Sum(nil)) {
		return fmt.Errorf("TPM: %s: %w (remove it before you set up this one)", theSecret, ErrOther)
	}
	return nil
}

// Secret gives the secret that was set up.
func (t *TPM) Secret() (*Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.secret(); err != nil {
		return nil, err
	}
	return &Secret{t}, nil
}

func (t *TPM) secret() (object, error) {
	o, err := t.find(theSecret, secretHandle)
	if err == nil && (o.public.Type != tpm2.TPMAlgKeyedHash || o.public.ObjectAttributes != secretTemplate().ObjectAttributes) {
		err = fmt.Errorf("TPM: the object at handle %#x is no device secret: %w", uint32(secretHandle), ErrOther)
	}
	return o, err
}

// RemoveSecret removes the device secret for good, or whatever stands in its
// place, if there is anything.
func (t *TPM) RemoveSecret(owner []byte) error { return t.remove(theSecret, owner, secretHandle) }

// HMAC gives the HMAC-SHA256 of content, 32 bytes, computed in the TPM with the
// secret that is there now.
func (s *Secret) HMAC(content []byte) ([]byte, error) {
	if len(content) > MaxContent {
		return nil, fmt.Errorf("TPM: %d bytes to sign, at most %d are possible", len(content), MaxContent)
	}
	s.tpm.mu.Lock()
	defer s.tpm.mu.Unlock()
	r, err := s.tpm.root()
	if err != nil {
		return nil, err
	}
	o, err := s.tpm.secret()
	if err != nil {
		return nil, err
	}
	return s.tpm.hmac(r, o, content)
}

func (t *TPM) hmac(r root, o object, content []byte) ([]byte, error) {
	// The answer is encrypted: it is the password of the next sign-in.
	made, err := tpm2.Hmac{Handle: o.use(r, out), Buffer: tpm2.TPM2BMaxBuffer{Buffer: content}, HashAlg: tpm2.TPMAlgSHA256}.Execute(t.dev)
	if err != nil {
		return nil, explain("sign with "+theSecret, err)
	}
	return made.OutHMAC.Buffer, nil
}
