package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/simulator"
)

// KeyFile is the name, beside the database, of the key that secrets are sealed with:
// those of devices and products, products' private keys, and access keys. All of them
// are needed in the clear to check or make signatures, so that none can be hashed.
// What leaks with the database alone, a copy of it or a page of its log, is not enough
// to be a device or a user; who reads the directory as a whole holds everything.
const KeyFile = "ota.key"

// ErrSealed means that the key that a database is sealed with is not there, or is
// another one.
var ErrSealed = errors.New("the key of the stored secrets is not there")

const (
	sealKeyLen = 32     // AES-256-GCM
	sealMark   = "s1:"  // begins what is sealed; no secret of ours begins so
	sealProof  = "seal" // stored sealed, to know the key again
)

// seal seals secrets, each bound to the name of what it belongs to: a sealed secret
// that is copied to another row does not open there.
type seal struct{ cipher.AEAD }

// openSeal reads the key file, or makes it.
func openSeal(path string, make bool) (seal, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !make {
			return seal{}, fmt.Errorf("%s: %w (restore it from where the database came from)", path, ErrSealed)
		}
		key = newKey()
		err = durable.WriteFile(path, key, 0o600)
	}
	if err != nil {
		return seal{}, err
	}
	if len(key) != sealKeyLen {
		return seal{}, fmt.Errorf("%s has %d bytes, not %d: %w", path, len(key), sealKeyLen, ErrSealed)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, err
	}
	aead, err := cipher.NewGCM(block)
	return seal{aead}, err
}

func newKey() []byte {
	key := make([]byte, sealKeyLen)
	rand.Read(key)
	return key
}

// close seals a secret of what is named; an empty one stays empty.
func (s seal) close(of, secret string) string {
	if secret == "" {
		return ""
	}
	nonce := make([]byte, s.NonceSize(), s.NonceSize()+len(secret)+s.Overhead())
	rand.Read(nonce)
	return sealMark + base64.RawStdEncoding.EncodeToString(s.Seal(nonce, nonce, []byte(secret), []byte(of)))
}

// open gives back what close got.
func (s seal) open(of, sealed string) (string, error) {
	if sealed == "" {
		return "", nil
	}
	text, ok := strings.CutPrefix(sealed, sealMark)
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) < s.NonceSize() {
		return "", fmt.Errorf("the secret of %s is not sealed: the database was changed by hand", of)
	}
	plain, err := s.Open(nil, raw[:s.NonceSize()], raw[s.NonceSize():], []byte(of))
	if err != nil {
		return "", fmt.Errorf("the secret of %s does not open: %w", of, ErrSealed)
	}
	return string(plain), nil
}

func sealName(d *simulator.Device) string     { return "device " + d.ProductKey + " " + d.Name }
func productName(p *simulator.Product) string { return "product " + p.Key }

// sealed gives a copy of a product as it is stored.
func (s seal) sealed(p *simulator.Product) *simulator.Product {
	q := *p
	q.Secret = s.close(productName(p), p.Secret)
	if len(p.SigningKey) > 0 {
		q.SigningKey = []byte(s.close(productName(p), string(p.SigningKey)))
	}
	return &q
}

// unseal undoes sealed.
func (s seal) unseal(p *simulator.Product) (err error) {
	if p.Secret, err = s.open(productName(p), p.Secret); err != nil {
		return err
	}
	key, err := s.open(productName(p), string(p.SigningKey))
	if p.SigningKey = nil; key != "" {
		p.SigningKey = []byte(key)
	}
	return err
}

// openSealed takes the key file beside the database into use. A database that knows no
// seal yet has its secrets sealed, all or none.
func (s *SQLite) openSealed(ctx context.Context, path string) error {
	var proof string
	if err := s.conn.QueryRowContext(ctx, "SELECT coalesce(max(proof), '') FROM seal").Scan(&proof); err != nil {
		return explain("reading the seal", err)
	}
	var err error
	if s.seal, err = openSeal(filepath.Join(filepath.Dir(path), KeyFile), proof == ""); err != nil {
		return err
	}
	if proof != "" {
		_, err := s.seal.open(sealProof, proof)
		return err
	}
	// What is overwritten is wiped, so that no secret stays readable in a free page.
	if _, err := s.conn.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
		return explain("sealing", err)
	}
	if err := transact(ctx, s.conn, func() error { return s.sealOld(ctx) }); err != nil {
		return explain("sealing the stored secrets", err)
	}
	_, err = s.conn.ExecContext(ctx, "PRAGMA secure_delete = OFF; PRAGMA wal_checkpoint(TRUNCATE)")
	return explain("sealing", err)
}

func (s *SQLite) sealOld(ctx context.Context) error {
	products, err := bodies[simulator.Product](ctx, s.conn, "SELECT body, rev FROM products")
	if err != nil {
		return err
	}
	for i := range products {
		if _, err := s.conn.ExecContext(ctx, "UPDATE products SET body = ? WHERE key = ?", body(s.seal.sealed(&products[i])), products[i].Key); err != nil {
			return err
		}
	}
	devices, err := rows(ctx, s.conn, scanDevice, "SELECT "+deviceColumns+" FROM devices")
	if err != nil {
		return err
	}
	update, err := s.conn.PrepareContext(ctx, "UPDATE devices SET secret = ? WHERE product = ? AND name = ?")
	if err != nil {
		return err
	}
	defer update.Close()
	for i := range devices {
		d := &devices[i]
		if _, err := update.ExecContext(ctx, s.seal.close(sealName(d), d.Secret), d.ProductKey, d.Name); err != nil {
			return err
		}
	}
	_, err = s.conn.ExecContext(ctx, "INSERT INTO seal VALUES (1, ?)", s.seal.close(sealProof, sealProof))
	return err
}
