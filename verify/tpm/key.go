package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

const theKey = "the TLS client key"

// Key is an ECDSA P-256 key that the TPM made and never gives away: a
// crypto.Signer for SHA-256.
type Key struct {
	tpm    *TPM
	at     object
	public *ecdsa.PublicKey
}

func keyTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
		}),
	}
}

// ProvisionKey gives the key of the TLS client certificate, and makes it when
// there is none yet.
func (t *TPM) ProvisionKey(owner []byte) (*Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.makeRoot(owner)
	if err != nil {
		return nil, err
	}
	if k, err := t.key(); !errors.Is(err, ErrNotProvisioned) {
		return k, err
	}
	if _, err := t.keep(r, theKey, owner, nil, keyTemplate(), keyHandle); err != nil {
		return nil, err
	}
	return t.key()
}

// Key gives the key that was made.
func (t *TPM) Key() (*Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.key()
}

func (t *TPM) key() (*Key, error) {
	o, err := t.find(theKey, keyHandle)
	if err != nil {
		return nil, err
	}
	other := fmt.Errorf("TPM: the object at handle %#x is no TLS client key: %w", uint32(keyHandle), ErrOther)
	if o.public.Type != tpm2.TPMAlgECC || o.public.ObjectAttributes != keyTemplate().ObjectAttributes {
		return nil, other
	}
	parms, err := o.public.Parameters.ECCDetail()
	if err != nil || parms.CurveID != tpm2.TPMECCNistP256 {
		return nil, other
	}
	point, err := o.public.Unique.ECC()
	if err != nil {
		return nil, other
	}
	size := (elliptic.P256().Params().BitSize + 7) / 8
	if len(point.X.Buffer) > size || len(point.Y.Buffer) > size {
		return nil, other
	}
	// Coordinates may come without their leading zeros.
	raw := make([]byte, 1+2*size)
	raw[0] = 4
	copy(raw[1+size-len(point.X.Buffer):], point.X.Buffer)
	copy(raw[1+2*size-len(point.Y.Buffer):], point.Y.Buffer)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, other
	}
	return &Key{t, o, public}, nil
}

// RemoveKey removes the key for good, or whatever stands in its place, if there
// is anything. Certificates of it are of no use after that.
func (t *TPM) RemoveKey(owner []byte) error { return t.remove(theKey, owner, keyHandle) }

// Public gives an *ecdsa.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign signs a SHA-256 digest; the result is ASN.1, as of ecdsa.SignASN1. The
// randomness is the TPM's.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("TPM: the TLS client key signs SHA-256 digests only")
	}
	k.tpm.mu.Lock()
	defer k.tpm.mu.Unlock()
	r, err := k.tpm.root()
	if err != nil {
		return nil, err
	}
	now, err := k.tpm.key()
	if err != nil {
		return nil, err
	}
	if !now.public.Equal(k.public) {
		return nil, fmt.Errorf("TPM: %s: %w any more: it was replaced, and needs a certificate of its own", theKey, ErrOther)
	}
	made, err := tpm2.Sign{
		KeyHandle:  now.at.use(r, none),
		Digest:     tpm2.TPM2BDigest{Buffer: digest},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(k.tpm.dev)
	if err != nil {
		return nil, explain("sign with "+theKey, err)
	}
	sig, err := made.Signature.Signature.ECDSA()
	if err != nil {
		return nil, explain("sign with "+theKey, err)
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer),
	})
}

// PublicPEM gives the public key as "PUBLIC KEY".
func (k *Key) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, fmt.Errorf("TPM: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Request makes a certificate request (CSR, PKCS#10) in PEM for the name. The
// signature shows that the key is in this TPM's hands.
func (k *Key) Request(commonName string) ([]byte, error) {
	tmpl := &x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName}, SignatureAlgorithm: x509.ECDSAWithSHA256}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, k)
	if err != nil {
		return nil, fmt.Errorf("TPM: certificate request for %.100q: %w", commonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}
