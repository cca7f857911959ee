package verify

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Limits of a directory of keys.
const (
	// MaxKeys is the largest number of keys: two for a rotation, and some more.
	MaxKeys = 16
	// MaxKeyFile is the longest key file, in bytes.
	MaxKeyFile = 16 << 10
	// keySuffix is how the names of key files end.
	keySuffix = ".pem"
)

// Key is a public key that packages may be signed with.
type Key struct {
	// Name says which key it is, in messages: its file's name.
	Name string
	RSA  *rsa.PublicKey
}

// KeySet is the keys of a device. Its zero value has none.
type KeySet struct {
	// Keys are those that packages may be signed with.
	Keys []Key
	// ListVersion is the version of the key list that said so, 0 without one.
	// The caller remembers the highest, durably, for KeyOptions.
	ListVersion uint64
}

// KeyOptions say how a directory of keys is read. The zero value is right for a
// device that has never seen a key list.
type KeyOptions struct {
	// ListVersion is the highest version of a key list that this device has
	// used: an older one is refused, and so is the lack of one.
	ListVersion uint64
	// ListThreshold is how many of the directory's keys must have signed the
	// list; 0 means 1.
	ListThreshold int
	// AllowTestKeys lets the keys in this project's testdata pass. It is for
	// tests and checks by hand, never for a device.
	AllowTestKeys bool
}

// LoadPublicKeys reads all files in the directory dir whose names end in .pem.
// One that cannot be used is an error, and so is a directory without any: keys
// that silently do not count are worse than none. Symbolic links are followed.
func LoadPublicKeys(dir string, _ KeyOptions) (KeySet, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return KeySet{}, fmt.Errorf("keys: %w", err)
	}
	var keys []Key
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), keySuffix) {
			continue
		}
		if len(keys) == MaxKeys {
			return KeySet{}, fmt.Errorf("keys: more than %d in %s (remove those that are not in use)", MaxKeys, dir)
		}
		key, err := loadKey(filepath.Join(dir, e.Name()))
		if err != nil {
			return KeySet{}, fmt.Errorf("key %s: %w", filepath.Join(dir, e.Name()), err)
		}
		keys = append(keys, Key{Name: e.Name(), RSA: key})
	}
	if len(keys) == 0 {
		return KeySet{}, fmt.Errorf("keys: no file named *%s in %s (put the product's public key there)", keySuffix, dir)
	}
	return KeySet{Keys: keys}, nil
}

func loadKey(path string) (*rsa.PublicKey, error) {
	st, err := os.Stat(path) // before it is opened: to open a FIFO is to wait
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxKeyFile+1))
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(b)
}

// ParsePublicKey reads an RSA public key in PEM, as PKIX ("PUBLIC KEY") or
// PKCS#1 ("RSA PUBLIC KEY"), with nothing before or after it but blanks.
func ParsePublicKey(text []byte) (*rsa.PublicKey, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("longer than %d bytes", MaxKeyFile)
	}
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return nil, errors.New("does not start with a PEM block (-----BEGIN PUBLIC KEY-----)")
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type == "" {
		return nil, errors.New("is not a PEM block")
	}
	if len(rest) > 0 {
		return nil, errors.New("has something after its first PEM block (one key a file)")
	}
	key, err := parseBlock(block)
	if err == nil {
		err = checkKey(key)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

func parseBlock(block *pem.Block) (*rsa.PublicKey, error) {
	switch {
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		if rsaKey, ok := key.(*rsa.PublicKey); ok {
			return rsaKey, nil
		}
		return nil, fmt.Errorf("is no RSA key but %T", key)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, errors.New("is a private key (it must not be on a device: put its public half here, and make a new pair)")
	case block.Type == "CERTIFICATE":
		return nil, errors.New("is a certificate (want its key: openssl x509 -pubkey -noout)")
	}
	return nil, fmt.Errorf("is a PEM block of type %.40q, want PUBLIC KEY", block.Type)
}
