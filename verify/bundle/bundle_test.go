package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const manifest = `{"otad":1,"m":"e30=","s":[]}`

func make1(t testing.TB, manifest, pkg string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, manifest, strings.NewReader(pkg), int64(len(pkg))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// both reads a bundle in both ways, which must agree.
func both(t testing.TB, raw []byte) (manifest, pkg string, err error) {
	t.Helper()
	b, err := Open(bytes.NewReader(raw), int64(len(raw)))
	var inOne []byte
	r, err2 := NewReader(bytes.NewReader(raw))
	if err2 == nil {
		inOne, err2 = io.ReadAll(r)
	}
	if (err == nil) != (err2 == nil) {
		t.Fatalf("opened: %v, streamed: %v", err, err2)
	}
	if err != nil {
		if !errors.Is(err, ErrFormat) || !errors.Is(err2, ErrFormat) {
			t.Fatalf("not as a bad bundle: %v, %v", err, err2)
		}
		return "", "", err
	}
	whole, err := io.ReadAll(b.Package(bytes.NewReader(raw)))
	if err != nil || !bytes.Equal(whole, inOne) || r.Manifest != b.Manifest || r.Size != b.Size {
		t.Fatalf("%v: opened %d bytes after %q, streamed %d after %q", err, len(whole), b.Manifest, len(inOne), r.Manifest)
	}
	return b.Manifest, string(whole), nil
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{1, 511, 512, 513, 1024, 100_000} {
		for _, m := range []string{"m", manifest, strings.Repeat("m", 512), strings.Repeat("m", MaxManifest)} {
			pkg := strings.Repeat("p", n)
			raw := make1(t, m, pkg)
			if !Detect(raw[:Head]) {
				t.Errorf("%d: not detected", n)
			}
			gotM, gotP, err := both(t, raw)
			if err != nil || gotM != m || gotP != pkg {
				t.Errorf("%d bytes after %d: %v", n, len(m), err)
			}
			r, err := NewReader(iotest.OneByteReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(iotest.HalfReader(r)); err != nil || string(got) != pkg {
				t.Errorf("%d, in small pieces: %v", n, err)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after the end: %d, %v", n, err)
			}
		}
	}
}

// TestOtherTars: everybody else's tar reads it.
func TestOtherTars(t *testing.T) {
	raw := make1(t, manifest, "the package")
	r := tar.NewReader(bytes.NewReader(raw))
	for _, want := range []struct{ name, text string }{{"manifest", manifest}, {"package", "the package"}} {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || h.Name != want.name || string(text) != want.text || h.Mode != 0o644 || h.Typeflag != tar.TypeReg {
			t.Errorf("%+v %q %v", h, text, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "b.tar")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tar", "-xOf", path).CombinedOutput()
	if err != nil || string(out) != manifest+"the package" {
		t.Errorf("tar: %v: %q", err, out)
	}
	huge := header("package", 9<<30)
	h, err := tar.NewReader(bytes.NewReader(huge)).Next()
	if err != nil || h.Size != 9<<30 {
		t.Errorf("9 GiB: %+v, %v", h, err)
	}
}

// tarOf writes a tar with the standard library.
func tarOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = manifest
			h.Size = int64(len(body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name string, change func(*tar.Header)) tar.Header {
	h := tar.Header{Name: name, Mode: 0o644, Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
	if change != nil {
		change(&h)
	}
	return h
}

// TestT3T4OtherMembers: members that should not be there, tricks with names and
// types, other orders.
func TestT3T4OtherMembers(t *testing.T) {
	m, p := file("manifest", nil), file("package", nil)
	for name, raw := range map[string][]byte{
		"T3 a third member": tarOf(t, m, p, file("install.sh", nil)), "T3 a second package": tarOf(t, m, p, p), "the wrong order": tarOf(t, p, m), "no package": tarOf(t, m), "no manifest": tarOf(t, p),
		"T4 a suffix": tarOf(t, m, file("package.sig", nil)), "T4 a folder before it": tarOf(t, m, file("./package", nil)), "I3 a way out": tarOf(t, m, file("../package", nil)),
		"I3 absolute": tarOf(t, m, file("/package", nil)), "in capitals": tarOf(t, m, file("Package", nil)),
		"T6 a symbolic link": tarOf(t, m, file("package", func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "/dev/sda" })),
		"T6 a hard link":     tarOf(t, m, file("package", func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeLink, "manifest" })),
		"a device":           tarOf(t, m, file("package", func(h *tar.Header) { h.Typeflag = tar.TypeBlock })),
		"an owner's name":    tarOf(t, m, file("package", func(h *tar.Header) { h.Uname = "root" })),
		"another mode":       tarOf(t, m, file("package", func(h *tar.Header) { h.Mode = 0o4755 })),
		"another time":       tarOf(t, m, file("package", func(h *tar.Header) { h.ModTime = time.Unix(1, 0) })),
		"PAX": tarOf(t, m, file("package", func(h *tar.Header) {
			h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"VENDOR.x": "1"}
		})),
		"a GNU tar": tarOf(t, m, file("package", func(h *tar.Header) { h.Format = tar.FormatGNU })),
		"empty":     {}, "zeros": make([]byte, 10240), "something else": bytes.Repeat([]byte("x"), 4096),
	} {
		if _, _, err := both(t, raw); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestAltered: cut anywhere, and with every byte altered outside of the two
// texts, which are not this package's to check.
func TestAltered(t *testing.T) {
	raw := make1(t, manifest, "the package")
	for i := range raw {
		if _, _, err := both(t, raw[:i]); err == nil {
			t.Fatalf("cut at %d: opened", i)
		}
		content := i >= block && i < block+len(manifest) || i >= 3*block && i < 3*block+len("the package")
		for _, flip := range []byte{1, 0x80} {
			b := bytes.Clone(raw)
			b[i] ^= flip
			if _, _, err := both(t, b); (err == nil) != content {
				t.Fatalf("byte %d altered: %v", i, err)
			}
		}
	}
	for _, more := range []string{"\x00", "x", string(make([]byte, 512)), string(make([]byte, 8192))} {
		if _, _, err := both(t, append(bytes.Clone(raw), more...)); err == nil {
			t.Errorf("%d bytes more: opened", len(more))
		}
	}
}

func TestSizes(t *testing.T) {
	raw := make1(t, manifest, "the package")
	for name, n := range map[string]int64{"empty": 0, "the largest and one more": MaxPackage + 1, "2^61": 1 << 61} {
		b := bytes.Clone(raw)
		copy(b[2*block:], header("package", n))
		if _, _, err := both(t, b); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	for name, field := range map[string]string{"negative": "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf5", "a small number in the large form": "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0b",
		"blanks": "         13 ", "2^63": "\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"} {
		b := bytes.Clone(raw)
		copy(b[2*block+atSize:], field)
		if _, _, err := both(t, b); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	empty := append(bytes.Clone(raw[:3*block]), make([]byte, endBlocks*block)...)
	copy(empty[2*block:], header("package", 0))
	if _, _, err := both(t, empty); err == nil {
		t.Error("an empty package: opened")
	}
	long := make1(t, strings.Repeat("m", MaxManifest), "p")
	copy(long, header("manifest", MaxManifest+1))
	if _, _, err := both(t, long); err == nil {
		t.Error("a long manifest: opened")
	}
	for name, c := range map[string]struct {
		manifest, pkg string
		size          int64
	}{"no manifest": {"", "p", 1}, "a long manifest": {strings.Repeat("m", MaxManifest+1), "p", 1}, "no package": {"m", "", 0}, "shorter": {"m", "p", 2}, "longer": {"m", "ppp", 2}} {
		if err := Write(io.Discard, c.manifest, strings.NewReader(c.pkg), c.size); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// zerosAt is a file of zeros with a bundle's head before them and its end after.
type zerosAt struct {
	head []byte
	size int64
	last byte // of the package
	at   int64
}

func (z zerosAt) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(z.head)) {
		copy(p, z.head[off:])
	}
	if z.at >= off && z.at < off+int64(len(p)) {
		p[z.at-off] = z.last
	}
	if off+int64(len(p)) > z.size {
		return int(max(0, z.size-off)), io.EOF
	}
	return len(p), nil
}

// afterZeros is the state of a SHA-256 after 2^32 zeros. It is computed where
// that takes seconds, and elsewhere (an emulated processor) taken as known.
func afterZeros(t *testing.T) []byte {
	t.Helper()
	known, err := hex.DecodeString("736861038ffe48e8fe68159506d4999ee2b1ac4c3e5b953cd5f8bb95e8082d4e8df5e99a" + strings.Repeat("00", 64) + "0000000100000000")
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOARCH != "amd64" || testing.Short() {
		t.Logf("the first 2^32 bytes are not computed on %s", runtime.GOARCH)
		return known
	}
	h, buf := sha256.New(), make([]byte, 1<<20)
	for range 1 << 12 {
		h.Write(buf)
	}
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil || !bytes.Equal(state, known) {
		t.Fatalf("%x, %v", state, err)
	}
	return state
}

// TestT7: past 2^31 and 2^32 the package is all of it, and one bit at its end
// makes another digest.
func TestT7(t *testing.T) {
	const size = 1<<32 + 5
	head := append(header("manifest", 1), 'm')
	head = append(append(head, make([]byte, block-1)...), header("package", size)...)
	z := zerosAt{head: head, size: int64(len(head)) + padded(size) + 2*block, at: int64(len(head)) + size - 1}
	b, err := Open(z, z.size)
	if err != nil || b.Size != size || b.Offset != 3*block {
		t.Fatalf("%+v, %v", b, err)
	}
	state := afterZeros(t)
	digest := func(last byte) string {
		z.last = last
		tail := b.Package(z)
		if _, err := tail.Seek(1<<32, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(h, tail); n != 5 || err != nil {
			t.Fatalf("%d bytes after 2^32: %v", n, err)
		}
		return string(h.Sum(nil))
	}
	if digest(0) == digest(1) {
		t.Error("the last bit is not covered")
	}
	if bytes.Equal(header("package", 10<<30), header("package", 10<<30+1)) {
		t.Error("sizes past 2^33 look alike")
	}
}

// TestReadErrors: what the file itself reports is not taken for a bad bundle.
func TestReadErrors(t *testing.T) {
	raw, broken := make1(t, manifest, strings.Repeat("p", 2000)), errors.New("broken medium")
	for _, at := range []int{0, 600, 1100, 2000, 3600, len(raw)} {
		r, err := NewReader(io.MultiReader(bytes.NewReader(raw[:at]), iotest.ErrReader(broken)))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, broken) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

func FuzzBundle(f *testing.F) {
	f.Add(make1(f, manifest, "the package"))
	f.Add(make1(f, "m", strings.Repeat("p", 513)))
	f.Add(header("manifest", 1))
	f.Add(append(header("manifest", 1), header("package", MaxPackage)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, p, err := both(t, raw)
		if err != nil {
			return
		}
		if !bytes.Equal(make1(t, m, p), raw) {
			t.Fatal("two bundles of one manifest and package")
		}
	})
}

func BenchmarkReader(b *testing.B) {
	pkg := make([]byte, 16<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range pkg {
		pkg[i] = byte(rng.Uint32())
	}
	raw := make1(b, manifest, string(pkg))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(raw))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
