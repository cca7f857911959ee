package unpack

import (
	"bufio"
	"fmt"
	"hash"
	"io"
)

// readAhead is how many bytes of a package are held before they are used.
const readAhead = 32 << 10

// maxIdleReads is how often a package's reader may return nothing in a row.
const maxIdleReads = 100

// meter knows which bytes of the package were used, although they are read
// ahead: a byte goes into the hash when it has left the buffer, not when it has
// arrived. So the state of the hash is always that of a place in the package
// where a decoder stands.
//
// The decoders get buf itself, a *bufio.Reader: for one of these they have fast
// loops of their own, and read no byte more than they need.
type meter struct {
	src io.Reader
	pkg hash.Hash
	buf *bufio.Reader

	// store[from:to] are the bytes that were read and are not in the hash
	// yet. The last buf.Buffered() of them are still in the buffer.
	store    []byte
	from, to int
	hashed   int64 // offset in the package up to which bytes are in the hash
	err      error // what src failed with; not io.EOF
	eof      bool
}

func newMeter(src io.Reader, pkg hash.Hash, in int64) *meter {
	m := &meter{src: src, pkg: pkg, hashed: in, store: make([]byte, 2*readAhead)}
	m.buf = bufio.NewReaderSize(feed{m}, readAhead)
	return m
}

// feed is the reader behind the buffer.
type feed struct{ m *meter }

// Read implements io.Reader. It is called by the buffer, which at that moment
// knows how much of it is not used yet.
func (f feed) Read(p []byte) (int, error) {
	m := f.m
	m.flush()
	// What is left was not used and is at most a buffer full: to the front
	// with it, and read as much as still can be remembered.
	m.to = copy(m.store, m.store[m.from:m.to])
	m.from = 0
	p = p[:min(len(p), len(m.store)-m.to)]
	n, err := m.read(p)
	m.to += copy(m.store[m.to:], p[:n])
	return n, err
}

// Read implements io.Reader: its bytes count as used at once. Large reads go
// past the buffer, for what is not decoded need not be copied.
func (m *meter) Read(p []byte) (int, error) {
	if m.buf.Buffered() > 0 || len(p) < readAhead {
		return m.buf.Read(p)
	}
	m.flush()
	n, err := m.read(p)
	m.pkg.Write(p[:n])
	m.hashed += int64(n)
	return n, err
}

// read reads from src until something comes, and remembers how it ended.
func (m *meter) read(p []byte) (n int, err error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.eof {
		return 0, io.EOF
	}
	for range maxIdleReads {
		n, err = m.src.Read(p)
		if n < 0 || n > len(p) { // a broken reader must not break us
			n, err = 0, fmt.Errorf("the package's reader returned %d bytes of %d", n, len(p))
		}
		if n > 0 || err != nil {
			break
		}
	}
	switch {
	case err == io.EOF:
		m.eof = true
	case err != nil:
		m.err = err
	case n == 0:
		m.err, err = io.ErrNoProgress, io.ErrNoProgress
	}
	return n, err
}

// flush puts the bytes that were used into the hash.
func (m *meter) flush() {
	n := m.to - m.from - m.buf.Buffered()
	m.pkg.Write(m.store[m.from : m.from+n]) // a hash never fails
	m.hashed += int64(n)
	m.from += n
}

// used is the offset in the package up to which bytes were used.
func (m *meter) used() int64 {
	return m.hashed + int64(m.to-m.from-m.buf.Buffered())
}

// peek returns the next n bytes, or fewer at the end of the package, without
// using them.
func (m *meter) peek(n int) ([]byte, error) {
	b, err := m.buf.Peek(n)
	if err == io.EOF {
		err = nil
	}
	return b, err
}

// full reads len(p) bytes.
func (m *meter) full(p []byte) error {
	_, err := io.ReadFull(m.buf, p)
	return unexpected(err)
}

// skip uses n bytes without looking at them.
func (m *meter) skip(n int64) error {
	for n > 0 {
		k, err := m.buf.Discard(int(min(n, readAhead)))
		if err != nil {
			return unexpected(err)
		}
		n -= int64(k)
	}
	return nil
}

// drain uses all that is left.
func (m *meter) drain() error {
	p := make([]byte, readAhead)
	for {
		_, err := m.buf.Read(p)
		m.flush()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// unexpected makes an end in the wrong place one.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
