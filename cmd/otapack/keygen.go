package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func (e *env) keygenCommand() *cobra.Command {
	var kind, dir string
	c := &cobra.Command{
		Use:   "keygen",
		Short: "Make a pair of keys",
		Long: `Makes a pair of keys and prints the names of the two files: DIR/TYPE.key.pem, the
private one, which only its owner can read, and DIR/TYPE.pub.pem, which goes to the
devices. Keys that are there already are never overwritten.

ed25519 and ecdsa-p256 sign manifests and key lists; rsa2048 signs digests too.`,
		Example: `  otapack keygen --type ed25519 --out keys
  otapack keygen --type rsa2048 --out keys`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := required(c, "type", kind); err != nil {
				return err
			}
			if err := required(c, "out", dir); err != nil {
				return err
			}
			switch kind {
			case keyEd25519, keyECDSA, keyRSA:
				return e.keygen(kind, dir)
			}
			return usagef(c.Name(), "--type %q is not known (use ed25519, ecdsa-p256 or rsa2048)", kind)
		},
	}
	c.Flags().StringVar(&kind, "type", "", "kind of key: ed25519, ecdsa-p256 or rsa2048")
	c.Flags().StringVar(&dir, "out", "", "directory for the two files, made when it is not there")
	return c
}

// The kinds of keys.
const (
	keyEd25519 = "ed25519"
	keyECDSA   = "ecdsa-p256"
	keyRSA     = "rsa2048"
)

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case keyEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case keyECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func (e *env) keygen(kind, dir string) error {
	private, public := filepath.Join(dir, kind+".key.pem"), filepath.Join(dir, kind+".pub.pem")
	for _, path := range []string{private, public} {
		if _, err := os.Lstat(path); err == nil {
			return failed(path, fs.ErrExist, "keys are never overwritten: name another directory")
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed(dir, err, "name a directory that can be made")
	}
	key, err := newKey(kind)
	if err != nil {
		return fmt.Errorf("keygen: %w (try again)", err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("keygen: %w (try again)", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("keygen: %w (try again)", err)
	}
	if err := writeKey(private, "PRIVATE KEY", privateDER, 0o600); err != nil {
		return err
	}
	if err := writeKey(public, "PUBLIC KEY", publicDER, 0o644); err != nil {
		os.Remove(private) // half a pair is of no use to anyone
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s\n%s\n", private, public)
	return err
}

// writeKey writes a new file; one that is there in the meantime stays.
func writeKey(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return failed(path, err, "name a directory that can be written")
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path) // ours: O_EXCL made it
		return failed(path, err, "see that there is space")
	}
	return nil
}
