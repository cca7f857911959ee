package simulator

import (
	"slices"

	"github.com/leapslot/ota"
)

// PackageStatus is how far the verification of a package is (P17). The numbers are
// those of the cloud API (our reading of protocol section 9).
type PackageStatus int

// The states of a package.
const (
	NoVerification PackageStatus = iota - 1 // made with NeedToVerify false: usable at once
	Unverified
	Verified
	Verifying
	VerificationFailed
)

// Usable reports whether a batch may be made of the package (P17).
func (s PackageStatus) Usable() bool { return s == NoVerification || s == Verified }

// Package is an upgrade package of one module of one product (P5, P12).
type Package struct {
	ID         string
	Account    string
	Product    string
	Module     string
	Name       string
	Desc       string
	Diff       bool   // P12: only what changed from Source to Version
	Source     string // of a diff package, else empty (P14)
	Version    string // what a device has after the upgrade (P14)
	SignMethod ota.SignMethod
	Files      []File // never changed in place
	UDI        string // custom info for the device
	Status     PackageStatus
	Progress   int // percent of the last verification's devices that have ended
	Created    Stamp
	Modified   Stamp
	Revision   int64
}

// File is one file of a package.
type File struct {
	Name   string // as the user called it
	Key    string // where the package server has it
	Size   int64
	MD5    string // lower-case hexadecimal
	SHA256 string // lower-case hexadecimal; empty when SignMethod is Md5 and it is not known
}

// Sign gives the digest of the file by one method.
func (f *File) Sign(m ota.SignMethod) string {
	if m == ota.SHA256 {
		return f.SHA256
	}
	return f.MD5
}

// Size is the bytes of all files together.
func (p *Package) Size() int64 {
	var n int64
	for i := range p.Files {
		n += p.Files[i].Size
	}
	return n
}

// offers reports whether a device that reported version (or nothing, "") may be
// given the package by a job restricted to sources (none: not restricted).
func (p *Package) offers(version string, sources []string) bool {
	switch {
	case version == p.Version:
		return false
	case p.Diff:
		return version == p.Source
	case len(sources) == 0:
		return true
	}
	return slices.Contains(sources, version)
}
