package diff

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
)

// Summary is what [Info] finds out about a patch. All sizes are in bytes.
type Summary struct {
	Format  Format `json:"format"`
	Size    int64  `json:"size"`     // of the patch
	NewSize int64  `json:"new_size"` // of the image it makes
	// OldAtLeast is the end of the last byte that is used of the old image,
	// or its size in a native patch; the others do not carry that.
	OldAtLeast int64 `json:"old_at_least"`
	// Lengths of the three sections as they are in the patch, compressed.
	ControlSection int64 `json:"control_section"`
	DiffSection    int64 `json:"diff_section"`
	ExtraSection   int64 `json:"extra_section"`
	// What they hold: DiffBytes and ExtraBytes together are NewSize.
	Records    int64 `json:"records"`
	DiffBytes  int64 `json:"diff_bytes"`
	ExtraBytes int64 `json:"extra_bytes"`
	// Memory is about what applying takes: buffers that a device needs, in
	// bytes, without the program itself.
	Memory int64 `json:"memory"`
	// Only native patches have these.
	Frames    int64            `json:"frames,omitempty"`
	OldSHA256 string           `json:"old_sha256,omitempty"`
	NewSHA256 string           `json:"new_sha256,omitempty"`
	Codecs    map[string]int64 `json:"codecs,omitempty"` // bytes of the patch by codec
}

// Info reads the header and the control section of a patch of size bytes,
// under the same rules and with the same errors as [NewReader]. The diff and
// extra sections are not looked at: only applying proves them sound. Of a native
// patch the header and those of the frames are read, of BSDIFF43 all.
func Info(patch io.ReaderAt, size int64) (Summary, error) {
	switch detectAt(patch, size) {
	case Native:
		return nativeSummary(patch, size)
	case BSDIFF43:
		return endsleySummary(patch, size)
	}
	h, err := readHeader(patch, size)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{
		Format: BSDIFF40, Size: size, NewSize: h.newSize,
		ControlSection: h.ctrl, DiffSection: h.diff, ExtraSection: h.extra,
	}
	in := newBunzip(patch, bsdiffHeader, h.ctrl, new(unsorter), "control section")
	s.Memory = unsortMemory(h.ctrl) + unsortMemory(h.diff) + unsortMemory(h.extra) + windowSize
	ctrl := newControl(in, math.MaxInt64, h.newSize)
	for ctrl.newLeft > 0 {
		r, at, err := ctrl.next()
		if err != nil {
			return Summary{}, err
		}
		s.Records++
		s.DiffBytes += r.diff
		s.ExtraBytes += r.extra
		if r.diff > 0 {
			s.OldAtLeast = max(s.OldAtLeast, at+r.diff)
		}
	}
	if err := ctrl.finish(); err != nil {
		return Summary{}, err
	}
	return s, nil
}

// unsortMemory is about what undoing a bzip2 section of n bytes takes: a block,
// and its share of the tables, most of which are used by turns.
func unsortMemory(n int64) int64 {
	const block = 9 * bzipLevelBytes
	return min(20*n, block) * 2
}

func nativeSummary(patch io.ReaderAt, size int64) (Summary, error) {
	var head [NativeHeader]byte
	if n, err := readFull(patch, head[:min(size, NativeHeader)], 0); err != nil {
		return Summary{}, &ReadError{From: FromPatch, Off: int64(n), Err: err}
	}
	h, err := ParseNativeHeader(head[:min(size, NativeHeader)])
	if err != nil {
		return Summary{}, err
	}
	if size != h.PatchSize {
		return Summary{}, fmt.Errorf("%w: it has %d bytes and announces %d: %w", ErrFormat, size, h.PatchSize, io.ErrUnexpectedEOF)
	}
	s := Summary{Format: Native, Size: size, NewSize: h.NewSize, OldAtLeast: h.OldSize, Frames: int64(h.Frames),
		OldSHA256: hex.EncodeToString(h.OldSHA256[:]), NewSHA256: hex.EncodeToString(h.NewSHA256[:]), Codecs: map[string]int64{}}
	at, out := int64(NativeHeader), int64(0)
	for i := range h.Frames {
		if size-at < frameHeader {
			return Summary{}, cutShort("frames")
		}
		if n, err := readFull(patch, head[:frameHeader], at); err != nil {
			return Summary{}, &ReadError{From: FromPatch, Off: at + int64(n), Err: err}
		}
		f, err := parseFrame(head[:frameHeader], i, out, &h)
		if err != nil {
			return Summary{}, err
		}
		s.add(&f)
		out += int64(f.out)
		if at += frameHeader + f.packedSize(); at > size {
			return Summary{}, cutShort("frames: one is longer than the patch")
		}
	}
	if at != size || out != h.NewSize {
		return Summary{}, badf("it ends after %d bytes and announced %d", at, size)
	}
	return s, nil
}

// add counts a frame.
func (s *Summary) add(f *frameInfo) {
	s.Records += int64(f.records)
	s.ExtraBytes += int64(f.plain[secExtra])
	s.DiffBytes += int64(f.out) - int64(f.plain[secExtra])
	s.ControlSection += int64(f.stored[secRecords]) + int64(f.stored[secRuns])
	s.DiffSection += int64(f.stored[secDiff])
	s.ExtraSection += int64(f.stored[secExtra])
	memory := f.packedSize() + zstdMemory + windowSize
	for i, c := range f.codec {
		memory += int64(f.plain[i])
		if c == codecBzip {
			memory += bzipSectionLevel * bzipLevelBytes * 5
		}
		if f.stored[i] > 0 {
			s.Codecs[c.String()] += int64(f.stored[i])
		}
	}
	s.Memory = max(s.Memory, memory)
}

// zstdMemory is about what the zstd decoder takes for itself.
const zstdMemory = 1 << 20
