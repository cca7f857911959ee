package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestToolsPackages opens what the usual tools have made: see
// testdata/tools/README.
func TestToolsPackages(t *testing.T) {
	want, err := os.ReadFile("testdata/tools/image")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/tools/*.*")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pkg := sha256.New()
		got, r, err := unpack(bytes.NewReader(data), pkg, int64(len(want)))
		if strings.HasPrefix(filepath.Base(path), "refused") {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes, %v", path, r.Kind(), len(got), err)
		}
		if sum := sha256.Sum256(data); !bytes.Equal(pkg.Sum(nil), sum[:]) {
			t.Errorf("%s: the digest is not the package's", path)
		}
	}
}

// A name says nothing: the kind is what the first bytes say.
func TestSniff(t *testing.T) {
	head := func(b []byte) []byte { return b[:min(len(b), sniffLen)] }
	v7 := tarred(t, member{name: "image", body: []byte("x")})
	for name, c := range map[string]struct {
		b    []byte
		want Kind
	}{
		"zeros":                         {make([]byte, 512), Raw},
		"one byte":                      {[]byte{0x1F}, Raw},
		"gzip with a reserved flag":     {[]byte{0x1F, 0x8B, 8, 0x80, 0, 0}, Raw},
		"gzip of another method":        {[]byte{0x1F, 0x8B, 7, 0, 0, 0}, Raw},
		"skippable frame":               {[]byte{0x5F, 0x2A, 0x4D, 0x18}, Zstd},
		"tar":                           {head(v7), Tar},
		"half a tar":                    {v7[:511], Raw},
		"tar with a wrong sum":          {append([]byte("X"), v7[1:512]...), Raw},
		"zip of nothing":                {[]byte("PK\x05\x06"), Zip},
		"a text that starts like bzip2": {[]byte("BZh, he said"), Raw},
		"an ext4 image":                 {append(make([]byte, 300), "anything"...), Raw},
	} {
		if got, err := sniff(c.b); got != c.want || err != nil {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

func encodeZstd(t *testing.T, image []byte, size bool, opts ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append(opts, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	if size {
		return w.EncodeAll(image, nil)
	}
	if _, err := w.Write(image); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestZstdFrames(t *testing.T) {
	image := append(make([]byte, 300_000), someImage(500_000)...)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"window of 8 MiB":           {encodeZstd(t, image, false, zstd.WithWindowSize(8<<20)), nil},
		"window of 16 MiB":          {encodeZstd(t, image, false, zstd.WithWindowSize(16<<20)), ErrFormat},
		"with its size":             {encodeZstd(t, image, true), nil},
		"small and with its size":   {encodeZstd(t, image[299_000:300_500], true, zstd.WithSingleSegment(true)), nil},
		"without a checksum":        {encodeZstd(t, image, false, zstd.WithEncoderCRC(false)), nil},
		"repeated bytes":            {encodeZstd(t, image[:300_000], false), nil},
		"its size is above the cap": {encodeZstd(t, make([]byte, 2<<20), true), ErrTooLarge},
		"wants a dictionary":        {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0x21, 7, 1, 9, 0, 0, 'x'}, ErrFormat},
		"reserved bit":              {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0x28, 1, 9, 0, 0, 'x'}, ErrFormat},
		"reserved type of block":    {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0x20, 1, 15, 0, 0, 'x'}, ErrFormat},
		"block above 128 KiB":       {append([]byte{0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x50, 1, 0, 0x20}, make([]byte, 300_000)...), ErrFormat},
		"by hand":                   {[]byte{0x28, 0xB5, 0x2F, 0xFD, 0x20, 1, 9, 0, 0, 'x'}, nil},
	} {
		pkg := sha256.New()
		got, r, err := unpack(bytes.NewReader(c.data), pkg, 1<<20)
		if !errors.Is(err, c.want) || err == nil && len(got) == 0 {
			t.Errorf("%s: %d bytes, %v, want %v", name, len(got), err, c.want)
		}
		if err != nil {
			drained(t, name, r, pkg, c.data)
		}
	}
}

// TestZipLies changes what the end of a zip says about what was read.
func TestZipLies(t *testing.T) {
	whole := zipOf(t, zip.Deflate, false, member{name: "image", body: []byte("the image, the image, the image")})
	central := bytes.Index(whole, []byte("PK\x01\x02"))
	end := bytes.Index(whole, []byte("PK\x05\x06"))
	for name, at := range map[string]int{
		"flags, local": 6, "method, local": 8, "checksum, local": 14, "packed size, local": 18, "size, local": 22, "name, local": 30,
		"method": central + 10, "checksum": central + 16, "packed size": central + 20, "size": central + 24,
		"offset": central + 42, "name": central + 46,
		"disk": end + 4, "disk of the directory": end + 6, "entries here": end + 8, "entries": end + 10,
		"size of the directory": end + 12, "offset of the directory": end + 16, "comment": end + 20,
	} {
		data := bytes.Clone(whole)
		data[at] ^= 1
		pkg := sha256.New()
		got, r, err := unpack(bytes.NewReader(data), pkg, 1000)
		if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		drained(t, name, r, pkg, data)
	}
	// An entry that only the directory, or only the front, knows.
	record := whole[central:end]
	twice := bytes.Join([][]byte{whole[:end], record, whole[end:]}, nil)
	none := bytes.Join([][]byte{whole[:central], whole[end:]}, nil)
	hidden := bytes.Clone(none) // and the end record says how long the directory is
	copy(hidden[central+12:], []byte{0, 0, 0, 0})
	for name, data := range map[string][]byte{"twice in the directory": twice, "not in the directory": none, "hidden": hidden} {
		if _, _, err := unpack(bytes.NewReader(data), sha256.New(), 1000); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	secret := bytes.Clone(whole)
	secret[6] |= flagEncrypted
	if _, _, err := unpack(bytes.NewReader(secret), sha256.New(), 1000); err == nil || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("encrypted: %v", err)
	}
}

// TestTarHeaderBomb: headers that describe a member which never comes.
func TestTarHeaderBomb(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	records := map[string]string{"LEAPSLOT.comment": strings.Repeat("c", 700<<10)}
	if err := w.WriteHeader(&tar.Header{Name: "image", Size: 512, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: records}); err != nil {
		t.Fatal(err)
	}
	extended := bytes.Clone(b.Bytes()[:b.Len()-tarBlock])
	if _, err := w.Write(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]error{0: nil, 1: nil, 5: ErrFormat, 100: ErrFormat} {
		data := append(bytes.Repeat(extended, n), b.Bytes()...)
		_, _, err := unpack(bytes.NewReader(gzipped(t, data)), sha256.New(), 1000)
		if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), "header of one member") {
			t.Errorf("%d times: %v", n, err)
		}
	}
}

// TestW10Memory: unpacking takes the memory that the package comment says,
// whatever the image.
func TestW10Memory(t *testing.T) {
	image := make([]byte, 48<<20)
	copy(image[20<<20:], someImage(4<<20))
	for _, p := range []pack{
		{name: "raw", data: image},
		{name: "gzip", data: gzipped(t, image)},
		{name: "zstd, 8 MiB", data: encodeZstd(t, image, false, zstd.WithWindowSize(MaxWindow))},
		{name: "tar.gz", data: gzipped(t, tarred(t, member{name: "image", body: image}))},
		{name: "zip", data: zipOf(t, zip.Deflate, true, member{name: "image", body: image})},
	} {
		before := heap()
		r, err := Open(bytes.NewReader(p.data), sha256.New(), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, 40<<20); err != nil {
			t.Fatal(err)
		}
		grown := int64(heap()) - int64(before)
		limit := int64(512 << 10)
		if strings.HasPrefix(p.name, "zstd") {
			limit += MaxWindow + 2<<20
		}
		t.Logf("%s: %d KiB", p.name, grown>>10)
		if grown > limit {
			t.Errorf("%s: %d KiB, at most %d were promised", p.name, grown>>10, limit>>10)
		}
		runtime.KeepAlive(r)
		runtime.KeepAlive(p)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fuzz checks what holds for any package: bounds, errors, and that the digest is
// of what was there.
func fuzz(t *testing.T, data []byte, kind Kind) {
	const allowed = 1 << 18
	pkg := sha256.New()
	var r *Reader
	var err error
	if kind == 0 {
		r, err = Open(bytes.NewReader(data), pkg, allowed)
	} else {
		r, err = Continue(kind, bytes.NewReader(data), pkg, allowed, 0, 0)
	}
	total, buf := 0, make([]byte, 3000)
	for err == nil {
		var n int
		n, err = r.Read(buf)
		total += n
		in, ok := r.Boundary()
		if in < 0 || in > int64(len(data)) || ok && !r.Kind().Resumable() {
			t.Fatalf("boundary %d, %v in %d bytes", in, ok, len(data))
		}
	}
	if total > allowed {
		t.Fatalf("%d bytes", total)
	}
	if in, _ := r.Boundary(); err == io.EOF && (total == 0 || in != int64(len(data))) {
		t.Fatalf("an image of %d bytes, used %d of %d", total, in, len(data))
	}
	if err != io.EOF && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if err := r.Drain(); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(pkg.Sum(nil), want[:]) {
		t.Fatal("the digest is not the package's")
	}
}

func seed(f *testing.F, kinds ...Kind) {
	for _, p := range packs(f, someImage(900)) {
		for _, k := range kinds {
			if p.kind == k {
				f.Add(p.data)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	seed(f, Raw, Gzip, Zstd, Tar, TarGzip, TarZstd, Zip)
	f.Fuzz(func(t *testing.T, data []byte) { fuzz(t, data, 0) })
}

func FuzzGzip(f *testing.F) {
	seed(f, Gzip)
	f.Fuzz(func(t *testing.T, data []byte) { fuzz(t, data, Gzip) })
}

func FuzzZstd(f *testing.F) {
	seed(f, Zstd)
	f.Fuzz(func(t *testing.T, data []byte) { fuzz(t, data, Zstd) })
}

func FuzzTar(f *testing.F) {
	seed(f, Tar)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= tarBlock && isTar(data) {
			fuzz(t, data, 0)
		}
	})
}

func FuzzZip(f *testing.F) {
	seed(f, Zip)
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("PK")) {
			fuzz(t, data, 0)
		}
	})
}

// FuzzFrameHeader compares our reading of a zstd frame header with the
// library's.
func FuzzFrameHeader(f *testing.F) {
	seed(f, Zstd)
	f.Add([]byte{0x28, 0xB5, 0x2F, 0xFD, 0xC0, 0xFF, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), maxFrameHeader)]
		if len(data) < 4 || binary.LittleEndian.Uint32(data) != zstdMagic {
			return
		}
		got, err := parseFrameHeader(data)
		var want zstd.Header
		padded := append(bytes.Clone(data), make([]byte, 16)...)
		if err != nil || want.Decode(padded[:min(len(padded), zstd.HeaderMaxSize)]) != nil {
			return
		}
		if got.hasSize != want.HasFCS || got.hasSize && got.size != want.FrameContentSize || got.checksum != want.HasCheckSum ||
			!want.SingleSegment && got.window != want.WindowSize || want.DictionaryID != 0 {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}
