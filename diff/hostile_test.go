package diff_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/leapslot/ota/diff"
)

// triple is a record as an attacker writes it.
type triple [3]int64

func number(n int64) []byte {
	u := uint64(n)
	if n < 0 {
		u = 1<<63 | uint64(-n)
	}
	return binary.LittleEndian.AppendUint64(nil, u)
}

// forge puts a patch together from anything.
func forge(newSize int64, ctrl, diffData, extra []byte) []byte {
	return join([]byte("BSDIFF40"), number(int64(len(ctrl))), number(int64(len(diffData))), number(newSize), ctrl, diffData, extra)
}

func triples(ts ...triple) []byte {
	var raw []byte
	for _, t := range ts {
		for _, n := range t {
			raw = append(raw, number(n)...)
		}
	}
	return raw
}

func forged(newSize int64, diffData, extra string, ts ...triple) []byte {
	return forge(newSize, diff.Bzip2(triples(ts...)), diff.Bzip2([]byte(diffData)), diff.Bzip2([]byte(extra)))
}

const oldImage = "0123456789"

// hostile are patches for oldImage that must be refused, one for each way.
func hostile() map[string][]byte {
	zip := func(s string) []byte { return diff.Bzip2([]byte(s)) }
	empty := zip("")
	ok := triples(triple{5, 0, 0})
	sized := func(ctrl, diffLen, newSize int64) []byte {
		return join([]byte("BSDIFF40"), number(ctrl), number(diffLen), number(newSize), empty, empty, empty)
	}
	flipped := forged(5, "\x00\x00\x00\x00\x00", "", triple{5, 0, 0})
	flipped[len(flipped)-len(empty)-15] ^= 0x10
	all := map[string][]byte{
		"nothing":                        {},
		"all zero":                       make([]byte, 4096),
		"another magic":                  join([]byte("BSDIFF4X"), flipped[8:]),
		"negative control length":        sized(-1, 14, 5),
		"negative diff length":           sized(14, -1, 5),
		"negative new size":              sized(14, 14, -5),
		"smallest numbers":               sized(math.MinInt64+1, math.MinInt64+1, math.MinInt64+1),
		"control behind the file":        sized(1<<40, 14, 5),
		"diff behind the file":           sized(14, 1<<40, 5),
		"lengths that overflow together": sized(math.MaxInt64, math.MaxInt64, 5),
		"huge new size, no records":      sized(14, 14, math.MaxInt64),
		"records that do nothing":        forge(5, diff.Bzip2(make([]byte, 24*100_000)), empty, empty),
		"half a record":                  forge(5, diff.Bzip2(ok[:20]), zip("aaaaa"), empty),
		"more than a record":             forge(5, diff.Bzip2(append(ok, 0)), zip("aaaaa"), empty),
		"control is no bzip2":            forge(5, ok, zip("aaaaa"), empty),
		"diff is no bzip2":               forge(5, diff.Bzip2(ok), []byte("aaaaaaaaaaaaaaaa"), empty),
		"extra is missing":               forge(5, diff.Bzip2(ok), zip("aaaaa"), nil),
		"bytes behind control":           forge(5, append(diff.Bzip2(ok), 0), zip("aaaaa"), empty),
		"second stream behind diff":      forge(5, diff.Bzip2(ok), join(zip("aaaaa"), zip("")), empty),
		"bytes behind extra":             append(forged(5, "aaaaa", "", triple{5, 0, 0}), 0),
		"a flipped bit in diff":          flipped,
		"bomb behind diff":               forge(5, diff.Bzip2(ok), diff.Bzip2(make([]byte, 50_000_000)), empty),
		"bomb in control":                forge(1<<40, diff.Bzip2(make([]byte, 48_000_000)), empty, empty),
		"bomb of tiny records":           forge(1000, diff.Bzip2(bytes.Repeat(triples(triple{0, 1, 0}, triple{0, 0, 1}, triple{0, 0, -1}), 900)), empty, zip(strings.Repeat("x", 1000))),
	}
	for name, c := range hostileRecords() {
		all[name] = forged(c.newSize, c.diff, c.extra, c.records...)
	}
	return all
}

// recordCase is a patch whose records are what is wrong with it, in any format
// that has them as numbers.
type recordCase struct {
	newSize     int64
	diff, extra string
	records     []triple
}

// hostileRecords must be refused, one for each way.
func hostileRecords() map[string]recordCase {
	c := func(newSize int64, diff, extra string, ts ...triple) recordCase {
		return recordCase{newSize, diff, extra, ts}
	}
	return map[string]recordCase{
		"negative diff":                c(5, "", "abcde", triple{-1, 5, 0}),
		"negative extra":               c(5, "\x00\x00\x00\x00\x00", "", triple{5, -1, 0}),
		"negative extra, longer diff":  c(5, "\x00\x00\x00\x00\x00\x00", "", triple{6, -1, 0}),
		"smallest diff":                c(5, "", "abcde", triple{math.MinInt64 + 1, 5, 0}),
		"overflowing diff":             c(5, "a", "", triple{math.MaxInt64, 0, 0}),
		"overflowing extra":            c(5, "a", "b", triple{1, math.MaxInt64, 0}),
		"overflowing seek":             c(5, "a", "b", triple{1, 1, math.MaxInt64}, triple{3, 0, 0}),
		"smallest seek":                c(5, "a", "b", triple{1, 1, math.MinInt64 + 1}, triple{3, 0, 0}),
		"diff longer than new":         c(5, "aaaaaa", "", triple{6, 0, 0}),
		"extra longer than new":        c(5, "", "aaaaaa", triple{0, 6, 0}),
		"both longer than new":         c(5, "aaa", "aaa", triple{3, 3, 0}),
		"diff longer than old":         c(11, "aaaaaaaaaaa", "", triple{11, 0, 0}),
		"seek before old":              c(5, "aaaaa", "", triple{1, 0, -2}, triple{4, 0, 0}),
		"seek behind old":              c(5, "aaaaa", "", triple{1, 0, 10}, triple{4, 0, 0}),
		"diff behind old after a seek": c(5, "aaaaa", "", triple{1, 0, 8}, triple{4, 0, 0}),
		"seek outside at the very end": c(5, "aaaaa", "", triple{5, 0, 6}),
		"one record that does nothing": c(5, "aaaaa", "", triple{0, 0, 0}, triple{5, 0, 0}),
		"records that only seek":       c(5, "", "", bytesOf(triple{0, 0, 1}, triple{0, 0, -1}, 5000)...),
		"too few records":              c(5, "aaaa", "", triple{4, 0, 0}),
		"too many records":             c(5, "aaaaa", "", triple{5, 0, 0}, triple{0, 0, 1}),
		"too little diff":              c(5, "aaaa", "", triple{5, 0, 0}),
		"too much diff":                c(5, "aaaaaa", "", triple{5, 0, 0}),
		"too little extra":             c(5, "", "aaaa", triple{0, 5, 0}),
		"too much extra":               c(5, "", "aaaaaa", triple{0, 5, 0}),
	}
}

func bytesOf(a, b triple, n int) (ts []triple) {
	for range n {
		ts = append(ts, a, b)
	}
	return ts
}

func TestI1HostilePatches(t *testing.T) {
	for name, patch := range hostile() {
		t.Run(name, func(t *testing.T) {
			r, err := diff.NewReader(strings.NewReader(oldImage), int64(len(oldImage)), bytes.NewReader(patch), int64(len(patch)))
			n := int64(0)
			if err == nil {
				n, err = io.Copy(io.Discard, r)
			}
			if !errors.Is(err, diff.ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
			if r != nil && n > r.Size() {
				t.Fatalf("%d bytes came of an image of %d", n, r.Size())
			}
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("the error is more than one line: %q", err)
			}
		})
	}
}

// TestI1WhatTheRulesAllow holds the rules against being too strict.
func TestI1WhatTheRulesAllow(t *testing.T) {
	for name, c := range map[string]struct {
		patch []byte
		want  string
	}{
		"seek first":               {forged(3, "\x00\x00\x00", "", triple{0, 0, 7}, triple{3, 0, 0}), "789"},
		"seek only, twice":         {forged(3, "\x00\x00\x00", "", triple{0, 0, 7}, triple{0, 0, -7}, triple{3, 0, 0}), "012"},
		"back to the start":        {forged(4, "\x00\x00\x00\x00", "", triple{2, 0, -2}, triple{2, 0, 0}), "0101"},
		"to the very end":          {forged(3, "\x00", "xy", triple{1, 1, 9}, triple{0, 1, 0}), "0xy"},
		"minus zero":               {join(forged(0, "", "")[:24], []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, forged(0, "", "")[32:]), ""},
		"bytes wrap around":        {forged(2, "\xff\x80", "", triple{2, 0, 0}), "/\xb1"},
		"a seek behind everything": {forged(1, "", "x", triple{0, 1, 10}), "x"},
	} {
		got, err := apply([]byte(oldImage), c.patch)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// TestI1CutAnywhere cuts a patch after each of its bytes.
func TestI1CutAnywhere(t *testing.T) {
	for _, patch := range [][]byte{
		forged(7, "\x00\x00\x00\x01\x00", "xy", triple{5, 2, 0}),
		forged(0, "", ""),
		makePatch(t, randomBytes(1, 500), join(randomBytes(1, 300), randomBytes(2, 300))),
	} {
		old := append([]byte(oldImage), randomBytes(1, 500)...)[10:]
		if len(patch) < 300 {
			old = []byte(oldImage)
		}
		if _, err := apply(old, patch); err != nil {
			t.Fatalf("the whole patch: %v", err)
		}
		for n := range patch {
			_, err := apply(old, patch[:n])
			if !errors.Is(err, diff.ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("cut after %d of %d bytes: %v", n, len(patch), err)
			}
			// A patch that is shorter than it was said to be is a read error.
			r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch[:n]), int64(len(patch)))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			var re *diff.ReadError
			if !errors.As(err, &re) || re.From != diff.FromPatch {
				t.Fatalf("shorter than its size, %d of %d bytes: %v", n, len(patch), err)
			}
		}
	}
}

// TestI1EveryBitFlipped flips each bit of a patch. Headers and checksums must
// find it, or it must not matter.
func TestI1EveryBitFlipped(t *testing.T) {
	want := "01235xy"
	patch := forged(7, "\x00\x00\x00\x00\x01", "xy", triple{5, 2, 0})
	for bit := range len(patch) * 8 {
		p := bytes.Clone(patch)
		p[bit/8] ^= 1 << (bit % 8)
		got, err := apply([]byte(oldImage), p, diff.MaxNewSize(1000))
		switch {
		case err == nil && string(got) != want:
			t.Errorf("bit %d: came to %q without an error", bit, got)
		case err != nil && !errors.Is(err, diff.ErrFormat) && !errors.Is(err, diff.ErrTooLarge):
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}

func TestI2NewSizeIsCapped(t *testing.T) {
	patch := forged(7, "\x00\x00\x00\x01\x00", "xy", triple{5, 2, 0})
	if _, err := apply([]byte(oldImage), patch, diff.MaxNewSize(6)); !errors.Is(err, diff.ErrTooLarge) {
		t.Errorf("7 bytes into 6: %v", err)
	}
	if _, err := apply([]byte(oldImage), patch, diff.MaxNewSize(7)); err != nil {
		t.Errorf("7 bytes into 7: %v", err)
	}
}

// badDisk fails from one byte on.
type badDisk struct {
	io.ReaderAt
	from int64
	err  error
}

func (d badDisk) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > d.from {
		return int(max(0, d.from-off)), d.err
	}
	return d.ReaderAt.ReadAt(p, off)
}

func TestS3ReadErrorOfOld(t *testing.T) {
	old := randomBytes(1, 200_000)
	patch := makePatch(t, old, old)
	broken := errors.New("input/output error")
	r, err := diff.NewReader(badDisk{bytes.NewReader(old), 150_000, broken}, int64(len(old)), bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	var re *diff.ReadError
	if !errors.As(err, &re) || re.From != diff.FromOld || !errors.Is(err, broken) || errors.Is(err, diff.ErrFormat) {
		t.Fatalf("got %v", err)
	}
	if re.Off != 150_000 || !bytes.Equal(got, old[:len(got)]) {
		t.Errorf("offset %d after %d bytes", re.Off, len(got))
	}
	if _, again := r.Read(make([]byte, 1)); again != err {
		t.Errorf("the error is not final: then %v", again)
	}
}

func TestS3OldIsShorterThanSaid(t *testing.T) {
	old := randomBytes(1, 20_000)
	patch := makePatch(t, old, old)
	r, err := diff.NewReader(bytes.NewReader(old[:9000]), int64(len(old)), bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(r)
	var re *diff.ReadError
	if !errors.As(err, &re) || re.From != diff.FromOld || re.Off != 9000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
}

// zeros is an old image of any size without its bytes.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// heapLimit is what applying may allocate in all, whatever the images: the
// package's promise, and some room for what the test does itself.
const heapLimit = 7_500_000

func TestMemoryDoesNotGrow(t *testing.T) {
	full := randomBytes(5, 2_000_000) // blocks that hold as much as a block can
	var used []uint64
	for _, size := range []int64{10_000_000, 60_000_000} {
		body := make([]byte, size)
		copy(body, full)
		patch := forge(size+int64(len(full)), diff.Bzip2(triples(triple{size, int64(len(full)), 0})), diff.Bzip2(body), diff.Bzip2(full))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := diff.NewReader(zeros{}, size, bytes.NewReader(patch), int64(len(patch)))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 32<<10)
		n := int64(0)
		for err == nil {
			var k int
			k, err = r.Read(buf)
			n += int64(k)
		}
		runtime.ReadMemStats(&after)
		if err != io.EOF || n != r.Size() {
			t.Fatalf("%d of %d bytes: %v", n, r.Size(), err)
		}
		used = append(used, after.TotalAlloc-before.TotalAlloc)
	}
	t.Logf("allocated in all: %d bytes for 12 MB, %d for 62 MB", used[0], used[1])
	if used[1] > heapLimit || used[1] > used[0]+200_000 {
		t.Errorf("allocated %v bytes, %d are allowed, the same for both", used, heapLimit)
	}
}

// TestManyRecordsDoNotAllocate: memory must not follow the number of records.
func TestManyRecordsDoNotAllocate(t *testing.T) {
	const n = 200_000
	patch := forge(n*4, diff.Bzip2(bytes.Repeat(triples(triple{2, 2, -2}), n)), diff.Bzip2(make([]byte, 2*n)), diff.Bzip2(make([]byte, 2*n)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := diff.NewReader(zeros{}, 100, bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > heapLimit {
		t.Errorf("%d records took %d bytes", n, used)
	}
}
