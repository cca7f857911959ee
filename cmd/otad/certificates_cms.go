//go:build otad_cms

package main

import (
	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/cms"
)

// newCertificates reads the roots of those who sign with a certificate.
func newCertificates(path string) (verify.Certificates, error) {
	text, err := optional("trust.roots", path)
	if err != nil {
		return nil, err
	}
	roots, err := cms.ParseRoots(text)
	if err != nil {
		return nil, exitf(exitConfig, "trust.roots", "%s: %w (put root certificates in PEM there)", path, err)
	}
	return roots, nil
}
