package main

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// compressedKind names the compression that a file begins with, or is empty.
func compressedKind(head []byte) string {
	for _, k := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"},
		{"\xfd7zXZ\x00", "xz"},
		{"\x28\xb5\x2f\xfd", "zstd"},
		{"BZh", "bzip2"},
		{"\x04\x22\x4d\x18", "lz4"},
		{"\x02\x21\x4c\x18", "lz4"}, // the older form, of kernels
		{"\x89LZO\x00\r\n\x1a\n", "lzop"},
		{"7z\xbc\xaf\x27\x1c", "7z"},
		{"PK\x03\x04", "zip"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.name
		}
	}
	for _, look := range []func([]byte) string{squashfsKind, erofsKind, kernelKind} {
		if kind := look(head); kind != "" {
			return kind
		}
	}
	return ""
}

// erofsKind looks into an EROFS superblock, which is at byte 1024: bits 0 and 1 of
// its incompatible features, at byte 80, are only there when files are compressed.
func erofsKind(head []byte) string {
	const superblock, magic, compressed = 1024, 0xe0f5e1e2, 1 | 2
	if len(head) < superblock+84 || binary.LittleEndian.Uint32(head[superblock:]) != magic ||
		binary.LittleEndian.Uint32(head[superblock+80:])&compressed == 0 {
		return ""
	}
	return "compressed EROFS"
}

// kernelKind knows kernels that unpack themselves: an EFI program with zimg at byte
// 4 and the name of its compression at byte 24, and x86's bzImage (HdrS at byte 514).
func kernelKind(head []byte) string {
	switch {
	case len(head) >= 56 && string(head[:2]) == "MZ" && string(head[4:8]) == "zimg":
		name, _, _ := bytes.Cut(head[24:56], []byte{0})
		if !slices.Contains([]string{"gzip", "lz4", "lzma", "lzo", "xzkern", "zstd", "zstd22"}, string(name)) {
			return "compressed kernel"
		}
		return string(name) + " kernel"
	case len(head) >= 518 && string(head[514:518]) == "HdrS":
		return "compressed kernel"
	}
	return ""
}

// squashfsKind looks into a squashfs superblock: its compressor is a number at
// byte 20, and bit 1 of the flags at byte 24 says that file data is stored as
// it is, in which case a patch of it is small.
func squashfsKind(head []byte) string {
	const superblock, flagDataStored = 96, 1 << 1
	if len(head) < superblock || !bytes.HasPrefix(head, []byte("hsqs")) {
		return ""
	}
	if binary.LittleEndian.Uint16(head[24:])&flagDataStored != 0 {
		return ""
	}
	names := []string{1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
	if n := int(binary.LittleEndian.Uint16(head[20:])); n > 0 && n < len(names) {
		return names[n] + " squashfs"
	}
	return "squashfs"
}
