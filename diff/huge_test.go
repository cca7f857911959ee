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

// sparse is an image of size bytes: memory that was never written takes no room.
func sparse(t *testing.T, size int) []byte {
	t.Helper()
	p, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(p) })
	// One page of zeros for 2 MiB, where the kernel can: most of the time would
	// go into a million page faults.
	_ = syscall.Madvise(p, syscall.MADV_HUGEPAGE)
	return p
}

const beyond = 4<<30 + 5<<20

// TestS11OldBeyondFourGiB finds and reads what is behind 4 GiB of the old image.
func TestS11OldBeyondFourGiB(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("left out of a short run: it goes through 10 GB of zeros")
	}
	old, noise := sparse(t, beyond), randomBytes(1, 200_000)
	copy(old[beyond-300_000:], noise)
	copy(old[3<<30:], noise[:5000])
	checkHuge(t, old, join(noise, make([]byte, 1<<20), []byte("new"), noise[100_000:]), diff.BSDIFF40, diff.Native)
}

// TestS11NewBeyondFourGiB makes an image of more than 4 GiB.
func TestS11NewBeyondFourGiB(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("left out of a short run: it goes through 20 GB of zeros")
	}
	noise := randomBytes(1, 200_000)
	new := sparse(t, beyond)
	copy(new[beyond-250_000:], noise)
	copy(new[1<<20:], noise[50_000:])
	checkHuge(t, join(noise, sparse(t, 64<<20)), new, diff.BSDIFF40)
}

// checkHuge makes and applies patches, which have to be small.
func checkHuge(t *testing.T, old, new []byte, formats ...diff.Format) {
	t.Helper()
	for _, format := range formats {
		var w bytes.Buffer
		if err := diff.Make(context.Background(), &w, old, new, diff.Options{Format: format}); err != nil {
			t.Fatal(err)
		}
		r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(w.Bytes()), int64(w.Len()))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<20)
		for at := 0; ; {
			n, err := r.Read(buf)
			if !bytes.Equal(buf[:n], new[at:at+n]) {
				t.Fatalf("%s: what comes at byte %d is not the new image", format, at)
			}
			if at += n; err == io.EOF && at == len(new) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %d bytes, %v", format, at, err)
			}
		}
		t.Logf("%s: %d bytes", format, w.Len())
		if w.Len() > 1_000_000 {
			t.Errorf("%s: the patch has %d bytes", format, w.Len())
		}
	}
}
