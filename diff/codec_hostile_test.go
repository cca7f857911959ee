package diff_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/leapslot/ota/diff"
)

// hostileSections are sections of a native patch that do not hold text, by codec.
func hostileSections(text []byte) map[string]map[string][]byte {
	good := diff.PackedWith(text)
	all := map[string]map[string][]byte{}
	for codec, p := range good {
		shorter, longer := diff.PackedWith(text[:len(text)-1])[codec], diff.PackedWith(append(bytes.Clone(text), 'x'))[codec]
		all[codec] = map[string][]byte{
			"one byte too few": shorter, "one byte too many": longer, "the first half": p[:len(p)/2], "without its last byte": p[:len(p)-1],
			"a byte behind it": append(bytes.Clone(p), 0), "twice": join(p, p), "only its first byte": p[:1], "zeros": make([]byte, len(p)),
			"ones": bytes.Repeat([]byte{0xff}, len(p)), "a bomb": diff.PackedWith(make([]byte, 1<<20))[codec],
		}
	}
	set := func(p []byte, at int, b byte) []byte {
		p = bytes.Clone(p)
		p[at] = b
		return p
	}
	lzma := good["lzma"]
	all["lzma"]["lc and lp above 4"] = set(lzma, 0, 4*9+8)
	all["lzma"]["properties that do not exist"] = set(lzma, 0, 225)
	all["lzma"]["a first byte that is not zero"] = set(lzma, 1, 1)
	all["bzip2"]["blocks of 900,000 bytes"] = set(good["bzip2"], 3, '9')
	all["bzip2"]["a level that does not exist"] = set(good["bzip2"], 3, '0')
	wide, _ := zstd.NewWriter(nil, zstd.WithWindowSize(8<<20), zstd.WithSingleSegment(false))
	all["zstd"]["a window of 8 MiB"] = wide.EncodeAll(bytes.Repeat(text, 1000), nil)
	return all
}

func TestI1HostileSections(t *testing.T) {
	text := bytes.Repeat([]byte("a piece of text, and another\n"), 20)
	copy(text[300:], randomBytes(8, 40))
	for codec, p := range diff.PackedWith(text) {
		if got, err := applyNative(nil, diff.ForgePacked(text, codec, p)); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%s: the forger forges: %v", codec, err)
		}
		// Each bit, with the right checksum over it: the digest at the end
		// finds what the codec does not.
		for bit := range len(p) * 8 {
			bad := bytes.Clone(p)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := applyNative(nil, diff.ForgePacked(text, codec, bad)); !errors.Is(err, diff.ErrFormat) && !(err == nil && bytes.Equal(got, text)) {
				t.Fatalf("%s, bit %d: %d bytes, %v", codec, bit, len(got), err)
			}
		}
	}
	for codec, cases := range hostileSections(text) {
		for name, p := range cases {
			if got, err := applyNative(nil, diff.ForgePacked(text, codec, p)); !errors.Is(err, diff.ErrFormat) || len(got) > len(text) {
				t.Errorf("%s, %s: %v after %d bytes", codec, name, err, len(got))
			}
		}
	}
}
