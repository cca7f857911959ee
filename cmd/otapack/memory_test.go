package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/diff"
)

// applyLimit is the most memory that applying a patch may take, for the whole
// process and any image, in KiB.
const applyLimit = 16 << 10

// TestApplyMemory applies a patch whose streams fill their blocks, with the
// real program, and reads the peak of its memory from the kernel.
func TestApplyMemory(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "otapack")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	old, new := denseImages(16 << 20)
	oldPath, patchPath, newPath := filepath.Join(dir, "old"), filepath.Join(dir, "patch"), filepath.Join(dir, "new")
	var patch bytes.Buffer
	if err := diff.Make(context.Background(), &patch, old, new, diff.Options{}); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{oldPath: old, patchPath: patch.Bytes()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	peak := peakOf(t, exec.Command(program, "apply", oldPath, patchPath, newPath))
	got, err := os.ReadFile(newPath)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(new) {
		t.Fatalf("the new image is another one (%v)", err)
	}
	t.Logf("patch of %d bytes for %d: peak %d KiB", patch.Len(), len(new), peak)
	if peak > applyLimit {
		t.Errorf("peak memory %d KiB, %d are allowed", peak, applyLimit)
	}
}

// peakOf runs a program and gives its peak memory in KiB. It is read from
// /proc while the program runs: what wait reports begins with the memory of
// the process that started it.
func peakOf(t *testing.T, cmd *exec.Cmd) (peak int) {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil || peak == 0 {
				t.Fatalf("%v, peak %d KiB: %s", err, peak, &output)
			}
			return peak
		case <-time.After(time.Millisecond):
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
				fmt.Sscan(after, &peak)
			}
		}
	}
}

// denseImages differ so much that diff and extra have full blocks: a quarter
// of the bytes changed, and as much again that is new. The rest is zeros.
func denseImages(size int) (old, new []byte) {
	rng := rand.New(rand.NewPCG(5, 6))
	noise := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		return p
	}
	old = make([]byte, size)
	copy(old, noise(3<<20))
	new = bytes.Clone(old)
	for i := 0; i < 3<<20; i += 1 + rng.IntN(7) {
		new[i] = byte(rng.Uint32())
	}
	return old, append(new, noise(3<<20)...)
}
