package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/diff"
)

// TestInterrupted: ctrl-C in the middle leaves neither the output nor any
// other file, and is a failure.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	old, new, patch := filepath.Join(dir, "old"), filepath.Join(dir, "new"), filepath.Join(dir, "patch")
	image := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	var made bytes.Buffer
	if err := diff.Make(context.Background(), &made, image, image, diff.Options{}); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{old: image, new: image, patch: made.Bytes()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"diff", old, new, filepath.Join(dir, "out")},
		{"apply", old, patch, filepath.Join(dir, "out")},
	} {
		var out, err bytes.Buffer
		e := &env{out: &out, err: &err}
		if code := e.run(ctx, args); code != exitFailure {
			t.Errorf("%s: exit code %d", args[0], code)
		}
		if want := "otapack: interrupted: nothing was written (run it again)\n"; err.String() != want || out.Len() > 0 {
			t.Errorf("%s: said %q", args[0], err.String())
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "out") {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}
