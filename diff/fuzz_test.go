package diff_test

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/leapslot/ota/diff"
)

// fuzzLimit is the slot of the fuzz targets, in bytes.
const fuzzLimit = 1 << 20

// FuzzReader applies anything at all: no panic, never more than announced, the
// only errors are the documented ones, and Info agrees with what was applied.
func FuzzReader(f *testing.F) {
	for _, patch := range hostile() {
		f.Add([]byte(oldImage), patch)
	}
	for _, p := range pairs() {
		if len(p.old) < 40_000 && len(p.new) < 40_000 {
			f.Add(p.old, makePatch(f, p.old, p.new))
		}
	}
	f.Fuzz(func(t *testing.T, old, patch []byte) {
		summary, infoErr := diff.Info(bytes.NewReader(patch), int64(len(patch)))
		r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), int64(len(patch)), diff.MaxNewSize(fuzzLimit))
		n := int64(0)
		if err == nil {
			n, err = io.Copy(io.Discard, r)
		}
		switch {
		case err == nil:
			if n != r.Size() || infoErr != nil || summary.NewSize != n || summary.OldAtLeast > int64(len(old)) {
				t.Fatalf("applied %d bytes, Info says %+v, %v", n, summary, infoErr)
			}
		case !errors.Is(err, diff.ErrFormat) && !errors.Is(err, diff.ErrTooLarge):
			t.Fatalf("unknown error %v", err)
		case r != nil && n > r.Size():
			t.Fatalf("%d bytes of %d", n, r.Size())
		}
	})
}

// FuzzControl puts any records and sections behind a sound header and sound
// checksums, where flipping bits of a whole patch rarely gets.
func FuzzControl(f *testing.F) {
	f.Add(int64(5), triples(triple{5, 0, 0}), []byte("aaaaa"), []byte{})
	f.Add(int64(9), triples(triple{0, 0, 3}, triple{4, 2, -5}, triple{3, 0, 0}), []byte("aaaaaaa"), []byte("xy"))
	f.Add(int64(5), triples(triple{-1, 6, 0}), []byte{}, []byte("abcdef"))
	f.Fuzz(func(t *testing.T, newSize int64, ctrl, diffData, extra []byte) {
		patch := forge(newSize, diff.Bzip2(ctrl), diff.Bzip2(diffData), diff.Bzip2(extra))
		got, err := apply([]byte(oldImage), patch, diff.MaxNewSize(fuzzLimit))
		if err == nil && (int64(len(got)) != newSize || len(diffData)+len(extra) != len(got)) {
			t.Fatalf("%d bytes of %d, from %d and %d", len(got), newSize, len(diffData), len(extra))
		}
		if err != nil && !errors.Is(err, diff.ErrFormat) && !errors.Is(err, diff.ErrTooLarge) {
			t.Fatalf("unknown error %v", err)
		}
	})
}

// FuzzRoundTrip makes and applies patches between any two images.
func FuzzRoundTrip(f *testing.F) {
	for _, p := range pairs() {
		if len(p.old)+len(p.new) < 60_000 {
			f.Add(p.old, p.new)
		}
	}
	f.Add([]byte("abracadabra"), []byte("abrabracadabra"))
	f.Fuzz(func(t *testing.T, old, new []byte) { roundTrip(t, old, new) })
}

// FuzzBzip2 holds the writer against two readers, repeating the input so that
// long runs and several blocks happen.
func FuzzBzip2(f *testing.F) {
	f.Add([]byte(""), uint16(0))
	f.Add([]byte("\x00"), uint16(60_000))
	f.Add([]byte(strings.Repeat("abc", 100)+"\x00\x00\x00\x00\xff"), uint16(5000))
	f.Fuzz(func(t *testing.T, unit []byte, times uint16) {
		data := bytes.Repeat(unit, min(int(times), 2_000_000/(len(unit)+1)))
		data = append(data, unit...)
		stream := diff.Bzip2(data)
		got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(stream)))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("the standard library reads %d bytes of %d, %v", len(got), len(data), err)
		}
		got, err = diff.Bunzip2(stream)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("our reader reads %d bytes of %d, %v", len(got), len(data), err)
		}
	})
}

// FuzzBunzip2 reads anything: what our reader takes, the standard library
// takes too, and to the same bytes. (Ours wants the end of the input to be the
// end of the stream, theirs reads on.)
func FuzzBunzip2(f *testing.F) {
	for _, s := range []string{"", "a", "aaaaaaaa", "hello world", strings.Repeat("ab", 3000)} {
		f.Add(diff.Bzip2([]byte(s)))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 4096 {
			return // nothing new in there, but a lot of output
		}
		got, err := diff.Bunzip2(stream)
		if err != nil {
			if !errors.Is(err, diff.ErrFormat) {
				t.Fatalf("unknown error %v", err)
			}
			return
		}
		want, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(stream)))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("ours reads %d bytes, the standard library %d, %v", len(got), len(want), err)
		}
	})
}
