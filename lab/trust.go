//go:build lab

package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
)

// productKey makes the cloud sign the product's packages, and the board believe
// its key alone.
func productKey(ctx context.Context, l *lab, id identity) (string, tree, error) {
	public, err := l.cloud.secure(ctx, id.product)
	return keyConfig, tree{"keys/product.pem": []byte(public)}, err
}

// otherKey makes the cloud sign the product's packages, and the board believe a
// key that nobody has.
func otherKey(ctx context.Context, l *lab, id identity) (string, tree, error) {
	if _, err := l.cloud.secure(ctx, id.product); err != nil {
		return "", nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return keyConfig, tree{"keys/product.pem": public}, nil
}

const keyConfig = `keys = "/data/keys"
require = "digestsign"
`
