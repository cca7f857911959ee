package diff_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/leapslot/ota/diff"
)

// varints writes numbers as a frame does.
func varints(ns ...uint64) []byte {
	var b []byte
	for _, n := range ns {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func set32(at int, v uint32) func(*diff.NativeInfo, []byte) {
	return func(_ *diff.NativeInfo, frame []byte) { binary.LittleEndian.PutUint32(frame[at:], v) }
}

// hostileNative are native patches for oldImage that must be refused.
func hostileNative() map[string][]byte {
	const seekMost = math.MaxUint64
	forge := func(records uint32, recs, runs []byte, diffData, extra string) []byte {
		return diff.ForgeNative([]byte(oldImage), []byte("01234"), records, diff.Sections{recs, runs, []byte(diffData), []byte(extra)}, nil)
	}
	good := diff.Sections{varints(0, 5, 0), varints(5, 0), nil, nil}
	changed := func(change func(*diff.NativeInfo, []byte)) []byte {
		return diff.ForgeNative([]byte(oldImage), []byte("01234"), 1, good, change)
	}
	info := func(change func(*diff.NativeInfo)) []byte {
		return changed(func(h *diff.NativeInfo, _ []byte) { change(h) })
	}
	sealed := func(at int, b byte) []byte {
		p := changed(nil)
		p[at] = b
		diff.Seal(p)
		return p
	}
	return map[string][]byte{
		"nothing": {}, "all zero": make([]byte, 4096),
		"another version":              sealed(8, 2),
		"an unknown codec":             sealed(9, 0x80),
		"reserved bytes":               sealed(10, 1),
		"more reserved bytes":          sealed(105, 1),
		"header damaged":               flipAt(changed(nil), 20),
		"huge new size":                info(func(h *diff.NativeInfo) { h.NewSize = math.MaxInt64 }),
		"negative new size":            info(func(h *diff.NativeInfo) { h.NewSize = -1 }),
		"negative old size":            info(func(h *diff.NativeInfo) { h.OldSize = math.MinInt64 }),
		"huge old size":                info(func(h *diff.NativeInfo) { h.OldSize = math.MaxInt64 }),
		"huge patch size":              info(func(h *diff.NativeInfo) { h.PatchSize = math.MaxInt64 }),
		"more frames than bytes":       info(func(h *diff.NativeInfo) { h.Frames = math.MaxUint32 }),
		"no frames":                    info(func(h *diff.NativeInfo) { h.Frames = 0 }),
		"two frames announced":         info(func(h *diff.NativeInfo) { h.Frames = 2 }),
		"another new digest":           info(func(h *diff.NativeInfo) { h.NewSHA256[3]++ }),
		"longer patch announced":       info(func(h *diff.NativeInfo) { h.PatchSize++ }),
		"frame of another number":      changed(set32(0, 1)),
		"frame at another place":       changed(set32(8, 1)),
		"frame without output":         changed(set32(4, 0)),
		"frame with too little output": changed(set32(4, 4)),
		"frame with too much output":   changed(set32(4, 6)),
		"frame with huge output":       changed(set32(4, math.MaxUint32)),
		"huge stored length":           changed(set32(16, math.MaxUint32)),
		"huge plain length":            changed(set32(20, math.MaxUint32)),
		"all lengths huge":             changed(func(_ *diff.NativeInfo, f []byte) { copy(f[16:48], bytes.Repeat([]byte{0xff}, 32)) }),
		"lengths differ though raw":    changed(set32(20, 4)),
		"no records":                   changed(set32(52, 0)),
		"too many records":             changed(set32(52, 2)),
		"huge number of records":       changed(set32(52, math.MaxUint32)),
		"wrong checksum":               changed(set32(56, 1)),
		"codec that does not exist":    changed(set32(48, 9)),
		"zstd that is none":            changed(set32(48, 1)),
		"bzip2 that is none":           changed(set32(48, 2)),
		"seek before old":              forge(1, varints(1, 5, 0), varints(5, 0), "", ""),
		"seek behind old":              forge(1, varints(22, 5, 0), varints(5, 0), "", ""),
		"overflowing seek":             forge(1, varints(seekMost, 5, 0), varints(5, 0), "", ""),
		"overflowing seek upwards":     forge(1, varints(seekMost-1, 5, 0), varints(5, 0), "", ""),
		"diff behind old":              forge(1, varints(12, 5, 0), varints(5, 0), "", ""),
		"overflowing diff":             forge(1, varints(0, math.MaxUint64, 0), varints(5, 0), "", ""),
		"diff longer than output":      forge(1, varints(0, 6, 0), varints(6, 0), "", ""),
		"extra longer than section":    forge(1, varints(0, 4, 2), varints(4, 0), "", "x"),
		"record that does nothing":     forge(2, varints(0, 0, 0, 0, 5, 0), varints(5, 0), "", ""),
		"record that only seeks":       forge(2, varints(6, 0, 0, 5, 5, 0), varints(5, 0), "", ""),
		"bytes behind records":         forge(1, varints(0, 5, 0, 0), varints(5, 0), "", ""),
		"numbers without end":          forge(1, bytes.Repeat([]byte{0x80}, 12), varints(5, 0), "", ""),
		"runs too short":               forge(1, varints(0, 5, 0), varints(4, 0), "", ""),
		"runs too long":                forge(1, varints(0, 5, 0), varints(6, 0), "", ""),
		"huge run":                     forge(1, varints(0, 5, 0), varints(1<<40, 0), "", ""),
		"runs that do nothing":         forge(1, varints(0, 5, 0), bytes.Repeat([]byte{0}, 40_000), "", ""),
		"run of no zeros inside":       forge(1, varints(0, 5, 0), varints(2, 1, 0, 2), "abc", ""),
		"run of no literals inside":    forge(1, varints(0, 5, 0), varints(2, 0, 3, 0), "", ""),
		"more literals than there are": forge(1, varints(0, 5, 0), varints(0, 5), "abcd", ""),
		"fewer literals than there":    forge(1, varints(0, 5, 0), varints(1, 4), "abcde", ""),
		"bytes behind runs":            forge(1, varints(0, 5, 0), varints(5, 0, 1, 1), "", ""),
		"extra that nobody takes":      forge(1, varints(0, 5, 0), varints(5, 0), "", "x"),
		"bytes behind the end":         append(changed(nil), 0),
	}
}

func flipAt(p []byte, i int) []byte {
	p[i] ^= 1
	return p
}

func TestI1HostileNative(t *testing.T) {
	if _, err := applyNative([]byte(oldImage), diff.ForgeNative([]byte(oldImage), []byte("01234"), 1, diff.Sections{varints(0, 5, 0), varints(5, 0), nil, nil}, nil)); err != nil {
		t.Fatalf("the forger forges: %v", err)
	}
	for name, patch := range hostileNative() {
		got, err := applyNative([]byte(oldImage), patch)
		if !errors.Is(err, diff.ErrFormat) && !(name == "huge old size" && errors.Is(err, diff.ErrOtherOld)) {
			t.Errorf("%s: %v after %d bytes", name, err, len(got))
		}
		if len(got) > 5 {
			t.Errorf("%s: %d bytes came", name, len(got))
		}
	}
}

// TestI1NativeCutAndFlipped cuts a patch at each byte and flips each bit of it.
func TestI1NativeCutAndFlipped(t *testing.T) {
	old, new := images(3000)
	patch := diff.MakeNative(old, new, 700, 1200)
	for n := range patch {
		if _, err := applyNative(old, patch[:n]); !errors.Is(err, diff.ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(patch), err)
		}
	}
	for bit := range len(patch) * 8 {
		p := bytes.Clone(patch)
		p[bit/8] ^= 1 << (bit % 8)
		if got, err := applyNative(old, p); !errors.Is(err, diff.ErrFormat) || !bytes.Equal(got, new[:len(got)]) {
			t.Fatalf("bit %d: %v after %d bytes", bit, err, len(got))
		}
	}
}

// FuzzNative applies anything behind a header with a sound checksum. What is
// behind the checksums of frames is for FuzzNativeSections.
func FuzzNative(f *testing.F) {
	for _, patch := range hostileNative() {
		f.Add([]byte(oldImage), patch)
	}
	for _, p := range pairs() {
		if len(p.old) < 40_000 && len(p.new) < 40_000 {
			f.Add(p.old, diff.MakeNative(p.old, p.new, 5000, 9000))
		}
	}
	f.Fuzz(func(t *testing.T, old, patch []byte) {
		if len(patch) >= diff.NativeHeader {
			patch = bytes.Clone(patch)
			diff.Seal(patch)
		}
		_, infoErr := diff.Info(bytes.NewReader(patch), int64(len(patch)))
		r, err := diff.NewNativeReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), diff.MaxNewSize(fuzzLimit))
		n := int64(0)
		if err == nil {
			n, err = io.Copy(io.Discard, r)
		}
		switch {
		case err == nil && (n != r.Size() || infoErr != nil):
			t.Fatalf("applied %d bytes of %d, Info says %v", n, r.Size(), infoErr)
		case err != nil && !errors.Is(err, diff.ErrFormat) && !errors.Is(err, diff.ErrTooLarge) && !errors.Is(err, diff.ErrOtherOld):
			t.Fatalf("unknown error %v", err)
		case r != nil && n > r.Size():
			t.Fatalf("%d bytes of %d", n, r.Size())
		}
	})
}

// FuzzNativeSections puts any sections behind sound headers and checksums.
func FuzzNativeSections(f *testing.F) {
	f.Add(uint32(1), varints(0, 5, 0), varints(5, 0), []byte{}, []byte{})
	f.Add(uint32(2), varints(2, 2, 1, 3, 2, 0), varints(1, 3), []byte("abc"), []byte("x"))
	f.Fuzz(func(t *testing.T, records uint32, recs, runs, diffData, extra []byte) {
		new := []byte("0123456789abcdef")
		patch := diff.ForgeNative([]byte(oldImage), new, records, diff.Sections{recs, runs, diffData, extra}, nil)
		got, err := applyNative([]byte(oldImage), patch)
		if err == nil && !bytes.Equal(got, new) || err != nil && !errors.Is(err, diff.ErrFormat) {
			t.Fatalf("%q, %v", got, err)
		}
	})
}
