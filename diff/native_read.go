package diff

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
)

// ErrOtherOld is wrapped by [NativeReader.CheckOld] when the old image is not
// the one that the patch was made from.
var ErrOtherOld = errors.New("another old image")

// NativeReader gives the new image that a native patch makes of an old one,
// while the patch comes from a plain io.Reader. It is not safe for concurrent
// use, and owns nothing that needs closing.
type NativeReader struct {
	info    NativeInfo
	header  [NativeHeader]byte
	patch   io.Reader
	old     io.ReaderAt
	in, out int64 // bytes of the patch read, bytes of the new image given
	number  uint32
	sum     hash.Hash // of what was given
	kept    Checkpoint
	err     error // sticky

	frame  frameCursor
	window window
	codecs decoder
	packed []byte
	plain  []byte
	head   [frameHeader]byte
}

// NewNativeReader begins to apply a native patch. Its header is read and
// checked at once, with the errors of [NewReader]; [MaxNewSize] is the only
// option that matters. Ask [NativeReader.CheckOld] before anything is written,
// unless the digest of the old image is known already.
//
// Nothing is read ahead: after each frame the patch was read up to exactly the
// checkpoint's offset. Patch errors that are not its end come as a [*ReadError].
func NewNativeReader(old io.ReaderAt, oldSize int64, patch io.Reader, opts ...Option) (*NativeReader, error) {
	r := &NativeReader{patch: patch, old: old, sum: sha256.New()}
	if err := r.fill(r.header[:], "header"); err != nil {
		return nil, err
	}
	var err error
	if r.info, err = ParseNativeHeader(r.header[:]); err != nil {
		return nil, err
	}
	return r, r.begin(oldSize, opts)
}

// ResumeNative goes on at a checkpoint: patch has to give the bytes of the same
// patch from [Checkpoint.In] on (an HTTP Range), and what Read gives belongs at
// [Checkpoint.Out]. The old image has to be the one it was before.
func ResumeNative(old io.ReaderAt, oldSize int64, patch io.Reader, c Checkpoint, opts ...Option) (*NativeReader, error) {
	r := &NativeReader{patch: patch, old: old, sum: sha256.New(), header: c.header, in: c.In, out: c.Out, number: c.Frame}
	if err := c.check(); err != nil {
		return nil, err
	}
	info, err := ParseNativeHeader(c.header[:])
	if err != nil {
		return nil, err
	}
	r.info = info
	if err := r.sum.(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(c.sum); err != nil {
		return nil, badf("the checkpoint's digest: %v", err)
	}
	return r, r.begin(oldSize, opts)
}

func (r *NativeReader) begin(oldSize int64, opts []Option) error {
	lim := limits{newSize: math.MaxInt64}
	for _, o := range opts {
		o(&lim)
	}
	if err := lim.check(r.info.NewSize); err != nil {
		return err
	}
	if oldSize < r.info.OldSize {
		return fmt.Errorf("%w: it has %d bytes, and the patch is for one of %d", ErrOtherOld, oldSize, r.info.OldSize)
	}
	// Behind the old image there may be the rest of its slot.
	r.window = window{src: r.old, size: r.info.OldSize}
	return r.keep()
}

// Info is the header of the patch.
func (r *NativeReader) Info() NativeInfo { return r.info }

// Size is the size of the whole new image in bytes.
func (r *NativeReader) Size() int64 { return r.info.NewSize }

// CheckOld reads the old image and compares its digest with that in the patch;
// [ErrOtherOld] when it is another.
func (r *NativeReader) CheckOld() error {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(r.old, 0, r.info.OldSize), make([]byte, windowSize))
	switch {
	case err != nil:
		return &ReadError{From: FromOld, Off: n, Err: err}
	case n != r.info.OldSize:
		return &ReadError{From: FromOld, Off: n, Err: io.ErrUnexpectedEOF}
	case [32]byte(h.Sum(nil)) != r.info.OldSHA256:
		return fmt.Errorf("%w: its SHA-256 is %x, and the patch is for %x", ErrOtherOld, h.Sum(nil), r.info.OldSHA256)
	}
	return nil
}

// Read gives the next bytes of the new image; it fills p unless a frame, the image or
// the patch ends, so that a caller who looks at [NativeReader.Checkpoint] after each
// Read sees every one of them. io.EOF means that the patch was sound to its last byte and
// that the image has the digest the patch says.
func (r *NativeReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && r.err == nil {
		if r.frame.left == 0 {
			r.err = r.advance()
			continue
		}
		k, err := r.frame.next(p[n:], &r.window)
		r.sum.Write(p[n : n+k])
		n += k
		r.out += int64(k)
		r.err = err
		if r.frame.left == 0 && err == nil {
			r.number++
			r.err = r.keep()
			break
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// advance goes to the next frame, or checks the end.
func (r *NativeReader) advance() error {
	if r.number == r.info.Frames {
		return r.finish()
	}
	if err := r.fill(r.head[:], "header of a frame"); err != nil {
		return err
	}
	f, err := parseFrame(r.head[:], r.number, r.out, &r.info)
	if err != nil {
		return err
	}
	if f.packedSize() > r.info.PatchSize-r.in {
		return cutShort("frames: one is longer than the patch")
	}
	return r.load(&f)
}

// load reads and decodes the sections of a frame. Nothing of them is used
// before all of them are there and have the right checksum.
func (r *NativeReader) load(f *frameInfo) error {
	size := 0
	for _, n := range f.plain {
		size += int(n)
	}
	if cap(r.plain) < size {
		r.plain = make([]byte, 0, grownTo(size, framePlain))
	}
	plain, sum := r.plain[:size], uint32(0)
	var parts [sections][]byte
	for i := range sections {
		parts[i], plain = plain[:f.plain[i]:f.plain[i]], plain[f.plain[i]:]
		if len(parts[i]) == 0 {
			continue
		}
		packed := parts[i] // what is not compressed is read to its place
		if f.codec[i] != codecRaw {
			packed = r.room(int(f.stored[i]))
		}
		if err := r.fill(packed, sectionNames[i]); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, packed)
		if err := r.codecs.decode(f.codec[i], parts[i], packed, sectionNames[i]); err != nil {
			return err
		}
	}
	if sum != f.sum {
		return badf("frame %d is damaged", f.number)
	}
	r.frame.begin(f, parts)
	return nil
}

// room gives n bytes for a section as it is in the patch.
func (r *NativeReader) room(n int) []byte {
	if cap(r.packed) < n {
		r.packed = make([]byte, grownTo(n, framePlain))
	}
	return r.packed[:n]
}

// grownTo is how much room to make for size bytes: a little, or all. Memory
// that was never written takes none, while a smaller room that is thrown away
// for a larger one goes on taking it for a while.
func grownTo(size, most int) int {
	if size <= smallBlock {
		return smallBlock
	}
	return most
}

// fill reads all of p from the patch.
func (r *NativeReader) fill(p []byte, what string) error {
	n, err := io.ReadFull(r.patch, p)
	r.in += int64(n)
	switch {
	case err == nil:
		return nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) && n < len(p):
		if n >= MagicSize && what == "header" && string(p[:MagicSize]) != nativeMagic {
			return badf("it does not begin with %s", nativeMagic)
		}
		return cutShort(what)
	}
	return &ReadError{From: FromPatch, Off: r.in, Err: err}
}

// finish checks the end. What comes back is never nil.
func (r *NativeReader) finish() error {
	if r.in != r.info.PatchSize || r.out != r.info.NewSize {
		return badf("it ends after %d bytes and announced %d", r.in, r.info.PatchSize)
	}
	switch n, err := io.ReadFull(r.patch, r.head[:1]); {
	case n > 0:
		return badf("there are bytes behind its end")
	case err != io.EOF:
		return &ReadError{From: FromPatch, Off: r.in, Err: err}
	}
	if got := r.sum.Sum(nil); [32]byte(got) != r.info.NewSHA256 {
		return badf("it makes an image with the SHA-256 %x and announced %x", got, r.info.NewSHA256)
	}
	return io.EOF
}
