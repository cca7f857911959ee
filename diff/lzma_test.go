package diff_test

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"github.com/leapslot/ota/diff"
)

func lzmaTexts() map[string][]byte {
	old, new := images(200_000)
	delta := make([]byte, len(new))
	for i := range delta {
		delta[i] = new[i] - old[i%len(old)]
	}
	return map[string][]byte{
		"one byte": {7}, "two": {7, 7}, "zeros": make([]byte, 300_000), "noise": randomBytes(1, 70_000),
		"period": bytes.Repeat([]byte("abcdefgh\x00"), 9000), "program": old, "delta": delta,
		"far":   join(randomBytes(2, 150_000), old[:1000], randomBytes(2, 150_000)),
		"words": bytes.Repeat(join([]byte("one "), randomBytes(3, 3), []byte(" two"), randomBytes(4, 2)), 700),
	}
}

func TestLZMARoundTrip(t *testing.T) {
	for name, text := range lzmaTexts() {
		for i, file := range diff.LZMA(text) {
			if got, err := diff.Unlzma(file, len(text)); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s, properties %d: %v", name, i, err)
			}
			if i == 0 {
				t.Logf("%s: %d of %d bytes", name, len(file)-13, len(text))
			}
		}
	}
}

// TestXzReadsLZMA has our streams read by another program.
func TestXzReadsLZMA(t *testing.T) {
	xz, err := exec.LookPath("xz")
	if err != nil {
		t.Skipf("not checked against xz: %v (apt-get install xz-utils)", err)
	}
	for name, text := range lzmaTexts() {
		for i, file := range diff.LZMA(text) {
			c := exec.Command(xz, "--format=lzma", "-dc")
			c.Stdin = bytes.NewReader(file)
			if got, err := c.Output(); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s, properties %d: xz gives %d bytes of %d, %v", name, i, len(got), len(text), err)
			}
		}
	}
}

func FuzzLZMA(f *testing.F) {
	for _, text := range lzmaTexts() {
		f.Add(text[:min(len(text), 3000)], uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, times uint8) {
		text = bytes.Repeat(text, min(int(times)+1, 200_000/(len(text)+1)))
		if len(text) == 0 {
			return
		}
		for i, file := range diff.LZMA(text) {
			if got, err := diff.Unlzma(file, len(text)); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("properties %d: %v", i, err)
			}
		}
	})
}

// FuzzUnlzma reads anything: no panic, and only documented errors.
func FuzzUnlzma(f *testing.F) {
	for _, text := range lzmaTexts() {
		for _, file := range diff.LZMA(text[:min(len(text), 300)]) {
			f.Add(file, uint16(len(text)))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, size uint16) {
		if len(file) < 13 || size == 0 {
			return
		}
		if _, err := diff.Unlzma(file, int(size)); err != nil && !errors.Is(err, diff.ErrFormat) {
			t.Fatalf("unknown error %v", err)
		}
	})
}
