package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// mapped is a file in memory, as the kernel needs its pages.
type mapped struct{ data []byte }

// mapImage maps a file or a block device.
func mapImage(path, todo string) (mapped, error) {
	f, size, err := open(path, todo)
	if err != nil || size == 0 {
		if err == nil {
			f.Close()
		}
		return mapped{}, err
	}
	defer f.Close()
	if size > math.MaxInt {
		return mapped{}, failed(path, fmt.Errorf("%d bytes do not fit into the memory of this machine", size), "use a 64-bit machine")
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return mapped{}, failed(path, os.NewSyscallError("mmap", err), todo)
	}
	return mapped{data}, nil
}

func (m mapped) close() {
	if m.data != nil {
		unix.Munmap(m.data)
	}
}

// compressesTo says whether the image compresses to at most limit bytes. It
// stops as soon as it does not.
func compressesTo(image []byte, limit int64) (bool, error) {
	w := &bounded{left: limit}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return false, err
	}
	const step = 1 << 20
	for len(image) > 0 && err == nil {
		part := image[:min(step, len(image))]
		_, err = z.Write(part)
		image = image[len(part):]
	}
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	if w.left < 0 {
		return false, nil
	}
	return err == nil, err
}

// bounded counts what is written, and fails when it is too much.
type bounded struct{ left int64 }

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// parseSize reads a number of bytes: 16777216, 16MiB, 16M, 1.5GiB, 500kB.
func parseSize(text string) (int64, error) {
	units := []struct {
		name string
		n    float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"", 1}}
	for _, u := range units {
		if num, ok := strings.CutSuffix(text, u.name); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
			if err != nil || f <= 0 || f*u.n >= math.MaxInt64 || math.IsNaN(f) {
				break
			}
			return int64(f * u.n), nil
		}
	}
	return 0, errors.New("this is no size (write 16MiB, 2GiB or a number of bytes)")
}
