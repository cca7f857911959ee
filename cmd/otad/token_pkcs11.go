//go:build pkcs11

package main

import (
	"crypto"
	"errors"
	"strings"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/pkcs11"
)

// Labels of what otad uses in a token.
const (
	tokenSecret = "otad-secret" // a generic secret, or one for HMAC
	tokenKey    = "otad-key"    // the key of the TLS certificate
)

// tokenChip is a token that is there.
type tokenChip struct {
	token *pkcs11.Token
	label string
}

func openToken(d deviceConfig) (chip, error) {
	pin, err := optional("device.token_pin_file", d.TokenPIN)
	if err != nil {
		return nil, err
	}
	t, err := pkcs11.Open(pkcs11.Config{Module: d.Token, Token: d.TokenLabel, PIN: strings.TrimSpace(string(pin))})
	if err != nil {
		return nil, exitf(exitConfig, "device.token", "%w (name its module, its label and the file of its PIN)", err)
	}
	return tokenChip{t, d.TokenLabel}, nil
}

func (t tokenChip) signer() (ota.Signer, error) {
	s, err := t.token.Secret(tokenSecret)
	if err != nil {
		return nil, missing(err)
	}
	return s, nil
}

func (t tokenChip) clientKey() (crypto.Signer, error) {
	k, err := t.token.Key(tokenKey)
	return k, missing(err)
}

func missing(err error) error {
	if errors.Is(err, pkcs11.ErrNotFound) {
		return errNotSetUp
	}
	return err
}

// counter is none: PKCS#11 has no counter that only grows.
func (tokenChip) counter() (verify.Counter, error) { return nil, errNotSetUp }

func (t tokenChip) Maker() string { return "its owner" }
func (t tokenChip) Close() error  { return t.token.Close() }
func (t tokenChip) at() string    { return "the token " + t.label }

func (tokenChip) howTo(what string) string {
	return "put it there with pkcs11-tool, under the label " + map[string]string{"secret": tokenSecret, "key": tokenKey}[what]
}
