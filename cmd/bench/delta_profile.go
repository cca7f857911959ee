package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"github.com/leapslot/ota/diff"
)

// profileRow is a line of a profile: a function, and the part of all samples that
// fell into it, and into it and what it calls.
type profileRow struct{ Name, Flat, Cum string }

// profileLines is how many functions of a profile are shown.
const profileLines = 14

// profileOf does something here, in this process, and says where the time went.
func profileOf(ctx context.Context, dir string, do func() error) ([]profileRow, error) {
	path := filepath.Join(dir, "cpu.pprof")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	err = do()
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", fmt.Sprintf("-nodecount=%d", profileLines), path).Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w", err)
	}
	return parseTop(string(out)), nil
}

// parseTop reads what pprof -top prints: flat, flat %, sum %, cum, cum %, name.
func parseTop(text string) (rows []profileRow) {
	_, lines, _ := strings.Cut(text, "flat%")
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) >= 6 && strings.HasSuffix(f[1], "%") {
			rows = append(rows, profileRow{f[5], f[1], f[4]})
		}
	}
	return rows
}

// applyOnce does what otapack apply --trust-old does, but for the sync.
func applyOnce(oldPath, patchPath, newPath string) error {
	old, err := os.Open(oldPath)
	if err != nil {
		return err
	}
	defer old.Close()
	patch, err := os.Open(patchPath)
	if err != nil {
		return err
	}
	defer patch.Close()
	info, err := old.Stat()
	if err != nil {
		return err
	}
	r, err := diff.NewNativeReader(old, info.Size(), patch)
	if err != nil {
		return err
	}
	out, err := os.Create(newPath)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, r, make([]byte, 128<<10))
	return err
}

// makeOnce does what otapack diff --best does.
func makeOnce(ctx context.Context, p pair) error {
	old, err := os.ReadFile(p.old)
	if err != nil {
		return err
	}
	new, err := os.ReadFile(p.new)
	if err != nil {
		return err
	}
	return diff.Make(ctx, sha256.New(), old, new, diff.Options{Best: true})
}
