package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// flatName is what -only calls the table of memory by size.
const flatName = "flat"

// flatSizes are those of the images that show that memory does not grow: the last is
// beyond what 32 bits count.
var flatSizes = []int64{1 << 20, 64 << 20, 1 << 30, 4_400_000_000}

// flatSize is what applying patches to an image of a size took.
type flatSize struct {
	Size            int64
	Classic, Native usage
	Patches         [2]int64
}

// measureFlat makes, applies and compares.
func (d *deltas) measureFlat(ctx context.Context) error {
	tool, out := filepath.Join(d.bin, "otapack"), filepath.Join(d.dir, "applied")
	old, new, patch := filepath.Join(d.dir, "flat.old"), filepath.Join(d.dir, "flat.new"), filepath.Join(d.dir, "flat.patch")
	defer func() {
		for _, f := range []string{old, new, patch, out} {
			os.Remove(f)
		}
	}()
	for _, size := range flatSizes {
		if err := writeFlat(old, new, size); err != nil {
			return err
		}
		f := flatSize{Size: size}
		for i, format := range []string{"bsdiff", "native"} {
			d.screen.step("%d MB, %s", size/mb, format)
			if _, err := d.bench.measure(ctx, cmd(tool, "diff", "--force", "--format", format, old, new, patch)); err != nil {
				return err
			}
			info, err := os.Stat(patch)
			if err != nil {
				return err
			}
			f.Patches[i] = info.Size()
			u, err := d.makes(ctx, out, new, cmd(tool, "apply", old, patch, out))
			if err != nil {
				return err
			}
			if i == 0 {
				f.Classic = u
			} else {
				f.Native = u
			}
		}
		d.flat = append(d.flat, f)
	}
	return nil
}

// writeFlat writes two images that are mostly holes. At both ends there is as much
// noise as fills every block of a patch, changed all over and with more of it
// in the second.
func writeFlat(oldPath, newPath string, size int64) error {
	rng := rand.New(rand.NewPCG(3, 5))
	dense := int(min(3<<20, size/4))
	was := make([]byte, dense)
	for i := range was {
		was[i] = byte(rng.Uint32())
	}
	is := bytes.Clone(was)
	for i := 0; i < dense; i += 1 + rng.IntN(7) {
		is[i] = byte(rng.Uint32())
	}
	more := make([]byte, dense)
	for i := range more {
		more[i] = byte(rng.Uint32())
	}
	if err := writeHoles(oldPath, size, was); err != nil {
		return err
	}
	return writeHoles(newPath, size, is, more)
}

// writeHoles writes pieces at the beginning and again at the end.
func writeHoles(path string, size int64, pieces ...[]byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	body := bytes.Join(pieces, nil)
	_, err = f.Write(body)
	if err == nil {
		_, err = f.WriteAt(pieces[0], size-int64(len(pieces[0])))
	}
	return errors.Join(err, f.Close())
}

// flatTable shows the peaks.
func (d *deltas) flatTable() table {
	t := table{title: "Memory by size", about: []string{"Generated images that are mostly holes, with noise at both ends that fills every block of a patch. Peak MB and CPU seconds of `otapack apply`, " +
		"which for native patches computes both digests; the patches were made by hash seeds (`otapack diff`), and each result was compared with the new image."},
		head: []string{"image", "BSDIFF40, peak MB", "CPU s", "native, peak MB", "CPU s", "patches, MB"}}
	for _, f := range d.flat {
		t.rows = append(t.rows, []string{fmt.Sprintf("%.0f MB", float64(f.Size)/mb),
			figure(float64(f.Classic.Peak) / mb), figure(f.Classic.CPU.Seconds()), figure(float64(f.Native.Peak) / mb), figure(f.Native.CPU.Seconds()),
			fmt.Sprintf("%.1f, %.1f", float64(f.Patches[0])/mb, float64(f.Patches[1])/mb)})
	}
	return t
}
