// Package cms lets manifests be signed by people and machines that have a
// certificate (CMS, RFC 5652, with X.509, RFC 5280) in place of a key that the
// device knows: what the device knows is the root.
//
// A signature is a detached CMS message of one signer with the signer's
// certificate and, if need be, its issuers in it. It stands in a signed manifest
// beside or in place of the others (docs/manifest.md), so it shares the 4,096
// characters of a package's custom info: with ECDSA P-256 there is room for a
// chain of three certificates, with RSA of 2048 bits for the signer's alone.
//
// The promise: yes is said only to a signature over SHA-256, SHA-384 or SHA-512
// whose certificate was issued for code signing, is valid at the time that is
// asked for, and leads to one of the roots. There are no revocation lists: keys
// are revoked by the key list of package verify.
//
// The messages are taken apart by github.com/smallstep/pkcs7, which is why this
// is an option and a package of its own. It gets at most MaxMessage bytes, and
// what it makes of them is held against a list of what is wanted; should it
// panic, that is a no.
package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/smallstep/pkcs7"
)

// Limits.
const (
	MaxMessage      = 3 << 10 // bytes of a CMS message
	MaxCertificates = 4       // in a message
	MaxRoots        = 16
	MaxRootsFile    = 64 << 10 // bytes
)

// Roots are the certificates that signers must lead to. Safe for use by several
// goroutines.
type Roots struct{ pool *x509.CertPool }

// ParseRoots reads certificates in PEM. One that is no authority's is refused.
func ParseRoots(text []byte) (*Roots, error) {
	if len(text) > MaxRootsFile {
		return nil, fmt.Errorf("roots: longer than %d bytes", MaxRootsFile)
	}
	list, err := ParseChain(text)
	if err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	if len(list) > MaxRoots {
		return nil, fmt.Errorf("roots: %d certificates, at most %d are allowed", len(list), MaxRoots)
	}
	r := &Roots{pool: x509.NewCertPool()}
	for _, c := range list {
		if !c.IsCA || !c.BasicConstraintsValid {
			return nil, fmt.Errorf("roots: %q is not the certificate of an authority", c.Subject)
		}
		r.pool.AddCert(c)
	}
	return r, nil
}

// ParseChain reads certificates in PEM, with nothing else between them.
func ParseChain(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %.40q among the certificates", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list, text = append(list, c), rest
	}
	if len(list) == 0 {
		return nil, errors.New("there is no certificate (want PEM, BEGIN CERTIFICATE)")
	}
	return list, nil
}

// Signer returns the SubjectPublicKeyInfo of the one who has signed message, in
// DER, or why the signature is not good at the time now.
func (r *Roots) Signer(message, signature []byte, now time.Time) (spki []byte, err error) {
	if len(signature) > MaxMessage {
		return nil, fmt.Errorf("a CMS message of %d bytes, at most %d are allowed", len(signature), MaxMessage)
	}
	if now.IsZero() {
		return nil, errors.New("the time is not known, and certificates expire")
	}
	defer func() {
		if e := recover(); e != nil {
			spki, err = nil, fmt.Errorf("the CMS message is malformed: %v", e)
		}
	}()
	p, err := pkcs7.Parse(signature)
	if err != nil {
		return nil, fmt.Errorf("not a CMS message: %w", err)
	}
	leaf, err := shape(p)
	if err != nil {
		return nil, err
	}
	p.Content = message
	// Without roots this checks the signature, and the digest when there are
	// signed attributes. The message begins with a text, so it cannot be read
	// as such attributes, nor they as it.
	if err := p.VerifyWithChainAtTime(nil, now); err != nil {
		return nil, fmt.Errorf("the CMS signature is wrong: %w", err)
	}
	if err := r.issued(leaf, p.Certificates, now); err != nil {
		return nil, err
	}
	return leaf.RawSubjectPublicKeyInfo, nil
}

// shape refuses messages that are more, or less, than a detached signature of
// one signer, and digests that are too weak. It gives the signer's certificate.
func shape(p *pkcs7.PKCS7) (*x509.Certificate, error) {
	switch {
	case len(p.Content) > 0:
		return nil, errors.New("the CMS message has a content of its own, want a detached signature")
	case len(p.Signers) != 1:
		return nil, fmt.Errorf("the CMS message has %d signers, want 1", len(p.Signers))
	case len(p.Certificates) < 1 || len(p.Certificates) > MaxCertificates:
		return nil, fmt.Errorf("the CMS message has %d certificates, allowed are 1 to %d", len(p.Certificates), MaxCertificates)
	case len(p.CRLs) > 0:
		return nil, errors.New("the CMS message has revocation lists, which are not used")
	}
	s := p.Signers[0]
	if !oneOf(s.DigestAlgorithm.Algorithm, pkcs7.OIDDigestAlgorithmSHA256, pkcs7.OIDDigestAlgorithmSHA384, pkcs7.OIDDigestAlgorithmSHA512) {
		return nil, fmt.Errorf("the CMS message is signed with the digest %v, want SHA-256, SHA-384 or SHA-512", s.DigestAlgorithm.Algorithm)
	}
	if !oneOf(s.DigestEncryptionAlgorithm.Algorithm, pkcs7.OIDEncryptionAlgorithmRSA,
		pkcs7.OIDEncryptionAlgorithmRSASHA256, pkcs7.OIDEncryptionAlgorithmRSASHA384, pkcs7.OIDEncryptionAlgorithmRSASHA512,
		pkcs7.OIDDigestAlgorithmECDSASHA256, pkcs7.OIDDigestAlgorithmECDSASHA384, pkcs7.OIDDigestAlgorithmECDSASHA512) {
		return nil, fmt.Errorf("the CMS message is signed with the algorithm %v, want ECDSA or RSA PKCS#1 v1.5", s.DigestEncryptionAlgorithm.Algorithm)
	}
	if len(s.AuthenticatedAttributes) > 0 {
		var kind asn1.ObjectIdentifier
		if err := p.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &kind); err != nil || !kind.Equal(pkcs7.OIDData) {
			return nil, errors.New("the signed attributes of the CMS message are not of plain data")
		}
	}
	leaf := p.GetOnlySigner()
	if leaf == nil {
		return nil, errors.New("the signer's certificate is not in the CMS message")
	}
	return leaf, nil
}

func oneOf(oid asn1.ObjectIdentifier, list ...asn1.ObjectIdentifier) bool {
	for _, o := range list {
		if o.Equal(oid) {
			return true
		}
	}
	return false
}

// issued returns nil when the certificate is for code signing, valid now, and
// leads to a root.
func (r *Roots) issued(leaf *x509.Certificate, all []*x509.Certificate, now time.Time) error {
	if leaf.IsCA {
		return errors.New("the signer's certificate is that of an authority")
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("the signer's certificate is not for signatures (keyUsage digitalSignature)")
	}
	// One without any purpose would pass for every purpose below.
	if !codeSigning(leaf) {
		return errors.New("the signer's certificate is not for code signing (extendedKeyUsage codeSigning)")
	}
	between := x509.NewCertPool()
	for _, c := range all {
		if !c.Equal(leaf) {
			between.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: r.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return fmt.Errorf("the signer's certificate: %w", err)
	}
	return nil
}

func codeSigning(c *x509.Certificate) bool {
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageCodeSigning {
			return true
		}
	}
	return false
}

// Sign makes a detached signature of message by key, whose certificate is the
// first of chain; the others are its issuers, without the root. It is for the
// build host.
func Sign(message []byte, key crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	if len(chain) < 1 || len(chain) > MaxCertificates {
		return nil, fmt.Errorf("%d certificates, allowed are 1 to %d", len(chain), MaxCertificates)
	}
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(chain[0].PublicKey) {
		return nil, errors.New("the first certificate is not that of the key")
	}
	s, err := pkcs7.NewSignedData(message)
	if err != nil {
		return nil, err
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := s.SignWithoutAttr(chain[0], key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	for _, c := range chain[1:] {
		s.AddCertificate(c)
	}
	s.Detach()
	der, err := s.Finish()
	if err == nil && len(der) > MaxMessage {
		err = fmt.Errorf("the CMS message has %d bytes, at most %d are allowed (a shorter chain, or ECDSA)", len(der), MaxMessage)
	}
	return der, err
}
