package unpack

import "fmt"

// Kind is a format of packages.
type Kind int

// The kinds. Their numbers are not for keeping; their names are.
const (
	Raw     Kind = iota + 1 // the image itself
	Gzip                    // RFC 1952, one member or several
	Zstd                    // RFC 8878, one frame or several
	Tar                     // with one regular member
	TarGzip                 // the same in gzip
	TarZstd                 // the same in zstd
	Zip                     // with one regular member, stored or deflated
)

var kindNames = [...]string{Raw: "raw", Gzip: "gzip", Zstd: "zstd", Tar: "tar", TarGzip: "tar.gz", TarZstd: "tar.zst", Zip: "zip"}

// String is the kind's name: raw, gzip, zstd, tar, tar.gz, tar.zst or zip.
func (k Kind) String() string {
	if k < Raw || k > Zip {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// ParseKind finds a kind by its name.
func ParseKind(name string) (Kind, error) {
	for k := Raw; k <= Zip; k++ {
		if kindNames[k] == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind of package %q", name)
}

// Resumable tells whether packages of this kind can have boundaries where
// unpacking can go on: raw, gzip and zstd.
func (k Kind) Resumable() bool { return k == Raw || k == Gzip || k == Zstd }
