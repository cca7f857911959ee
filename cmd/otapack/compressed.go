package main

import (
	"bytes"
	"encoding/binary"
)

// compressedKind names the compression that a file begins with, or is empty.
func compressedKind(head []byte) string {
	for _, k := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"},
		{"\xfd7zXZ\x00", "xz"},
		{"\x28\xb5\x2f\xfd", "zstd"},
		{"BZh", "bzip2"},
		{"\x04\x22\x4d\x18", "lz4"},
		{"PK\x03\x04", "zip"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.name
		}
	}
	return squashfsKind(head)
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
