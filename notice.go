package ota

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// SignMethod is the digest algorithm of a package's sign field (P15). It is a
// digest, not a signature.
type SignMethod string

// The methods, spelled as the C SDK insists on.
const (
	MD5    SignMethod = "Md5"
	SHA256 SignMethod = "SHA256"
)

// ParseSignMethod reads a method in any case.
func ParseSignMethod(s string) (SignMethod, error) {
	switch strings.ToLower(s) {
	case "md5":
		return MD5, nil
	case "sha256":
		return SHA256, nil
	}
	return "", fmt.Errorf("sign method %.20q is neither Md5 nor SHA256", s)
}

// DigestLen is the length of the method's digest in bytes: 16 or 32, and 0 for
// an unknown method.
func (m SignMethod) DigestLen() int {
	switch m {
	case MD5:
		return 16
	case SHA256:
		return 32
	}
	return 0
}

// File is one file of a package, as announced.
type File struct {
	Name string // only in packages of several files
	Size int64  // bytes
	URL  string // empty when it is downloaded over MQTT
	Sign string // the file's digest by the notice's SignMethod, lower-case hexadecimal
	MD5  string // the file's MD5 when known, lower-case hexadecimal; may be empty
}

// Stream names a file that is downloaded over MQTT (protocol section 6).
type Stream struct {
	ID     int64
	FileID int64
}

// Notice announces an upgrade of one module (protocol section 3). A decoded
// notice has been checked for its form by [Notice.Validate], and for nothing else.
type Notice struct {
	ID         int64 // of the message: milliseconds in practice; a notice sent again has another
	Module     string
	Version    string
	IsDiff     bool
	SignMethod SignMethod
	Files      []File  // 1, or 2 to MaxFiles over HTTPS
	Stream     *Stream // set when the one file is downloaded over MQTT
	DigestSign string  // base64; only with the product's secure upgrade
	Tags       map[string]string
	UDI        string // the package's custom info
}

// udiKey is the member of extData that carries the package's custom info.
const udiKey = "_package_udi"

// ErrNothing is what DecodeNotice returns for an answer that there is nothing to do.
var ErrNothing = errors.New("no upgrade is announced")

// Same reports whether two notices announce the same package for the same
// module, whatever their message ids and download URLs are.
func (n Notice) Same(o Notice) bool {
	if n.Module != o.Module || n.Version != o.Version || n.IsDiff != o.IsDiff ||
		n.SignMethod != o.SignMethod || len(n.Files) != len(o.Files) {
		return false
	}
	for i, f := range n.Files {
		if f.Size != o.Files[i].Size || f.Sign != o.Files[i].Sign {
			return false
		}
	}
	return true
}

// TotalSize is the bytes of all files together.
func (n Notice) TotalSize() int64 {
	var sum int64
	for _, f := range n.Files {
		sum += f.Size
	}
	return sum
}

// Validate says which field of the notice is outside of which limit.
func (n Notice) Validate() error {
	if err := CheckModule(n.Module); err != nil {
		return err
	}
	if err := CheckVersion(n.Version); err != nil {
		return err
	}
	if n.SignMethod.DigestLen() == 0 {
		return fmt.Errorf("sign method %.20q is neither Md5 nor SHA256", string(n.SignMethod))
	}
	if len(n.DigestSign) > MaxDigestSignLen {
		return fmt.Errorf("digestsign has %d characters, allowed are at most %d", len(n.DigestSign), MaxDigestSignLen)
	}
	if c := utf8.RuneCountInString(n.UDI); c > MaxUDILen {
		return fmt.Errorf("%s has %d characters, allowed are at most %d", udiKey, c, MaxUDILen)
	}
	if len(n.Files) < 1 || len(n.Files) > MaxFiles {
		return fmt.Errorf("%d files, allowed are 1 to %d", len(n.Files), MaxFiles)
	}
	if n.Stream != nil && (len(n.Files) != 1 || n.Files[0].Size > MaxMQTTFileSize) {
		return fmt.Errorf("a download over MQTT is one file of at most %d bytes", MaxMQTTFileSize)
	}
	for i, f := range n.Files {
		if err := f.validate(n); err != nil {
			return fmt.Errorf("file %d: %w", i+1, err)
		}
	}
	return nil
}

func (f File) validate(n Notice) error {
	if f.Size < 1 || f.Size > MaxPackageSize {
		return fmt.Errorf("size %d, allowed are 1 to %d", f.Size, int64(MaxPackageSize))
	}
	if n.Stream == nil && f.URL == "" {
		return errors.New("no url, and no streamId for a download over MQTT")
	}
	if len(f.URL) > MaxURLLen {
		return fmt.Errorf("url has %d characters, allowed are at most %d", len(f.URL), MaxURLLen)
	}
	if len(f.Name) > MaxFileNameLen || strings.ContainsAny(f.Name, "/\x00") {
		return fmt.Errorf("file name %.80q is longer than %d or has a slash or NUL", f.Name, MaxFileNameLen)
	}
	if err := checkDigest("sign", f.Sign, n.SignMethod.DigestLen()); err != nil {
		return err
	}
	if f.MD5 == "" {
		return nil
	}
	return checkDigest("md5", f.MD5, MD5.DigestLen())
}

func checkDigest(what, s string, bytes int) error {
	if b, err := hex.DecodeString(s); err != nil || len(b) != bytes {
		return fmt.Errorf("%s %.80q is not %d hexadecimal digits", what, s, 2*bytes)
	}
	return nil
}
