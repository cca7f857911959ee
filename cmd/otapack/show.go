package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/bundle"
)

// fileKind is what a file is, by its content.
type fileKind int

const (
	filePackage fileKind = iota // whatever is not one of the others
	fileManifest
	fileBundle
	fileKeyList
	fileKey
)

// kindOfFile looks at the first bytes.
func kindOfFile(r io.ReaderAt, size int64) fileKind {
	head := make([]byte, min(size, bundle.Head))
	n, _ := r.ReadAt(head, 0)
	head = head[:n]
	switch {
	case verify.HasManifest(string(head)):
		return fileManifest
	case bytes.HasPrefix(head, []byte(`{"otadkeys":`)):
		return fileKeyList
	case bytes.HasPrefix(head, []byte("-----BEGIN ")):
		return fileKey
	case bundle.Detect(head):
		return fileBundle
	}
	return filePackage
}

// shownManifest is a manifest as -o json prints it.
type shownManifest struct {
	Product         string       `json:"product"`
	Module          string       `json:"module"`
	Version         string       `json:"version"`
	Patch           bool         `json:"patch"`
	From            string       `json:"from,omitempty"`
	PackageSize     int64        `json:"package_size"`
	PackageSHA256   string       `json:"package_sha256"`
	ImageSize       int64        `json:"image_size"`
	ImageSHA256     string       `json:"image_sha256"`
	SourceSize      int64        `json:"source_size,omitempty"`
	SourceSHA256    string       `json:"source_sha256,omitempty"`
	SecurityVersion uint64       `json:"security_version"`
	NotBefore       string       `json:"not_before,omitempty"`
	NotAfter        string       `json:"not_after,omitempty"`
	Characters      int          `json:"characters"` // of the custom info
	SignedBy        []shownSigns `json:"signed_by"`  // not checked
}

type shownSigns struct {
	Key       string           `json:"key"`
	Algorithm verify.Algorithm `json:"algorithm"`
}

func signsOf(doc verify.Signed) []shownSigns {
	var list []shownSigns
	for _, s := range doc.Signatures {
		list = append(list, shownSigns{s.KeyID, s.Algorithm})
	}
	return list
}

func showManifest(text string) (shownManifest, error) {
	doc, err := verify.ParseSigned(verify.KindManifest, text)
	if err != nil {
		return shownManifest{}, err
	}
	m, err := verify.DecodeManifest(doc.Body)
	return shownManifest{
		Product: m.Product, Module: m.Module, Version: m.Version, Patch: m.Patch, From: m.From,
		PackageSize: m.Package.Size, PackageSHA256: m.Package.SHA256, ImageSize: m.Image.Size, ImageSHA256: m.Image.SHA256,
		SourceSize: m.Source.Size, SourceSHA256: m.Source.SHA256, SecurityVersion: m.SecurityVersion,
		NotBefore: timeOf(m.NotBefore), NotAfter: timeOf(m.NotAfter), Characters: len(text), SignedBy: signsOf(doc),
	}, err
}

func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (s shownManifest) rows() []row {
	kind := "full"
	if s.Patch {
		kind = "patch"
	}
	rows := []row{
		{"product", s.Product}, {"module", s.Module}, {"version", s.Version}, {"type", kind},
		{"from version", s.From}, {"package bytes", s.PackageSize}, {"package SHA-256", s.PackageSHA256},
		{"image bytes", s.ImageSize}, {"image SHA-256", s.ImageSHA256},
		{"source image bytes", s.SourceSize}, {"source image SHA-256", s.SourceSHA256},
		{"security version", s.SecurityVersion}, {"not before", s.NotBefore}, {"not after", s.NotAfter},
		{"characters", fmt.Sprintf("%d of %d", s.Characters, bundle.MaxManifest)},
	}
	var said []row
	for _, r := range rows {
		if r.value != "" && (r.name != "source image bytes" || s.SourceSize > 0) {
			said = append(said, r)
		}
	}
	for _, by := range s.SignedBy {
		said = append(said, row{"said to be signed by", fmt.Sprintf("%s (%s)", by.Key, by.Algorithm)})
	}
	return said
}

func (e *env) infoManifest(path string, asJSON bool) error {
	text, err := readText(path, bundle.MaxManifest+1)
	if err != nil {
		return failed(path, err, "name a manifest")
	}
	s, err := showManifest(strings.TrimSuffix(text, "\n"))
	if err != nil {
		return failed(path, err, "name what otapack sign has printed")
	}
	if asJSON {
		return printJSON(e.out, s)
	}
	return e.printRows(append([]row{{"format", "signed manifest"}}, s.rows()...))
}

func (e *env) infoBundle(path string, r io.ReaderAt, size int64, asJSON bool) error {
	b, err := bundle.Open(r, size)
	if err != nil {
		return failed(path, err, "name what otapack bundle has written")
	}
	s, err := showManifest(b.Manifest)
	if err != nil {
		return failed(path, err, "name what otapack bundle has written")
	}
	if asJSON {
		return printJSON(e.out, map[string]any{"offset": b.Offset, "size": b.Size, "manifest": s})
	}
	return e.printRows(append([]row{{"format", "bundle"}, {"package at byte", b.Offset}}, s.rows()...))
}

func (e *env) infoKey(path string, asJSON bool) error {
	pub, err := readPublic(path)
	if err != nil {
		return failed(path, err, "name a public key")
	}
	id, err := verify.KeyID(pub)
	if err != nil {
		return failed(path, err, "name a public key")
	}
	if asJSON {
		return printJSON(e.out, map[string]any{"key": id})
	}
	return e.printRows([]row{{"format", "public key"}, {"key id", id}})
}

// shownKey is a key of a list as -o json prints it.
type shownKey struct {
	Key       string        `json:"key"`
	Roles     []verify.Role `json:"roles"`
	Products  []string      `json:"products"`
	NotBefore string        `json:"not_before,omitempty"`
	NotAfter  string        `json:"not_after,omitempty"`
}

func (e *env) showKeyList(path string, doc verify.Signed, asJSON bool) error {
	l, err := verify.DecodeKeyList(doc.Body)
	if err != nil {
		return failed(path, err, "name a key list")
	}
	var keys []shownKey
	rows := []row{{"format", "key list"}, {"version", l.Version}, {"signatures of a manifest", l.Threshold}}
	for _, k := range l.Keys {
		roles := k.Roles
		if len(roles) == 0 {
			roles = []verify.Role{verify.RoleManifest, verify.RoleDigestSign}
		}
		s := shownKey{k.Name, roles, k.Products, timeOf(k.NotBefore), timeOf(k.NotAfter)}
		keys = append(keys, s)
		rows = append(rows, row{"key", s.text()})
	}
	for _, id := range l.Revoked {
		rows = append(rows, row{"revoked", id})
	}
	for _, by := range signsOf(doc) {
		rows = append(rows, row{"said to be signed by", fmt.Sprintf("%s (%s)", by.Key, by.Algorithm)})
	}
	if asJSON {
		return printJSON(e.out, map[string]any{"version": l.Version, "threshold": l.Threshold, "keys": keys, "revoked": l.Revoked, "signed_by": signsOf(doc)})
	}
	return e.printRows(rows)
}

func (s shownKey) text() string {
	parts := []string{s.Key}
	for _, r := range s.Roles {
		parts = append(parts, string(r))
	}
	if len(s.Products) > 0 {
		parts = append(parts, "only "+strings.Join(s.Products, " "))
	}
	if s.NotBefore != "" {
		parts = append(parts, "from "+s.NotBefore)
	}
	if s.NotAfter != "" {
		parts = append(parts, "until "+s.NotAfter)
	}
	return strings.Join(parts, ", ")
}
