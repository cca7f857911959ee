//go:build lab

package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
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

// manifestKey makes the board believe signed manifests by the lab's key alone.
func manifestKey(ctx context.Context, l *lab, _ identity) (string, tree, error) {
	if err := l.signingKey(ctx); err != nil {
		return "", nil, err
	}
	public, err := os.ReadFile(l.path("keys", "ed25519.pub.pem"))
	return manifestConfig, tree{"keys/product.pem": public}, err
}

const manifestConfig = `keys = "/data/keys"
require = "manifest"
`

// signingKey makes a new pair of keys.
func (l *lab) signingKey(ctx context.Context) error {
	return l.once("key", func() error {
		if err := os.RemoveAll(l.path("keys")); err != nil {
			return err
		}
		otapack, err := l.build(ctx, "otapack", hostArch, "lab")
		if err != nil {
			return err
		}
		return l.tool(ctx, otapack, "keygen", "--type", "ed25519", "--out", l.path("keys"))
	})
}

// manifest signs the image's manifest, which travels as the package's custom info.
func manifest(security string) packer {
	return func(ctx context.Context, d *device, s step, image string) (string, []string, error) {
		otapack, err := d.lab.build(ctx, "otapack", hostArch, "lab")
		if err != nil {
			return "", nil, err
		}
		cmd := command(ctx, otapack, "sign", image, "--key", d.lab.path("keys", "ed25519.key.pem"), "--product", d.id.product,
			"--module", "default", "--version", s.version, "--security-version", security)
		udi, err := cmd.Output()
		if err != nil {
			return "", nil, fmt.Errorf("otapack sign: %w", err)
		}
		return image, []string{"Udi", strings.TrimSpace(string(udi))}, nil
	}
}
