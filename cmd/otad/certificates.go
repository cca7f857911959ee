//go:build !otad_cms

package main

import "github.com/leapslot/ota/verify"

func newCertificates(string) (verify.Certificates, error) {
	return nil, exitf(exitConfig, "trust.roots", "signatures with certificates are not possible with this build (build with -tags otad_cms, or use trust.keys)")
}
