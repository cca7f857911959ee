// Package bundle is the one file of an offline installation: a package with its
// signed manifest before it.
//
// A bundle is a tar of exactly two members, `manifest`, the text that a cloud
// would carry as the package's custom info (docs/manifest.md), and `package`.
// Every tar program can list and extract it, but only what [Write] writes is
// read: one owner, one mode, one time, no extended headers, no sparse files, no
// third member, nothing after the end. So there is one bundle for a manifest and
// a package, byte for byte, and no name, link or attribute in it says anything.
//
// Nothing is trusted here: the manifest is a claim until verify has checked it,
// and the bytes of the package are whatever they are. The caller checks the
// manifest first, compares its package size with the bundle's, and computes the
// digest of the bytes that it installs while it reads them, from the one opened
// file: what is verified is what is written, and no name is opened twice
// (fault T6). Memory is bounded by the longest manifest, a few kilobytes.
package bundle

import (
	"errors"
	"fmt"
	"io"

	"github.com/leapslot/ota"
)

// ErrFormat means that a file is not a bundle, or not exactly one. It is wrapped
// in a text that says where it differs.
var ErrFormat = errors.New("not a bundle")

// Limits, in bytes.
const (
	MaxManifest = ota.MaxUDILen
	MaxPackage  = ota.MaxPackageSize
	// Head is how many bytes of a file tell whether it is meant to be a bundle,
	// see Detect.
	Head = block
)

const (
	manifestName = "manifest"
	packageName  = "package"
	endBlocks    = 2 // of zeros
)

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

// Bundle is where the parts of a bundle are.
type Bundle struct {
	// Manifest is the text of the signed manifest, checked for its length only.
	Manifest string
	// Offset and Size are where the package stands in the file, in bytes.
	Offset, Size int64
}

// Detect tells whether a file that begins with head is meant to be a bundle: it
// decides by the content, never by a name (fault T4).
func Detect(head []byte) bool {
	if len(head) < block {
		return false
	}
	_, err := parseHeader(head[:block], manifestName, MaxManifest)
	return err == nil
}

// Open finds the parts of the bundle r of size bytes. It reads the headers, the
// manifest and the end, and not the package.
func Open(r io.ReaderAt, size int64) (Bundle, error) {
	var b Bundle
	n, err := headerAt(r, 0, manifestName, MaxManifest)
	if err != nil {
		return Bundle{}, err
	}
	text := make([]byte, padded(n))
	if err := readAt(r, text, block); err != nil {
		return Bundle{}, err
	}
	if err := zeros(text[n:]); err != nil {
		return Bundle{}, err
	}
	b.Manifest = string(text[:n])
	at := block + padded(n)
	if b.Size, err = headerAt(r, at, packageName, MaxPackage); err != nil {
		return Bundle{}, err
	}
	b.Offset = at + block
	end := b.Offset + padded(b.Size)
	if want := end + endBlocks*block; size != want {
		return Bundle{}, bad("the file has %d bytes, with this package it would have %d", size, want)
	}
	rest := make([]byte, end-b.Offset-b.Size+endBlocks*block)
	if err := readAt(r, rest, b.Offset+b.Size); err != nil {
		return Bundle{}, err
	}
	return b, zeros(rest)
}

// Package reads the package out of the file that the bundle was opened from.
func (b Bundle) Package(r io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(r, b.Offset, b.Size)
}

func headerAt(r io.ReaderAt, at int64, name string, most int64) (int64, error) {
	h := make([]byte, block)
	if err := readAt(r, h, at); err != nil {
		return 0, err
	}
	return parseHeader(h, name, most)
}

func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	return cut(err)
}

func cut(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("it ends too early")
	}
	return err
}

func zeros(p []byte) error {
	for _, c := range p {
		if c != 0 {
			return bad("something stands where nothing should")
		}
	}
	return nil
}

// Reader reads a bundle from one end to the other, and is an io.Reader of the
// package in it. io.EOF comes when the package was whole and nothing came after
// it. It is for one goroutine at a time.
type Reader struct {
	// Manifest and Size are known before the first byte of the package is read.
	Manifest string
	Size     int64
	src      io.Reader
	left     int64
	err      error
}

// NewReader reads the manifest from src. It reads no more than it needs.
func NewReader(src io.Reader) (*Reader, error) {
	n, err := headerFrom(src, manifestName, MaxManifest)
	if err != nil {
		return nil, err
	}
	text := make([]byte, padded(n))
	if _, err := io.ReadFull(src, text); err != nil {
		return nil, cut(err)
	}
	if err := zeros(text[n:]); err != nil {
		return nil, err
	}
	r := &Reader{Manifest: string(text[:n]), src: src}
	if r.Size, err = headerFrom(src, packageName, MaxPackage); err != nil {
		return nil, err
	}
	r.left = r.Size
	return r, nil
}

func headerFrom(src io.Reader, name string, most int64) (int64, error) {
	h := make([]byte, block)
	if _, err := io.ReadFull(src, h); err != nil {
		return 0, cut(err)
	}
	return parseHeader(h, name, most)
}

// Read reads of the package.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.src.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case r.left == 0:
		r.err = r.end()
	case err != nil:
		r.err = cut(err)
	}
	return n, r.err
}

// end reads what comes after the package, and gives io.EOF when that is right.
func (r *Reader) end() error {
	rest := make([]byte, padded(r.Size)-r.Size+endBlocks*block)
	if _, err := io.ReadFull(r.src, rest); err != nil {
		return cut(err)
	}
	if err := zeros(rest); err != nil {
		return err
	}
	switch n, err := io.ReadFull(r.src, make([]byte, 1)); {
	case n > 0:
		return bad("something comes after its end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// Write writes a bundle of the manifest and of the size bytes of pkg. It is an
// error when pkg has more or fewer.
func Write(w io.Writer, manifest string, pkg io.Reader, size int64) error {
	if len(manifest) < 1 || len(manifest) > MaxManifest {
		return fmt.Errorf("bundle: a manifest of %d bytes, allowed are 1 to %d", len(manifest), MaxManifest)
	}
	if size < 1 || size > MaxPackage {
		return fmt.Errorf("bundle: a package of %d bytes, allowed are 1 to %d", size, int64(MaxPackage))
	}
	n := int64(len(manifest))
	head := append(header(manifestName, n), manifest...)
	head = append(head, make([]byte, padded(n)-n)...)
	head = append(head, header(packageName, size)...)
	if _, err := w.Write(head); err != nil {
		return err
	}
	if _, err := io.CopyN(w, pkg, size); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("bundle: the package is shorter than the %d bytes that were said", size)
		}
		return err
	}
	switch n, err := io.ReadFull(pkg, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("bundle: the package is longer than the %d bytes that were said", size)
	case !errors.Is(err, io.EOF):
		return err
	}
	_, err := w.Write(make([]byte, padded(size)-size+endBlocks*block))
	return err
}
