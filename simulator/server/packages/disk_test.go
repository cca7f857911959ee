package packages

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// A disk that does not take the file: the uploader is told, and no path.
func TestF8UploadDisk(t *testing.T) {
	p := newShop(t)
	if err := os.RemoveAll(p.Store.dir); err != nil {
		t.Fatal(err)
	}
	status, text := p.send(t, newForm().fields(p.mint(t)).file("f", []byte("x")))
	if status != 500 || !strings.Contains(text, "could not be stored") || strings.Contains(text, p.dir) {
		t.Errorf("%d %s", status, text)
	}
}

// fullDisk takes some bytes and no more.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), int(*d))
	*d -= fullDisk(n)
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A disk that gets full is our failure, not the uploader's, and is told apart from
// a connection that breaks.
func TestF8DiskFull(t *testing.T) {
	p := newShop(t)
	var f File
	disk := fullDisk(300_000)
	var no *refusal
	if err := p.receive(&f, &disk, bytes.NewReader(noise(1<<20))); !errors.Is(err, syscall.ENOSPC) || errors.As(err, &no) {
		t.Errorf("full disk: %v", err)
	}
	f, disk = File{}, fullDisk(1<<20)
	cut := io.MultiReader(bytes.NewReader(noise(1000)), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := p.receive(&f, &disk, cut); !errors.As(err, &no) || no.Code != "IncompleteBody" {
		t.Errorf("cut: %v", err)
	}
}
