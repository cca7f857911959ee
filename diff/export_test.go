package diff

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Bzip2 packs data into one stream, so that tests can forge patches.
func Bzip2(data []byte) []byte {
	z := newBzip(&sorter{})
	z.write(data)
	return z.finish()
}

// Bunzip2 reads one stream with our own reader.
func Bunzip2(stream []byte) ([]byte, error) {
	z := newBunzip(bytes.NewReader(stream), 0, int64(len(stream)), new(unsorter), "stream")
	return io.ReadAll(z)
}

// MakeNative makes a native patch with frames of a given size, so that small
// images have many.
func MakeNative(old, new []byte, plainMost, outMost int) []byte {
	s := search{old: old, new: new, segment: segmentSize, workers: 2, tick: func(int) {}}
	cs, _, err := s.greedy(context.Background(), newSeeds(old, func() bool { return false }), plain, false)
	if err != nil {
		panic(err)
	}
	parts, err := packNative(context.Background(), old, new, cs, frameLimits{plainMost, outMost}, false, 2, func(int) {})
	if err != nil {
		panic(err)
	}
	return bytes.Join(parts, nil)
}

// Sections of a frame, for forging.
type Sections = [sections][]byte

// FrameHeaderSize is the length of the header of a frame.
const FrameHeaderSize = frameHeader

// ForgeNative puts a patch of one frame together from raw sections.
func ForgeNative(old, new []byte, records uint32, s Sections, change func(*NativeInfo, []byte)) []byte {
	f := frameInfo{out: uint32(len(new)), records: records}
	var body []byte
	for i, p := range s {
		f.plain[i], f.stored[i] = uint32(len(p)), uint32(len(p))
		body = append(body, p...)
	}
	f.sum = crc32.Checksum(body, castagnoli)
	frame := f.encode()
	h := NativeInfo{OldSize: int64(len(old)), NewSize: int64(len(new)), OldSHA256: sha256.Sum256(old), NewSHA256: sha256.Sum256(new),
		Frames: 1, PatchSize: int64(NativeHeader + len(frame) + len(body)), codecs: knownCodecs}
	if change != nil {
		change(&h, frame)
		binary.LittleEndian.PutUint32(frame[frameHeader-4:], crc32.Checksum(frame[:frameHeader-4], castagnoli))
	}
	return append(append(h.encode(), frame...), body...)
}

// Seal makes the checksum of a native header right again.
func Seal(header []byte) {
	binary.LittleEndian.PutUint32(header[NativeHeader-4:], crc32.Checksum(header[:NativeHeader-4], castagnoli))
}

// LZMA packs p with all kinds of properties, as .lzma files; Unlzma undoes one.
func LZMA(p []byte) (files [][]byte) {
	z := new(lzma)
	for _, props := range []lzProps{{lc: 3}, {lc: 3, pb: 2}, {lp: 2, pb: 2}, {lc: 4}, {lp: 4, pb: 4}, {lc: 1, lp: 3, pb: 1}, {}} {
		s := z.encode(p, props, thorough)
		head := binary.LittleEndian.AppendUint64(append([]byte{s[0]}, 0, 0, 16, 0), uint64(len(p)))
		files = append(files, append(head, s[1:]...))
	}
	return files
}

// Unlzma undoes what LZMA made.
func Unlzma(file []byte, size int) ([]byte, error) {
	dst := make([]byte, size)
	err := new(unlzma).decode(dst, append([]byte{file[0]}, file[13:]...), "file")
	return dst, err
}

// PackedWith gives p as a codec of the native format has it: zstd, bzip2, lzma.
func PackedWith(p []byte) map[string][]byte {
	e, err := newEncoder(true)
	if err != nil {
		panic(err)
	}
	b := newBzipLevel(new(sorter), bzipSectionLevel)
	b.write(p)
	return map[string][]byte{"zstd": e.zstd.EncodeAll(p, nil), "bzip2": b.finish(), "lzma": e.pack(p)}
}

// ForgePacked is a patch of one frame that has new as it is, packed with a codec.
func ForgePacked(new []byte, name string, packed []byte) []byte {
	records := binary.AppendUvarint([]byte{0, 0}, uint64(len(new)))
	plain := [sections][]byte{records, nil, nil, packed}
	f := frameInfo{out: uint32(len(new)), records: 1}
	for i, p := range plain {
		f.plain[i], f.stored[i] = uint32(len(p)), uint32(len(p))
	}
	f.plain[secExtra] = uint32(len(new))
	for c := codecZstd; c <= codecLast; c++ {
		if c.String() == name {
			f.codec[secExtra] = c
		}
	}
	body := append(records, packed...)
	f.sum = crc32.Checksum(body, castagnoli)
	h := NativeInfo{NewSize: int64(len(new)), OldSHA256: sha256.Sum256(nil), NewSHA256: sha256.Sum256(new),
		Frames: 1, PatchSize: int64(NativeHeader + frameHeader + len(body)), codecs: knownCodecs}
	return append(append(h.encode(), f.encode()...), body...)
}
