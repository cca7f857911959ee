package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// someImage is an image that packs, but not to nothing.
func someImage(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	b := make([]byte, n)
	for i := range b {
		if i%97 < 40 {
			b[i] = byte(r.IntN(256))
		}
	}
	return b
}

// parts cuts an image into n pieces.
func parts(image []byte, n int) [][]byte {
	var out [][]byte
	for i := range n {
		out = append(out, image[int64(len(image))*int64(i)/int64(n):int64(len(image))*int64(i+1)/int64(n)])
	}
	return out
}

func gzipped(t testing.TB, pieces ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range pieces {
		w := gzip.NewWriter(&b)
		w.Name, w.Comment, w.Extra = "image.ext4", "made by a test", []byte{1, 2, 3}
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zstded(t testing.TB, pieces ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range pieces {
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// member is a member of a tar or a zip.
type member struct {
	name string
	body []byte
	kind byte // as tar writes it; 0 = regular
}

func tarred(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Size: int64(len(m.body)), Mode: 0o644, Typeflag: m.kind}
		if m.kind == tar.TypeSymlink || m.kind == tar.TypeLink {
			h.Linkname = "somewhere"
		}
		if m.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: m.kind, PAXRecords: map[string]string{"comment": "x"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf packs with data descriptors, as archive/zip does, or without.
func zipOf(t testing.TB, method uint16, descriptors bool, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: method}
		if m.kind == tar.TypeSymlink {
			h.SetMode(0o777 | 1<<27) // fs.ModeSymlink
		}
		if m.kind == tar.TypeDir {
			h.Method = zip.Store
		}
		body := m.body
		var out io.Writer
		var err error
		if descriptors {
			out, err = w.CreateHeader(h)
		} else {
			body = packRaw(t, h, m.body)
			out, err = w.CreateRaw(h)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.SetComment("a comment"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// packRaw packs a member by hand, so that its header can say what is in it.
func packRaw(t testing.TB, h *zip.FileHeader, body []byte) []byte {
	t.Helper()
	h.CRC32 = crcOf(body)
	h.UncompressedSize64 = uint64(len(body))
	if h.Method == zip.Deflate {
		var p bytes.Buffer
		w, err := flate.NewWriter(&p, 6)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(body)
		w.Close()
		body = p.Bytes()
	}
	h.CompressedSize64 = uint64(len(body))
	return body
}

// pack is a package of every kind.
type pack struct {
	name       string
	kind       Kind
	data       []byte
	boundaries int // where it can go on, its end included; -1 = everywhere
}

// packs makes packages of all kinds of one image.
func packs(t testing.TB, image []byte) []pack {
	one := member{name: "./boot/image.ext4", body: image}
	dirs := []member{{name: "boot/", kind: tar.TypeDir}, one, {name: "later/", kind: tar.TypeDir}}
	skip := append([]byte{0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0}, "abc"...)
	frames3 := zstded(t, parts(image, 3)...)
	empties := append(append(gzipped(t, nil, nil), gzipped(t, parts(image, 2)...)...), gzipped(t, nil)...)
	return []pack{
		{"raw", Raw, image, -1},
		{"gzip", Gzip, gzipped(t, image), 1},
		{"gzip of 5 members", Gzip, gzipped(t, parts(image, 5)...), 5},
		{"gzip with empty members", Gzip, empties, 2},
		{"zstd", Zstd, zstded(t, image), 1},
		{"zstd of 3 frames", Zstd, frames3, 3},
		{"zstd with skippable frames", Zstd, bytes.Join([][]byte{skip, frames3, skip, skip}, nil), 3},
		{"tar", Tar, tarred(t, one), 0},
		{"tar with directories", Tar, tarred(t, dirs...), 0},
		{"tar from git", Tar, tarred(t, member{kind: tar.TypeXGlobalHeader}, one), 0},
		{"tar.gz", TarGzip, gzipped(t, tarred(t, dirs...)), 0},
		{"tar.gz of 3 members", TarGzip, gzipped(t, parts(tarred(t, one), 3)...), 0},
		{"tar.zst", TarZstd, zstded(t, tarred(t, one)), 0},
		{"zip deflated", Zip, zipOf(t, zip.Deflate, true, one), 0},
		{"zip with directories", Zip, zipOf(t, zip.Deflate, true, dirs...), 0},
		{"zip without descriptors", Zip, zipOf(t, zip.Deflate, false, dirs...), 0},
		{"zip stored", Zip, zipOf(t, zip.Store, false, dirs...), 0},
	}
}
