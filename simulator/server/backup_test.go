package server

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/leapslot/ota/simulator/server/store"
)

// TestBackupFileGone: a package whose file goes away while the backup is made has the
// backup begin again, and a backup that is not whole is an error.
func TestBackupFileGone(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir).run()
	defer c.stop()
	p := c.fill("a")
	tries := 0
	begin := func() (io.Writer, error) { tries++; return io.Discard, nil }
	if _, err := Backup(t.Context(), dir, t.TempDir(), begin); !errors.Is(err, errGone) || tries != backupTries {
		t.Errorf("without the package's file: %v after %d tries, want %d and %v", err, tries, backupTries, errGone)
	}
	path := filepath.Join(dir, packagesDir, "files", p.Files[0].Key)
	for _, name := range []string{path, path + ".json"} {
		if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var buf bytes.Buffer
	done, err := Backup(t.Context(), dir, t.TempDir(), func() (io.Writer, error) { return &buf, nil })
	if err != nil || done.Files != 1 || done.Bytes > int64(buf.Len()) {
		t.Errorf("backup with %+v in %d bytes: %v", done, buf.Len(), err)
	}
}

// TestBackupForeign: what is no database of ours is refused, and not changed.
func TestBackupForeign(t *testing.T) {
	dir := t.TempDir()
	begin := func() (io.Writer, error) { return io.Discard, nil }
	if _, err := Backup(t.Context(), dir, dir, begin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, DatabaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, dir, begin); !errors.Is(err, store.ErrForeign) {
		t.Errorf("an empty file: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, DatabaseFile)); err != nil || len(b) != 0 {
		t.Errorf("the empty file has %d bytes now, %v", len(b), err)
	}
}
