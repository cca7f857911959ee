package unpack

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"io"
	"testing"
)

// BenchmarkUnpack counts the bytes of the image. "hash alone" is what cannot be
// saved.
func BenchmarkUnpack(b *testing.B) {
	image := someImage(16 << 20)
	one := member{name: "image", body: image}
	b.Run("hash alone", func(b *testing.B) {
		b.SetBytes(int64(len(image)))
		for b.Loop() {
			sha256.Sum256(image)
		}
	})
	for _, p := range []pack{
		{name: "raw", data: image}, {name: "gzip", data: gzipped(b, image)}, {name: "zstd", data: zstded(b, image)},
		{name: "tar", data: tarred(b, one)}, {name: "zip", data: zipOf(b, zip.Deflate, true, one)},
	} {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(int64(len(image)))
			b.ReportAllocs()
			buf := make([]byte, 128<<10)
			for b.Loop() {
				r, err := Open(bytes.NewReader(p.data), sha256.New(), int64(len(image)))
				if err != nil {
					b.Fatal(err)
				}
				// Hidden from io.CopyBuffer: a shortcut would not be what an agent does.
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
