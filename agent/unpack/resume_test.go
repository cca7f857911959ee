package unpack

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"io"
	"testing"
)

// checkpoint is what an agent saves.
type checkpoint struct {
	in, out int64
	state   []byte // of the digest
}

// TestW9Boundaries goes on from every boundary of every package, with only what
// can be saved: two offsets and the state of the digest. At every single Read
// the digest must be that of exactly what was used.
func TestW9Boundaries(t *testing.T) {
	image := someImage(300_000)
	for _, p := range packs(t, image) {
		for _, step := range []int{4099, 60_000, 100_000, 1 << 20} {
			points := walk(t, p, step, int64(len(image)))
			if p.boundaries >= 0 && len(points) != p.boundaries {
				t.Errorf("%s, %d a read: %d boundaries, want %d", p.name, step, len(points), p.boundaries)
			}
			for _, c := range points {
				resume(t, p, c, image)
			}
		}
	}
}

// A member whose end comes only when its last byte has been returned already:
// its boundary must not be passed over.
func TestW9BoundaryWithoutBytes(t *testing.T) {
	image := someImage(1 << 18)
	for _, p := range []pack{
		{"gzip, whole windows", Gzip, gzipped(t, parts(image, 4)...), 4},
		{"zstd, whole windows", Zstd, zstded(t, parts(image, 4)...), 4},
	} {
		for _, step := range []int{1 << 15, 1 << 16, 1 << 20} {
			points := walk(t, p, step, int64(len(image)))
			if len(points) != p.boundaries {
				t.Errorf("%s, %d a read: %d boundaries, want %d", p.name, step, len(points), p.boundaries)
			}
			for _, c := range points {
				resume(t, p, c, image)
			}
		}
	}
}

// walk reads a package and notes its boundaries.
func walk(t *testing.T, p pack, step int, size int64) (points []checkpoint) {
	t.Helper()
	pkg := sha256.New()
	r, err := Open(bytes.NewReader(p.data), pkg, size)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	buf, out := make([]byte, step), int64(0)
	for {
		n, err := r.Read(buf)
		out += int64(n)
		in, ok := r.Boundary()
		if want := sha256.Sum256(p.data[:in]); !bytes.Equal(pkg.Sum(nil), want[:]) {
			t.Fatalf("%s: at %d the digest is not that of what was used", p.name, in)
		}
		if err == io.EOF {
			return points
		}
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if ok {
			state, err := pkg.(encoding.BinaryMarshaler).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			points = append(points, checkpoint{in, out, state})
		}
	}
}

// resume goes on from a checkpoint.
func resume(t *testing.T, p pack, c checkpoint, image []byte) {
	t.Helper()
	pkg := sha256.New()
	if err := pkg.(encoding.BinaryUnmarshaler).UnmarshalBinary(c.state); err != nil {
		t.Fatal(err)
	}
	r, err := Continue(p.kind, bytes.NewReader(p.data[c.in:]), pkg, int64(len(image)), c.in, c.out)
	if err != nil {
		t.Fatalf("%s at %d: %v", p.name, c.in, err)
	}
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(rest, image[c.out:]) {
		t.Fatalf("%s at %d: %d bytes, %v, want %d", p.name, c.in, len(rest), err, len(image[c.out:]))
	}
	if want := sha256.Sum256(p.data); !bytes.Equal(pkg.Sum(nil), want[:]) {
		t.Fatalf("%s at %d: the digest is not the package's", p.name, c.in)
	}
	if in, _ := r.Boundary(); in != int64(len(p.data)) {
		t.Fatalf("%s at %d: used up to %d of %d", p.name, c.in, in, len(p.data))
	}
}

func TestContinueRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		kind         Kind
		max, in, out int64
	}{
		"a tar":             {Tar, 100, 0, 0},
		"a zip":             {Zip, 100, 0, 0},
		"a tar.gz":          {TarGzip, 100, 0, 0},
		"nothing":           {0, 100, 0, 0},
		"a negative offset": {Raw, 100, -1, 0},
		"a negative size":   {Raw, 100, 0, -1},
		"more than allowed": {Raw, 100, 0, 101},
	} {
		r, err := Continue(c.kind, bytes.NewReader([]byte("rest")), sha256.New(), c.max, c.in, c.out)
		if err == nil {
			t.Errorf("%s: continued", name)
		}
		if r.Drain() != nil {
			t.Errorf("%s: not drained", name)
		}
	}
	// The middle of a raw image may look like anything.
	r, err := Continue(Raw, bytes.NewReader(gzipped(t, []byte("x"))), sha256.New(), 1000, 5, 5)
	if got, rerr := io.ReadAll(r); err != nil || rerr != nil || !bytes.Equal(got, gzipped(t, []byte("x"))) {
		t.Errorf("raw: %d bytes, %v, %v", len(got), err, rerr)
	}
}
