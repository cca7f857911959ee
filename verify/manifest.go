package verify

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leapslot/ota"
)

// MaxSecurityVersion is the highest security version. It counts the releases
// that close a hole, it is no date: a counter in hardware can only be raised one
// by one, and never lowered.
const MaxSecurityVersion = 65535

// Manifest says what a package is, for whom, and what comes out of it. It is
// trusted when enough keys have signed it, which Trust.Check finds out.
type Manifest struct {
	Product string // product key
	Module  string
	Version string
	// Patch means that the package is a patch, else it is the whole image.
	Patch bool
	// From is the version that a patch is applied to; empty: any, and the
	// source's digest decides. A full package has none.
	From string
	// Package is what is downloaded, Image what stands in the slot afterwards,
	// and Source the image that a patch is applied to, when it is known.
	Package, Image, Source Content
	// SecurityVersion is refused below the device's, and becomes the device's
	// when the image is kept. At most MaxSecurityVersion.
	SecurityVersion uint64
	// NotBefore and NotAfter limit when the package may be installed; zero: not
	// at all. In whole seconds.
	NotBefore, NotAfter time.Time
}

// Content is the size and the digest of some bytes. Its zero value is none.
type Content struct {
	Size   int64
	SHA256 string // 64 lower-case hexadecimal digits
}

// The wire. The order of the fields, all of which are always there, is part of
// the format.
type wireBody struct {
	Product         string `json:"product"`
	Module          string `json:"module"`
	Version         string `json:"version"`
	Type            string `json:"type"`
	From            string `json:"from"`
	PackageSize     int64  `json:"packageSize"`
	PackageSHA256   string `json:"packageSha256"`
	ImageSize       int64  `json:"imageSize"`
	ImageSHA256     string `json:"imageSha256"`
	SourceSize      int64  `json:"sourceSize"`
	SourceSHA256    string `json:"sourceSha256"`
	SecurityVersion uint64 `json:"securityVersion"`
	NotBefore       string `json:"notBefore"`
	NotAfter        string `json:"notAfter"`
}

const (
	typeFull  = "full"
	typePatch = "patch"
)

// Encode gives the bytes that are signed.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	w := wireBody{
		Product: m.Product, Module: m.Module, Version: m.Version, Type: typeFull, From: m.From,
		PackageSize: m.Package.Size, PackageSHA256: m.Package.SHA256, ImageSize: m.Image.Size, ImageSHA256: m.Image.SHA256,
		SourceSize: m.Source.Size, SourceSHA256: m.Source.SHA256, SecurityVersion: m.SecurityVersion,
		NotBefore: timeText(m.NotBefore), NotAfter: timeText(m.NotAfter),
	}
	if m.Patch {
		w.Type = typePatch
	}
	return encodeExact(w)
}

// DecodeManifest reads what Encode has written, and refuses everything else.
func DecodeManifest(body []byte) (Manifest, error) {
	if len(body) > ota.MaxUDILen {
		return Manifest{}, fmt.Errorf("manifest: %d bytes, at most %d are allowed", len(body), ota.MaxUDILen)
	}
	var w wireBody
	if err := decodeExact(body, &w); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	m := Manifest{
		Product: w.Product, Module: w.Module, Version: w.Version, Patch: w.Type == typePatch, From: w.From,
		Package: Content{w.PackageSize, w.PackageSHA256}, Image: Content{w.ImageSize, w.ImageSHA256},
		Source: Content{w.SourceSize, w.SourceSHA256}, SecurityVersion: w.SecurityVersion,
	}
	if !m.Patch && w.Type != typeFull {
		return Manifest{}, fmt.Errorf("manifest: type %.20q is neither %s nor %s", w.Type, typeFull, typePatch)
	}
	var err error
	if m.NotBefore, err = parseTime("notBefore", w.NotBefore); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if m.NotAfter, err = parseTime("notAfter", w.NotAfter); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// Validate says which field is outside of which limit.
func (m Manifest) Validate() error {
	err := m.validate()
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

func (m Manifest) validate() error {
	if err := checkProduct(m.Product); err != nil {
		return err
	}
	if err := ota.CheckModule(m.Module); err != nil {
		return err
	}
	if err := ota.CheckVersion(m.Version); err != nil {
		return err
	}
	if err := m.Package.validate("package"); err != nil {
		return err
	}
	if err := m.Image.validate("image"); err != nil {
		return err
	}
	if m.SecurityVersion > MaxSecurityVersion {
		return fmt.Errorf("security version %d: at most %d are allowed (it counts releases that close a hole, it is no date)", m.SecurityVersion, MaxSecurityVersion)
	}
	if err := validity(m.NotBefore, m.NotAfter); err != nil {
		return err
	}
	if !m.Patch {
		if m.From != "" || m.Source != (Content{}) {
			return errors.New("a full package has no source (is it a patch?)")
		}
		return nil
	}
	if m.Source != (Content{}) {
		if err := m.Source.validate("source"); err != nil {
			return err
		}
	}
	if m.From == "" {
		return nil
	}
	return ota.CheckVersion(m.From)
}

func (c Content) validate(what string) error {
	if c.Size < 1 || c.Size > ota.MaxPackageSize {
		return fmt.Errorf("%s of %d bytes, allowed are 1 to %d", what, c.Size, int64(ota.MaxPackageSize))
	}
	if _, err := decodeDigest(c.SHA256, 32); err != nil || strings.ToLower(c.SHA256) != c.SHA256 {
		return fmt.Errorf("the SHA-256 of the %s is not 64 lower-case hexadecimal digits", what)
	}
	return nil
}

func checkProduct(key string) error { return ota.Device{ProductKey: key, Name: "any"}.Validate() }

// SignManifest makes a manifest ready to be signed, with no signature yet.
func SignManifest(m Manifest) (Signed, error) {
	body, err := m.Encode()
	return Signed{Kind: KindManifest, Body: body}, err
}

// NoticeOf makes a notice of the signed manifest in udi, for a package that did
// not come from the cloud. It is a claim like every other notice, to be given to
// Trust.Check; its file has no URL.
func NoticeOf(udi string) (*ota.Notice, error) {
	s, err := ParseSigned(KindManifest, udi)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m, err := DecodeManifest(s.Body)
	if err != nil {
		return nil, err
	}
	return &ota.Notice{
		Module: m.Module, Version: m.Version, IsDiff: m.Patch, SignMethod: ota.SHA256,
		Files: []ota.File{{Size: m.Package.Size, Sign: m.Package.SHA256}}, UDI: udi,
	}, nil
}

// covers says why the manifest is not that of the notice's package on device d.
func (m Manifest) covers(n *ota.Notice, digest []byte, d Device) error {
	switch {
	case d.Product == "" || m.Product != d.Product:
		return fmt.Errorf("it is for the product %s, this device is of %.80q", m.Product, d.Product)
	case m.Module != n.Module:
		return fmt.Errorf("it is for the module %s, announced is %.80q", m.Module, n.Module)
	case m.Version != n.Version:
		return fmt.Errorf("it is of version %s, announced is %.80q", m.Version, n.Version)
	case m.Patch != n.IsDiff:
		return fmt.Errorf("patch is %v in it and %v in the notice", m.Patch, n.IsDiff)
	case m.From != "" && m.From != d.Version:
		return fmt.Errorf("it is a patch of version %s, running is %.80q", m.From, d.Version)
	case m.Package.Size != n.Files[0].Size:
		return fmt.Errorf("its package has %d bytes, announced are %d", m.Package.Size, n.Files[0].Size)
	case n.SignMethod == ota.SHA256 && m.Package.SHA256 != hex.EncodeToString(digest):
		return errors.New("its package has another SHA-256 than the announced one")
	case m.SecurityVersion < d.SecurityVersion:
		return fmt.Errorf("its security version is %d, this device is at %d and does not go back", m.SecurityVersion, d.SecurityVersion)
	}
	return within(d.Now, m.NotBefore, m.NotAfter)
}
