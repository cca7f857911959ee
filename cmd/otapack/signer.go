package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/cms"
	"github.com/spf13/cobra"
)

// signing is who signs, as the flags say it.
type signing struct {
	key, algorithm string
	certificate    string // file with the key's certificate and its issuers
}

func (s *signing) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.key, "key", "", "PEM file with the private key")
	c.Flags().StringVar(&s.algorithm, "algorithm", "", "of an RSA key: rsa-pss (default) or rsa-pkcs1v15")
}

// check looks at the flags alone. A key list is signed by keys, not certificates.
func (s *signing) check(c *cobra.Command) error {
	if err := required(c, "key", s.key); err != nil {
		return err
	}
	if s.certificate != "" && s.algorithm != "" {
		return usagef(c.Name(), "--algorithm is not for --certificate (leave one out)")
	}
	switch a := verify.Algorithm(s.algorithm); a {
	case "", verify.Ed25519, verify.ECDSAP256, verify.RSAPSS, verify.RSAPKCS1:
		return nil
	}
	return usagef(c.Name(), "--algorithm %q is not known (use rsa-pss or rsa-pkcs1v15)", s.algorithm)
}

// sign adds the signature.
func (s *signing) sign(doc *verify.Signed) error {
	key, err := readSigner(s.key)
	if err != nil {
		return failed(s.key, err, "name a private key in PEM; otapack keygen makes one")
	}
	if s.certificate != "" {
		err = s.certify(doc, key)
	} else {
		err = doc.Sign(key, verify.Algorithm(s.algorithm))
	}
	if err != nil {
		return failed(s.key, err, "see that the key is whole and has not signed already")
	}
	return nil
}

// certify adds a signature that carries the signer's certificate.
func (s *signing) certify(doc *verify.Signed, key crypto.Signer) error {
	text, err := readText(s.certificate, cms.MaxRootsFile)
	if err != nil {
		return err
	}
	chain, err := cms.ParseChain([]byte(text))
	if err != nil {
		return fmt.Errorf("%s: %w", s.certificate, err)
	}
	value, err := cms.Sign(doc.Message(), key, chain)
	if err != nil {
		return err
	}
	id, err := verify.KeyID(key.Public())
	if err != nil {
		return err
	}
	return doc.Add(verify.Signature{KeyID: id, Algorithm: verify.CMS, Value: value})
}

// readSigner reads a private key of any kind that can sign a manifest.
func readSigner(path string) (crypto.Signer, error) {
	raw, err := readText(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(raw))
	if block == nil {
		return nil, errors.New("there is no PEM block in it")
	}
	var key any
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("the key is encrypted")
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it holds a %s, not a private key", block.Type)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("it holds a %T, which cannot sign", key)
	}
	if _, err := verify.KeyID(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

// readText reads a small file as a whole.
func readText(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return string(raw), err
}

// readSigned reads a signed text that a command of ours has printed.
func readSigned(path string, kind verify.Kind) (verify.Signed, error) {
	text, err := readText(path, verify.MaxKeyList+1)
	if err != nil {
		return verify.Signed{}, err
	}
	return verify.ParseSigned(kind, strings.TrimSuffix(text, "\n"))
}

func (e *env) printSigned(s verify.Signed) error {
	text, err := s.Text()
	if err != nil {
		return fmt.Errorf("the signed text: %w", err)
	}
	if _, err := fmt.Fprintln(e.out, text); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
