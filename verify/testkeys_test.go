package verify

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestT14TestKeys: the keys of testdata are refused on a device, as roots and
// as keys of a list.
func TestT14TestKeys(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), read(t, "pub.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if set, err := LoadPublicKeys(dir, KeyOptions{}); err == nil || !strings.Contains(err.Error(), "test key") {
		t.Errorf("%+v, %v", set, err)
	}
	if _, err := LoadPublicKeys(dir, KeyOptions{AllowTestKeys: true}); err != nil {
		t.Error(err)
	}
	l := list(t)
	l.Keys = append(l.Keys, Key{Public: vectorKey(t)})
	if _, err := LoadPublicKeys(keyDir(t, sealedList(t, l, "rsa"), "rsa"), KeyOptions{}); err == nil || !strings.Contains(err.Error(), "test key") {
		t.Errorf("in a list: %v", err)
	}
}

// TestT14EveryCommittedKeyIsKnown walks the sources for keys, in files of their
// own and inside of scripts, public and private.
func TestT14EveryCommittedKeyIsKnown(t *testing.T) {
	found := map[string]string{}
	block := regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*KEY-----.*?-----END [A-Z0-9 ]*KEY-----`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // other tests' files come and go
				return nil
			}
			return err
		}
		skip := map[string]bool{".git": true, "bin": true, "build": true, "dist": true, "node_modules": true}
		if d.IsDir() && skip[d.Name()] {
			return filepath.SkipDir
		}
		st, err := d.Info()
		if err != nil || !st.Mode().IsRegular() || st.Size() > 4<<20 || !strings.Contains(path, "testdata") && !strings.HasSuffix(path, ".pem") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for _, b := range block.FindAll(text, -1) {
			if id := idInPEM(t, path, b); id != "" {
				found[id] = path
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Error("no keys were found: is the walk right?")
	}
	for id, path := range found {
		if !isTestKey(id) {
			t.Errorf("the key %s in %s is not in testKeys: a device would take it", id, path)
		}
	}
}

func idInPEM(t *testing.T, path string, b []byte) string {
	block, _ := pem.Decode(b)
	if block == nil {
		return ""
	}
	if pub, err := ParseKey(pem.EncodeToMemory(block)); err == nil {
		id, _ := KeyID(pub)
		return id
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return ""
	}
	if err != nil {
		t.Logf("%s has a %s that is none: %v", path, block.Type, err)
		return ""
	}
	id, _ := KeyID(private.(crypto.Signer).Public())
	return id
}
