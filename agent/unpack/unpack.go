// Package unpack opens packages: it reads a package from one end to the other
// and gives the one image that is in it.
//
// What a package is, is decided by its first bytes and never by its name. It
// may be the image itself, or the image in gzip, zstd, tar, tar.gz, tar.zst
// or zip. An archive holds exactly one regular file, the image.
//
// Three promises. The package's digest is computed on the way, of exactly the
// bytes that were used so far, so that its state can be saved with a
// checkpoint and unpacking can go on from there after a restart (see
// [Reader.Boundary]). io.EOF comes only when the whole package was used, all
// its own checksums held, and nothing was left over. Memory is bounded, about
// [MaxWindow] for zstd and less than half a megabyte for all else (a tar made to
// hurt may take some megabytes with its headers), and so is the image: a
// decompression bomb ends with [ErrTooLarge].
//
// It trusts nothing. The bytes usually arrive before their digest could be
// compared, so every length is bounded, and names in archives are only looked
// at and never used.
package unpack

import (
	"errors"
	"fmt"
	"hash"
	"io"
)

// Errors that callers act on. They are wrapped in a text that says what was
// found.
var (
	// ErrFormat means that the package is not well formed, or is in a format
	// that is not supported. When the package's digest is right all the same,
	// it was made so.
	ErrFormat = errors.New("bad package")
	// ErrTooLarge means that the image is larger than it may be.
	ErrTooLarge = errors.New("image too large")
)

// Limits.
const (
	// MaxWindow is the largest window of a zstd frame, in bytes: 8 MiB, as
	// zstd -19 makes it. It is what unpacking zstd takes of memory.
	MaxWindow = 8 << 20
	// MaxName is the longest name in an archive, in bytes.
	MaxName = 255
	// MaxEntries is the largest number of entries in an archive, which are
	// directories but for one.
	MaxEntries = 64
)

// stream gives the image's bytes. Its Read returns io.EOF when the package was
// used to its end and is well formed, and may return 0, nil.
type stream interface {
	io.Reader
	// boundary tells whether all bytes that were used of the package were
	// returned, and one could start anew here.
	boundary() bool
}

// budget is how much image there may be.
type budget struct {
	max int64
	out int64 // returned to the caller so far
}

func (b *budget) room() int64 { return b.max - b.out }

// fits refuses an image by the size that its header announces.
func (b *budget) fits(size uint64) error {
	if size > uint64(b.room()) {
		return fmt.Errorf("%w: %d bytes announced, %d more fit", ErrTooLarge, size, b.room())
	}
	return nil
}

// Reader reads the image out of a package. It is for one goroutine at a time.
type Reader struct {
	kind   Kind
	meter  *meter
	budget *budget
	stream stream
	head   []byte // read already, to see whether it is a tar
	err    error
}

// Open looks at the first bytes of the package src and returns a Reader of the
// image in it, which may have maxSize bytes at most. pkg gets exactly the bytes
// of the package that have been used, in their order.
//
// The Reader is never nil: when err is not nil it is good for [Reader.Drain].
// The errors are those of [Reader.Read].
func Open(src io.Reader, pkg hash.Hash, maxSize int64) (*Reader, error) {
	r := newReader(src, pkg, maxSize, 0, 0)
	if r.err == nil {
		r.err = r.fail(r.open())
		r.meter.flush()
	}
	return r, r.err
}

// Continue goes on in a package of kind from a boundary: src starts at the
// offset in of the package, out bytes of the image were returned before, and pkg
// is in the state it had then. The first bytes are not looked at, for the middle
// of an image may look like anything. maxSize is of the whole image.
//
// As with [Open] the Reader is never nil.
func Continue(kind Kind, src io.Reader, pkg hash.Hash, maxSize, in, out int64) (*Reader, error) {
	r := newReader(src, pkg, maxSize, in, out)
	if r.err != nil {
		return r, r.err
	}
	if !kind.Resumable() || in < 0 || out < 0 {
		r.err = fmt.Errorf("%w: %v cannot be continued at %d (image: %d)", ErrFormat, kind, in, out)
		return r, r.err
	}
	r.start(kind)
	return r, nil
}

func newReader(src io.Reader, pkg hash.Hash, maxSize, in, out int64) *Reader {
	r := &Reader{meter: newMeter(src, pkg, in), budget: &budget{max: maxSize, out: out}}
	if r.budget.room() < 0 {
		r.err = fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, out, maxSize)
	}
	return r
}

// open finds the kind.
func (r *Reader) open() error {
	first, err := r.meter.peek(sniffLen)
	if err != nil {
		return err
	}
	kind, err := sniff(first)
	if err != nil {
		return err
	}
	r.start(kind)
	if kind != Gzip && kind != Zstd {
		return nil
	}
	if err := r.lookInside(); err != nil || !isTar(r.head) {
		return err
	}
	in := &chain{head: r.head, stream: r.stream}
	r.kind, r.head = map[Kind]Kind{Gzip: TarGzip, Zstd: TarZstd}[kind], nil
	r.stream = newTar(in, r.budget)
	return nil
}

// lookInside unpacks the first block into r.head. It stops at a boundary, since
// bytes across it must not be returned by one Read: a first member that is
// shorter than a block of tar is none.
func (r *Reader) lookInside() error {
	r.head = make([]byte, 0, tarBlock)
	for len(r.head) < tarBlock {
		n, err := r.stream.Read(r.head[len(r.head):tarBlock])
		r.head = r.head[:len(r.head)+n]
		if err == io.EOF || err == nil && r.stream.boundary() {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// start makes the stream of a kind.
func (r *Reader) start(kind Kind) {
	r.kind = kind
	switch kind {
	case Raw:
		r.stream = &raw{r.meter}
	case Gzip:
		r.stream = &members{m: r.meter}
	case Zstd:
		r.stream = &frames{m: r.meter, budget: r.budget}
	case Tar:
		r.stream = newTar(&raw{r.meter}, r.budget)
	case Zip:
		r.stream = newZip(r.meter, r.budget)
	}
}

// Kind is what the package turned out to be, or 0 when Open failed before it
// was known.
func (r *Reader) Kind() Kind { return r.kind }

// Read implements io.Reader. It returns io.EOF when the package was used to its
// end and is well formed; [ErrFormat] or [ErrTooLarge], wrapped, when the package
// is at fault; and any error of the package's reader as it is. Bytes that were
// returned before an error are not to be trusted, and neither are those that
// came with io.EOF until the package's digest was compared.
//
// One Read never returns bytes from both sides of a boundary; it may return
// 0, nil at one.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.head) > 0 {
		n := copy(p[:min(int64(len(p)), r.budget.room())], r.head)
		r.head = r.head[n:]
		r.budget.out += int64(n)
		if n == 0 {
			r.err = r.tooLarge()
			return 0, r.err
		}
		return n, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	room := r.budget.room()
	if int64(len(p)) > room {
		p = p[:room+1] // one more than may be, to see that there is more
	}
	n, err := r.stream.Read(p)
	r.meter.flush()
	if int64(n) > room {
		n, err = int(room), r.tooLarge()
	}
	r.budget.out += int64(n)
	if err == io.EOF && r.budget.out == 0 {
		err = fmt.Errorf("%w: the image is empty", ErrFormat)
	}
	r.err = r.fail(err)
	return n, r.err
}

func (r *Reader) tooLarge() error {
	return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, r.budget.max)
}

// fail sees to it that every error is of one of the four kinds that Read
// promises.
func (r *Reader) fail(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case r.meter.err != nil: // whatever a decoder made of it
		return r.meter.err
	case errors.Is(err, ErrFormat), errors.Is(err, ErrTooLarge):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %v: it ends in the middle", ErrFormat, r.kind)
	}
	return fmt.Errorf("%w: %v: %v", ErrFormat, r.kind, err)
}

// Boundary gives the offset in the package up to which it was used. ok tells
// whether everything that Read has returned so far comes from before that
// offset, and nothing from before it is still to be returned, so that
// [Continue] can go on there: in a raw image always, in gzip at the end of a
// member, in zstd at the end of a frame, in archives never. After a Read that
// failed ok is false.
func (r *Reader) Boundary() (in int64, ok bool) {
	in = r.meter.used()
	if r.err != nil && r.err != io.EOF || !r.kind.Resumable() || len(r.head) > 0 {
		return in, false
	}
	return in, r.stream.boundary()
}

// Drain reads the rest of the package into pkg without unpacking it. After an
// error of Read it tells, by the digest, a package that was damaged on its way
// from one that was made wrong. It returns the error of the package's reader,
// if any; the Reader is of no use for anything else then.
func (r *Reader) Drain() error {
	if r.err == nil {
		r.err = fmt.Errorf("%w: drained", ErrFormat)
	}
	r.head = nil
	return r.meter.drain()
}

// raw is an image as it is.
type raw struct{ m *meter }

func (r *raw) Read(p []byte) (int, error) { return r.m.Read(p) }
func (r *raw) boundary() bool             { return true }

// chain gives head before the stream.
type chain struct {
	head []byte
	stream
}

func (c *chain) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.stream.Read(p)
}
