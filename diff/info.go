package diff

import (
	"io"
	"math"
)

// Summary is what [Info] finds out about a patch. All sizes are in bytes.
type Summary struct {
	Format  Format `json:"format"`
	Size    int64  `json:"size"`     // of the patch
	NewSize int64  `json:"new_size"` // of the image it makes
	// OldAtLeast is the end of the last byte that is used of the old image;
	// BSDIFF40 does not carry the old image's size.
	OldAtLeast int64 `json:"old_at_least"`
	// Lengths of the three sections as they are in the patch, compressed.
	ControlSection int64 `json:"control_section"`
	DiffSection    int64 `json:"diff_section"`
	ExtraSection   int64 `json:"extra_section"`
	// What they hold: DiffBytes and ExtraBytes together are NewSize.
	Records    int64 `json:"records"`
	DiffBytes  int64 `json:"diff_bytes"`
	ExtraBytes int64 `json:"extra_bytes"`
}

// Info reads the header and the control section of a patch of size bytes,
// under the same rules and with the same errors as [NewReader]. The diff and
// extra sections are not looked at: only applying proves them sound.
func Info(patch io.ReaderAt, size int64) (Summary, error) {
	h, err := readHeader(patch, size)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{
		Format: BSDIFF40, Size: size, NewSize: h.newSize,
		ControlSection: h.ctrl, DiffSection: h.diff, ExtraSection: h.extra,
	}
	in := newBunzip(patch, bsdiffHeader, h.ctrl, new(unsorter), "control section")
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
