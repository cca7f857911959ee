//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ThalesGroup/crypto11"
	cryptoki "github.com/miekg/pkcs11"
)

// poolWait is the longest wait for one of the token's sessions.
const poolWait = 30 * time.Second

// ErrNotFound means that the token has no such key, or not with this PIN.
var ErrNotFound = errors.New("the token has no such key")

// Config says which token. A wrong PIN counts towards the token's lock, so Open
// must not be tried again and again with the same.
type Config struct {
	Module string // path of the driver: /usr/lib/softhsm/libsofthsm2.so
	Token  string // label
	PIN    string
}

// Token is an open one. Its methods, and those of what it gives, may be called
// from any goroutine.
type Token struct {
	ctx  *crypto11.Context
	name string
}

// Open signs in to the token.
func Open(cfg Config) (*Token, error) {
	if cfg.Module == "" || cfg.Token == "" {
		return nil, errors.New("PKCS#11: the driver and the token's label are wanted")
	}
	ctx, err := crypto11.Configure(&crypto11.Config{Path: cfg.Module, TokenLabel: cfg.Token, Pin: cfg.PIN, PoolWaitTimeout: poolWait})
	if err != nil {
		hint := ""
		switch {
		case errors.Is(err, cryptoki.Error(cryptoki.CKR_PIN_INCORRECT)):
			hint = " (correct the PIN before you try again: tokens lock after a few)"
		case errors.Is(err, cryptoki.Error(cryptoki.CKR_PIN_LOCKED)):
			hint = " (the security officer's PIN unlocks it)"
		}
		return nil, fmt.Errorf("PKCS#11: token %q of %s: %w%s", cfg.Token, cfg.Module, err, hint)
	}
	return &Token{ctx, cfg.Token}, nil
}

// Close signs out. What came from the token must not be used any more.
func (t *Token) Close() error { return t.ctx.Close() }

// Key gives the private key with the label, of a pair: its public half must be
// there too.
func (t *Token) Key(label string) (crypto.Signer, error) {
	pairs, err := t.ctx.FindKeyPairs(nil, []byte(label))
	k, err := only(pairs, err, t.name, "key pair", label)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// only is the one that was found. With two of a label the first would be a
// matter of luck.
func only[K any](found []K, err error, token, kind, label string) (k K, _ error) {
	switch {
	case err != nil:
		return k, fmt.Errorf("PKCS#11: token %q, %s %q: %w", token, kind, label, err)
	case len(found) == 0:
		return k, fmt.Errorf("PKCS#11: token %q, %s %q: %w", token, kind, label, ErrNotFound)
	case len(found) > 1:
		return k, fmt.Errorf("PKCS#11: token %q has %d times %s %q: give them labels of their own", token, len(found), kind, label)
	}
	return found[0], nil
}

// Secret is a device secret in the token. It is an ota.Signer for the method
// hmacsha256.
type Secret struct{ key *crypto11.SecretKey }

// Secret gives the secret with the label: a secret key of the type
// CKK_GENERIC_SECRET that may sign.
func (t *Token) Secret(label string) (*Secret, error) {
	keys, err := t.ctx.FindKeys(nil, []byte(label))
	k, err := only(keys, err, t.name, "secret", label)
	if err != nil {
		return nil, err
	}
	return &Secret{k}, nil
}

// HMAC gives the HMAC-SHA256 of content, 32 bytes, computed in the token.
func (s *Secret) HMAC(content []byte) (mac []byte, err error) {
	h, err := s.key.NewHMAC(cryptoki.CKM_SHA256_HMAC, 0)
	if err != nil {
		return nil, fmt.Errorf("PKCS#11: HMAC-SHA256: %w", err)
	}
	// The library has a panic where a hash has no error. Sum is also what gives
	// the session back, so it comes after a failed Write as well.
	defer func() {
		if r := recover(); r != nil {
			mac, err = nil, errors.Join(err, fmt.Errorf("PKCS#11: HMAC-SHA256: %v", r))
		}
	}()
	_, err = h.Write(content)
	mac = h.Sum(nil)
	if err == nil && len(mac) != sha256.Size {
		err = fmt.Errorf("a result of %d bytes", len(mac))
	}
	if err != nil {
		return nil, fmt.Errorf("PKCS#11: HMAC-SHA256: %w", err)
	}
	return mac, nil
}
