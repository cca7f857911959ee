package diff

import "io"

// windowSize is the most that is read of the old image at a time, and
// windowAhead the least: small records often lie close to each other, but
// reading far ahead at every seek costs more than it saves (64 KiB took three
// times the system time of 8 KiB).
const (
	windowSize  = 32 << 10
	windowAhead = 8 << 10
)

// window is a piece of the old image in memory.
type window struct {
	src  io.ReaderAt
	size int64
	buf  []byte
	off  int64 // of buf in src
}

// at gives n bytes at off. They are within the image, n is at most
// windowSize, and run, at least n, says how many more will be wanted in a row.
func (w *window) at(off int64, n int, run int64) ([]byte, error) {
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		if w.buf == nil {
			w.buf = make([]byte, 0, min(windowSize, w.size))
		}
		want := min(max(run, windowAhead), windowSize, w.size-off)
		got, err := readFull(w.src, w.buf[:want], off)
		if err != nil {
			w.buf = w.buf[:0]
			return nil, &ReadError{From: FromOld, Off: off + int64(got), Err: err}
		}
		w.buf, w.off = w.buf[:want], off
	}
	from := off - w.off
	return w.buf[from : from+int64(n)], nil
}

// copyAt fills p, or the beginning of it, with the bytes at off, of which run,
// at least len(p), will be wanted in a row. Long pieces do not go through buf.
func (w *window) copyAt(p []byte, off, run int64) (int, error) {
	if off >= w.off && off < w.off+int64(len(w.buf)) {
		return copy(p, w.buf[off-w.off:]), nil
	}
	if len(p) < windowAhead {
		old, err := w.at(off, len(p), run)
		return copy(p, old), err
	}
	if n, err := readFull(w.src, p, off); err != nil {
		return 0, &ReadError{From: FromOld, Off: off + int64(n), Err: err}
	}
	return len(p), nil
}
