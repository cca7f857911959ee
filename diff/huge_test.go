//go:build linux && (amd64 || arm64)

package diff_test

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"testing"

	"github.com/leapslot/ota/diff"
)

// TestS11BeyondFourGiB makes and applies patches between sparse images of more
// than 4 GiB: memory that was never written takes no room.
func TestS11BeyondFourGiB(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run: it goes through some 50 GB of zeros")
	}
	const size = 4<<30 + 5<<20
	image := func() []byte {
		p, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Munmap(p) })
		return p
	}
	old, new := image(), image()
	noise := randomBytes(1, 200_000)
	copy(old[size-300_000:], noise)
	copy(new[size-250_000:], noise) // moved, behind 4 GiB
	copy(new[1<<20:], noise)        // and to before
	copy(new[3<<30:], "something new")
	for _, format := range []diff.Format{diff.BSDIFF40, diff.Native} {
		var w bytes.Buffer
		if err := diff.Make(context.Background(), &w, old, new, diff.Options{Format: format}); err != nil {
			t.Fatal(err)
		}
		r, err := diff.NewReader(bytes.NewReader(old), size, bytes.NewReader(w.Bytes()), int64(w.Len()))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<20)
		for at := 0; ; {
			n, err := r.Read(buf)
			if !bytes.Equal(buf[:n], new[at:at+n]) {
				t.Fatalf("%s: what comes at byte %d is not the new image", format, at)
			}
			if at += n; err == io.EOF && at == size {
				break
			}
			if err != nil {
				t.Fatalf("%s: %d bytes, %v", format, at, err)
			}
		}
		t.Logf("%s: %d bytes", format, w.Len())
		if w.Len() > 60_000 {
			t.Errorf("%s: the patch has %d bytes", format, w.Len())
		}
	}
}
