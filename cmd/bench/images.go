package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// makeFullImage writes an image whose every second MiB is zero and whose others
// are pseudo-random, the same each time.
func makeFullImage(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	noise, zero := rand.NewChaCha8([32]byte{1}), make([]byte, 1<<20)
	buf := make([]byte, len(zero))
	for at := int64(0); at < size; at += int64(len(buf)) {
		piece := zero
		if at>>20%2 == 0 {
			noise.Read(buf)
			piece = buf
		}
		if _, err := f.Write(piece[:min(int64(len(piece)), size-at)]); err != nil {
			return err
		}
	}
	return f.Close()
}

// pair is two versions of an image and how they came to be.
type pair struct{ name, about, old, new string }

// makePair writes two versions of an image: pieces of 64 KiB of which some have
// moved, some are new, some are gone, and most have small changes: addresses
// that have shifted, as in a program that was linked again.
func (b *bench) makePair(name string, size int) (pair, error) {
	p := pair{name: fmt.Sprintf("generated, %d MiB", size>>20), old: filepath.Join(b.dir, name+".old"), new: filepath.Join(b.dir, name+".new"),
		about: "Generated images are records, text and noise in pieces of 64 KiB; in the new one 1 piece in 40 is new, 1 in 40 gone, 1 in 10 " +
			"moved, and in every second one the addresses (1 word in 64) have shifted."}
	const piece = 64 << 10
	rng := rand.New(rand.NewChaCha8([32]byte{2}))
	var pieces [][]byte
	for range size / piece {
		pieces = append(pieces, makePiece(rng, piece))
	}
	if err := writePieces(p.old, pieces); err != nil {
		return p, err
	}
	var next [][]byte
	for i, old := range pieces {
		switch n := rng.IntN(40); {
		case n == 0: // gone
		case n == 1:
			next = append(next, old, makePiece(rng, piece))
		case n < 6: // moved: another one of the old pieces
			next = append(next, pieces[rng.IntN(len(pieces))])
		case i%2 == 0:
			next = append(next, shift(old))
		default:
			next = append(next, old)
		}
	}
	return p, writePieces(p.new, next)
}

// makePiece makes one piece: a table with an address each 64 words, text, or
// noise.
func makePiece(rng *rand.Rand, size int) []byte {
	words := []string{"slot ", "boot ", "the ", "kernel ", "update ", "of ", "device ", "0x7f ", "lib.so.6 ", "error: ", "\n"}
	var b bytes.Buffer
	switch rng.IntN(3) {
	case 0:
		for b.Len() < size {
			b.WriteString(words[rng.IntN(len(words))])
		}
	case 1:
		for b.Len() < size {
			binary.Write(&b, binary.LittleEndian, rng.Uint32())
		}
	default:
		for n := uint32(0); b.Len() < size; n++ {
			binary.Write(&b, binary.LittleEndian, n*8+rng.Uint32N(4)<<24)
		}
	}
	return b.Bytes()[:size]
}

// shift moves each 64th word, as an address.
func shift(old []byte) []byte {
	b := bytes.Clone(old)
	for i := 0; i+4 <= len(b); i += 256 {
		binary.LittleEndian.PutUint32(b[i:], binary.LittleEndian.Uint32(b[i:])+0x1240)
	}
	return b
}

func writePieces(path string, pieces [][]byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	for _, p := range pieces {
		w.Write(p) // Flush has the error
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// quiet runs what is not measured.
func quiet(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, tail(string(out)))
	}
	return nil
}

// same compares two files: the cost of a wrong result says nothing.
func same(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close()
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("the result is not what it should be: %s differs after byte %d", filepath.Base(got), at)
		}
		if at += int64(n); err != nil || err2 != nil {
			return ended(err, err2)
		}
	}
}

// ended tells two files that ended together from one that cannot be read.
func ended(errs ...error) error {
	for _, err := range errs {
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
	}
	return nil
}
