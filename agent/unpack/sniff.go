package unpack

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// sniffLen is how many bytes of a package are looked at to find its kind: one
// header of tar.
const sniffLen = tarBlock

const tarBlock = 512

// Magic numbers of zstd, as little-endian integers.
const (
	zstdMagic     = 0xFD2FB528
	skippable     = 0x184D2A50 // to ...5F
	skippableMask = 0xFFFFFFF0
)

// refused are formats that look like a package and are none of ours. Written
// into a slot as they are they would make a system that does not start, so it
// is better to say so before.
var refused = [...]struct{ magic, what string }{
	{"\xFD7zXZ\x00", "xz"},
	{"\x04\x22\x4D\x18", "lz4"},
	{"7z\xBC\xAF\x27\x1C", "7-Zip"},
	{"Rar!\x1A\x07", "RAR"},
	{"BSDIFF40", "a bsdiff patch where a full image was announced"},
	{"ENDSLEY/BSDIFF43", "a bsdiff patch where a full image was announced"},
}

// sniff finds the kind of a package by its first bytes. Whether gzip and zstd
// hold a tar is seen later.
func sniff(b []byte) (Kind, error) {
	switch {
	case len(b) == 0:
		return 0, fmt.Errorf("%w: it is empty", ErrFormat)
	// Method deflate, and no reserved flag.
	case len(b) >= 4 && b[0] == 0x1F && b[1] == 0x8B && b[2] == 8 && b[3]&0xE0 == 0:
		return Gzip, nil
	case len(b) >= 4 && isZstd(binary.LittleEndian.Uint32(b)):
		return Zstd, nil
	// PK56 is an archive of nothing, which is refused there.
	case bytes.HasPrefix(b, []byte("PK\x03\x04")), bytes.HasPrefix(b, []byte("PK\x05\x06")):
		return Zip, nil
	case isTar(b):
		return Tar, nil
	case len(b) >= 10 && string(b[:3]) == "BZh" && string(b[4:10]) == "1AY&SY":
		return 0, unsupported("bzip2")
	}
	for _, r := range refused {
		if bytes.HasPrefix(b, []byte(r.magic)) {
			return 0, unsupported(r.what)
		}
	}
	return Raw, nil
}

func unsupported(what string) error {
	return fmt.Errorf("%w: it is %s, which is not supported (send the image itself, or in gzip, zstd, tar, tar.gz, tar.zst or zip)", ErrFormat, what)
}

func isZstd(magic uint32) bool {
	return magic == zstdMagic || magic&skippableMask == skippable
}

// isTar tells whether a block is the header of a tar, of whatever age: its
// checksum is right, which no other block's is by accident, since it must
// stand there in octal digits.
func isTar(b []byte) bool {
	if len(b) < tarBlock {
		return false
	}
	field := bytes.Trim(b[148:156], " \x00")
	if len(field) == 0 {
		return false
	}
	want := 0
	for _, c := range field {
		if c < '0' || c > '7' {
			return false
		}
		want = want<<3 | int(c-'0')
	}
	sum := 8 * int(' ') // the field itself counts as blanks
	for i, c := range b[:tarBlock] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	return sum == want
}
