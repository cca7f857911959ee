package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
	"github.com/spf13/cobra"
)

func (e *env) digestsignCommand() *cobra.Command {
	var key, method string
	c := &cobra.Command{
		Use:   "digestsign FILE",
		Short: "Sign the digest of a package with the product's RSA key",
		Long: `Signs the digest of FILE for the cloud's digestsign field and prints the signature
in base64: RSA, PKCS#1 v1.5 with SHA-256, over the raw bytes of the digest. The
key is a PEM file, PKCS#1 or PKCS#8, RSA of at least 2048 bits.

The signature covers the content only, neither version nor product. With Md5 it
is no stronger than MD5: use SHA256 unless a device knows nothing else.`,
		Example: `  otapack digestsign update.patch --key rsa2048.key.pem --method SHA256`,
		Args:    exactly("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := required(c, "key", key); err != nil {
				return err
			}
			m, err := ota.ParseSignMethod(method)
			if err != nil || method == "" {
				return usagef(c.Name(), "--method %q is not known (use Md5 or SHA256)", method)
			}
			return e.digestsign(c.Context(), args[0], key, m)
		},
	}
	c.Flags().StringVar(&key, "key", "", "PEM file with the private RSA key")
	c.Flags().StringVar(&method, "method", string(ota.SHA256), "digest that is signed: Md5 or SHA256")
	return c
}

func (e *env) digestsign(ctx context.Context, path, keyPath string, method ota.SignMethod) error {
	key, err := readKey(keyPath)
	if err != nil {
		return failed(keyPath, err, "name a private RSA key of at least 2048 bits in PEM; otapack keygen makes one")
	}
	digest, err := digestOf(ctx, path, method)
	if err != nil {
		return failed(path, err, "name the package")
	}
	sig, err := verify.SignDigest(key, method, digest)
	if err != nil {
		return failed(keyPath, err, "see that the key is whole")
	}
	_, err = fmt.Fprintln(e.out, sig)
	return err
}

func digestOf(ctx context.Context, path string, method ota.SignMethod) ([]byte, error) {
	h, err := verify.NewDigest(method)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := copyAll(ctx, h, f, func(int64) {}); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// maxKeyFile is the size of the longest key file, in bytes; the longest key
// that verify allows has less.
const maxKeyFile = 64 << 10

// readKey reads a private RSA key from a PEM file.
func readKey(path string) (*rsa.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	key, err := parseKey(raw)
	if err != nil {
		return nil, err
	}
	if n := key.N.BitLen(); n < verify.MinKeyBits {
		return nil, fmt.Errorf("the key has %d bits and %d are the least", n, verify.MinKeyBits)
	}
	return key, nil
}

func parseKey(raw []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("there is no PEM block in it")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is encrypted")
		}
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		if key, ok := any.(*rsa.PrivateKey); ok {
			return key, nil
		}
		return nil, fmt.Errorf("it holds a %T, not an RSA key", any)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted")
	}
	return nil, fmt.Errorf("it holds a %s, not a private RSA key", block.Type)
}
