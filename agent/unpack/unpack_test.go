package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"testing"
	"testing/iotest"
)

func crcOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// unpack reads a whole package.
func unpack(src io.Reader, pkg hash.Hash, maxSize int64) ([]byte, *Reader, error) {
	r, err := Open(src, pkg, maxSize)
	if err != nil {
		return nil, r, err
	}
	image, err := io.ReadAll(r)
	return image, r, err
}

func TestAllKinds(t *testing.T) {
	image := someImage(200_000)
	for _, p := range packs(t, image) {
		for name, src := range map[string]io.Reader{
			"at once":      bytes.NewReader(p.data),
			"with its end": iotest.DataErrReader(bytes.NewReader(p.data)),
			"halves":       iotest.HalfReader(bytes.NewReader(p.data)),
			"single bytes": iotest.OneByteReader(bytes.NewReader(p.data)),
		} {
			pkg := sha256.New()
			got, r, err := unpack(src, pkg, int64(len(image)))
			if err != nil {
				t.Errorf("%s, %s: %v", p.name, name, err)
				continue
			}
			if r.Kind() != p.kind || !bytes.Equal(got, image) {
				t.Errorf("%s, %s: kind %v, %d bytes", p.name, name, r.Kind(), len(got))
			}
			if want := sha256.Sum256(p.data); !bytes.Equal(pkg.Sum(nil), want[:]) {
				t.Errorf("%s, %s: the digest is not the package's", p.name, name)
			}
		}
	}
}

func TestKindNames(t *testing.T) {
	for k := Raw; k <= Zip; k++ {
		if got, err := ParseKind(k.String()); got != k || err != nil {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	for _, name := range []string{"", "xz", "Kind(0)", Kind(0).String(), Kind(99).String()} {
		if _, err := ParseKind(name); err == nil {
			t.Errorf("%q: a kind", name)
		}
	}
}

// drained checks that after an error the rest of the package goes into the
// digest.
func drained(t *testing.T, name string, r *Reader, pkg hash.Hash, data []byte) {
	t.Helper()
	if err := r.Drain(); err != nil {
		t.Fatalf("%s: Drain: %v", name, err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(pkg.Sum(nil), want[:]) {
		t.Fatalf("%s: after Drain the digest is not the package's", name)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Fatalf("%s: Read after Drain: %v", name, err)
	}
}

// TestTruncated cuts each package at every byte. A raw image cannot know, and
// zeros after a tar's end mark are not missed.
func TestTruncated(t *testing.T) {
	image := someImage(700)
	for _, p := range packs(t, image) {
		if p.kind == Raw {
			continue
		}
		for i := range p.data {
			name := fmt.Sprintf("%s cut at %d of %d", p.name, i, len(p.data))
			pkg := sha256.New()
			got, r, err := unpack(bytes.NewReader(p.data[:i]), pkg, 1<<20)
			// Exactly at a boundary only the length and the digest can tell,
			// and what is cut before a header can be known is a raw image.
			atBoundary := p.boundaries > 0 && bytes.HasPrefix(image, got)
			unknown := r.Kind() == Raw && bytes.Equal(got, p.data[:i]) && i < tarBlock
			if err == nil && (atBoundary || unknown) {
				continue
			}
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%s: %d bytes, %v", name, len(got), err)
			}
			drained(t, name, r, pkg, p.data[:i])
		}
	}
}

func TestTrailingGarbage(t *testing.T) {
	image := someImage(5000)
	for _, p := range packs(t, image) {
		if p.kind == Raw {
			continue
		}
		for _, rest := range []string{"x", "\x1f", "PK", "garbage that is longer than a header", "\x28\xb5\x2f"} {
			data := append(bytes.Clone(p.data), rest...)
			pkg := sha256.New()
			_, r, err := unpack(bytes.NewReader(data), pkg, 1<<20)
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%s with %q: %v", p.name, rest, err)
				continue
			}
			drained(t, p.name, r, pkg, data)
		}
	}
}

// TestFlipped changes each byte of packages that have checksums: the image
// never comes out changed.
func TestFlipped(t *testing.T) {
	image := someImage(600)
	for _, p := range packs(t, image) {
		if p.kind == Raw || p.kind == Tar {
			continue
		}
		for i := range p.data {
			data := bytes.Clone(p.data)
			data[i] ^= 0x21
			got, r, err := unpack(bytes.NewReader(data), sha256.New(), 1<<20)
			if err == nil && r.Kind() == p.kind && !bytes.Equal(got, image) {
				t.Fatalf("%s, byte %d of %d flipped: another image", p.name, i, len(data))
			}
			if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("%s, byte %d flipped: %v", p.name, i, err)
			}
		}
	}
}

// TestReadingEndBroke: an error of the package's reader comes out as it is, for
// it is the transfer that failed and not the package.
func TestReadingEndBroke(t *testing.T) {
	broken := errors.New("connection reset")
	image := someImage(3000)
	for _, p := range packs(t, image) {
		for i := range p.data {
			src := io.MultiReader(bytes.NewReader(p.data[:i]), iotest.ErrReader(broken))
			pkg := sha256.New()
			got, r, err := unpack(src, pkg, 1<<20)
			if err != broken {
				t.Fatalf("%s broken at %d: %d bytes, %v", p.name, i, len(got), err)
			}
			if _, ok := r.Boundary(); ok {
				t.Fatalf("%s broken at %d: a boundary", p.name, i)
			}
			if err := r.Drain(); err != broken {
				t.Fatalf("%s broken at %d: Drain: %v", p.name, i, err)
			}
		}
	}
	if _, _, err := unpack(iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(someImage(100_000)))), sha256.New(), 1<<20); err != iotest.ErrTimeout {
		t.Errorf("timeout: %v", err)
	}
	if _, _, err := unpack(stuck{}, sha256.New(), 1); err != io.ErrNoProgress {
		t.Errorf("stuck: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestI2 lets bombs go off: they end at the size that is allowed.
func TestI2(t *testing.T) {
	const allowed = 1 << 20
	zeros := make([]byte, 64<<20)
	one := member{name: "image", body: zeros}
	for _, p := range []pack{
		{"raw", Raw, make([]byte, allowed+1), 0},
		{"gzip", Gzip, gzipped(t, zeros), 0},
		{"gzip of many members", Gzip, gzipped(t, parts(zeros, 500)...), 0},
		{"zstd", Zstd, zstded(t, zeros), 0},
		{"tar.gz", TarGzip, gzipped(t, tarred(t, one)), 0},
		{"tar.zst", TarZstd, zstded(t, tarred(t, one)), 0},
		{"zip", Zip, zipOf(t, zip.Deflate, true, one), 0},
		{"zip that says so", Zip, zipOf(t, zip.Deflate, false, one), 0},
	} {
		pkg := sha256.New()
		got, r, err := unpack(bytes.NewReader(p.data), pkg, allowed)
		if !errors.Is(err, ErrTooLarge) || len(got) > allowed || r.Kind() != p.kind {
			t.Errorf("%s: %v, %d bytes, %v", p.name, r.Kind(), len(got), err)
			continue
		}
		drained(t, p.name, r, pkg, p.data)
		if got, _, err := unpack(bytes.NewReader(gzipped(t, make([]byte, allowed))), sha256.New(), allowed); err != nil || len(got) != allowed {
			t.Errorf("as large as may be: %d bytes, %v", len(got), err)
		}
	}
	// Zeros without end after the end mark of a tar.
	endless := append(tarred(t, member{name: "image", body: []byte("x")}), zeros...)
	if _, _, err := unpack(bytes.NewReader(gzipped(t, endless)), sha256.New(), 1<<30); !errors.Is(err, ErrFormat) {
		t.Errorf("zeros after a tar: %v", err)
	}
	if _, _, err := unpack(bytes.NewReader(gzipped(t, someImage(100))), sha256.New(), 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("nothing allowed: %v", err)
	}
}

func TestI5Empty(t *testing.T) {
	for name, data := range map[string][]byte{
		"raw": {}, "gzip": gzipped(t, nil), "zstd": zstded(t, nil),
		"tar": tarred(t, member{name: "image"}), "zip": zipOf(t, zip.Deflate, true, member{name: "image"}),
	} {
		if _, _, err := unpack(bytes.NewReader(data), sha256.New(), 100); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// archives makes a tar, a tar.gz and zips of the same members.
func archives(t *testing.T, members ...member) map[string][]byte {
	a := map[string][]byte{
		"zip":                     zipOf(t, zip.Deflate, true, members...),
		"zip without descriptors": zipOf(t, zip.Store, false, members...),
	}
	if len(members) > 0 { // an empty tar is nothing but zeros
		a["tar"] = tarred(t, members...)
		a["tar.gz"] = gzipped(t, a["tar"])
	}
	return a
}

func TestNotExactlyOneImage(t *testing.T) {
	x := []byte("x")
	many := make([]member, MaxEntries+1)
	for i := range many {
		many[i] = member{name: fmt.Sprintf("d%d/", i), kind: tar.TypeDir}
	}
	for name, members := range map[string][]member{
		"two files":        {{name: "a", body: x}, {name: "b", body: x}},
		"twice the same":   {{name: "a", body: x}, {name: "a", body: x}},
		"an empty second":  {{name: "a", body: x}, {name: "b"}},
		"only a directory": {{name: "a/", kind: tar.TypeDir}},
		"nothing":          {},
		"many entries":     append(many, member{name: "a", body: x}),
	} {
		for kind, data := range archives(t, members...) {
			if _, _, err := unpack(bytes.NewReader(data), sha256.New(), 1000); !errors.Is(err, ErrFormat) {
				t.Errorf("%s in %s: %v", name, kind, err)
			}
		}
	}
}

// TestI3 offers names and members that would be dangerous if they were used.
func TestI3(t *testing.T) {
	x := []byte("x")
	long := string(bytes.Repeat([]byte("n"), MaxName+1))
	for _, name := range []string{"../image", "a/../../image", "..", "/etc/passwd", "\\image", "a\\..\\image", "a\x00b", long} {
		for kind, data := range archives(t, member{name: "image", body: x}) {
			if kind == "tar" || kind == "tar.gz" {
				if name == "a\x00b" {
					continue // a name in a tar ends there
				}
				data = tarred(t, member{name: name, body: x})
			} else {
				data = zipOf(t, zip.Deflate, kind == "zip", member{name: name, body: x})
			}
			if _, _, err := unpack(bytes.NewReader(data), sha256.New(), 1000); !errors.Is(err, ErrFormat) {
				t.Errorf("%q in %s: %v", name, kind, err)
			}
		}
	}
	for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo, tar.TypeCont} {
		data := tarred(t, member{name: "image", kind: kind}, member{name: "a", body: x})
		if _, _, err := unpack(bytes.NewReader(data), sha256.New(), 1000); !errors.Is(err, ErrFormat) {
			t.Errorf("tar with a member of type %q: %v", kind, err)
		}
	}
	for _, descriptors := range []bool{true, false} {
		data := zipOf(t, zip.Deflate, descriptors, member{name: "image", body: x, kind: tar.TypeSymlink})
		if _, _, err := unpack(bytes.NewReader(data), sha256.New(), 1000); !errors.Is(err, ErrFormat) {
			t.Errorf("zip with a link: %v", err)
		}
	}
	if got, _, err := unpack(bytes.NewReader(tarred(t, member{name: long[1:], body: x})), sha256.New(), 1000); err != nil || string(got) != "x" {
		t.Errorf("a name of %d bytes: %q, %v", MaxName, got, err)
	}
}

// TestRefusedFormats: what would be written as it is, and would not start.
func TestRefusedFormats(t *testing.T) {
	for name, magic := range map[string]string{
		"xz": "\xFD7zXZ\x00....", "bzip2": "BZh91AY&SY....", "lz4": "\x04\x22\x4D\x18....", "7z": "7z\xBC\xAF\x27\x1C..",
		"rar": "Rar!\x1A\x07..", "patch": "BSDIFF40........",
	} {
		data := append([]byte(magic), someImage(1000)...)
		pkg := sha256.New()
		_, r, err := unpack(bytes.NewReader(data), pkg, 1<<20)
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		drained(t, name, r, pkg, data)
	}
}
