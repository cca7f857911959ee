package server

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/leapslot/ota/simulator"
)

// keyBits is the size of a product's key (protocol section 7).
const keyBits = 2048

// prepare gives a command what the model cannot make itself: the key pair of a
// product whose secure upgrade is switched on (P7). It is dropped when the product
// has one, and not made when it is known to have one, or not to be there. Making it
// takes a good part of a second, in the caller's goroutine.
func (e *Engine) prepare(ctx context.Context, cmd simulator.Command) (simulator.Command, error) {
	as, named := cmd.(simulator.As)
	c, ok := simulator.Bare(cmd).(simulator.SetSecureUpgrade)
	if !ok || !c.On || len(c.SigningKey) > 0 {
		return cmd, nil
	}
	v, err := e.ask(ctx, &request{cmd: simulator.As{Account: as.Account, Command: simulator.FindProduct{Product: c.Product}}})
	var refused *simulator.Error
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	if p, ok := v.(simulator.Product); !ok || len(p.SigningKey) > 0 {
		return cmd, nil
	}
	if c, err = withKeys(c); err != nil || !named {
		return c, err
	}
	as.Command = c
	return as, nil
}

func withKeys(c simulator.SetSecureUpgrade) (simulator.SetSecureUpgrade, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return c, fmt.Errorf("making a key pair: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, fmt.Errorf("writing the private key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return c, fmt.Errorf("writing the public key: %w", err)
	}
	c.SigningKey = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	c.PublicKey = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return c, nil
}

func parseSigningKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("the product's signing key is no PEM block")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the product's signing key: %w", err)
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the product's signing key is %T, not RSA", k)
	}
	return key, nil
}
