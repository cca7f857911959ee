package link

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// clientCertificate is what the device shows the broker when that asks for it.
func clientCertificate(cfg Config) (tls.Certificate, error) {
	if cfg.ClientSigner != nil {
		if cfg.ClientKey != nil {
			return tls.Certificate{}, errors.New("the client certificate has both a key file and a key in hardware: one of them must go")
		}
		return signerCertificate(cfg.ClientCert, cfg.ClientSigner)
	}
	pair, err := tls.X509KeyPair(cfg.ClientCert, cfg.ClientKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the client certificate and its key: %w (both must be PEM, and belong together)", err)
	}
	return pair, nil
}

// signerCertificate is the chain in text with a private key that is elsewhere.
func signerCertificate(text []byte, key crypto.Signer) (tls.Certificate, error) {
	cert := tls.Certificate{PrivateKey: key}
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			cert.Certificate = append(cert.Certificate, b.Bytes)
		}
	}
	if len(cert.Certificate) == 0 {
		return tls.Certificate{}, errors.New("the client certificate has no BEGIN CERTIFICATE in it: it must be PEM, the device's own first")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the client certificate cannot be read: %w", err)
	}
	own, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !own.Equal(leaf.PublicKey) {
		return tls.Certificate{}, errors.New("the client certificate is not that of the key in hardware: ask for one with that key's own request (CSR)")
	}
	cert.Leaf = leaf
	cert.SupportedSignatureAlgorithms = schemes(leaf.PublicKey)
	return cert, nil
}

// schemes are what the key may be asked for; nil is all that fit its kind. In
// TLS 1.2 the peer may ask a P-256 key for any hash, and a key in hardware
// mostly signs the one that it was made for.
func schemes(public crypto.PublicKey) []tls.SignatureScheme {
	ec, ok := public.(*ecdsa.PublicKey)
	switch {
	case ok && ec.Curve == elliptic.P256():
		return []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}
	case ok && ec.Curve == elliptic.P384():
		return []tls.SignatureScheme{tls.ECDSAWithP384AndSHA384}
	}
	return nil
}
