package unpack

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// members reads gzip member by member, since it can go on at each of them.
type members struct {
	m    *meter
	zr   gzip.Reader
	open bool // in a member
	gave bool // returned something since the last boundary
}

// Read implements io.Reader.
func (g *members) Read(p []byte) (int, error) {
	for {
		if !g.open {
			if err := g.next(); err != nil {
				return 0, err
			}
		}
		n, err := g.zr.Read(p)
		g.gave = g.gave || n > 0
		if err == io.EOF { // of the member: its checksum and length are right
			g.open, err = false, nil
			if g.gave {
				g.gave = false
				return n, nil // here is a boundary, even if n is 0
			}
			continue // an empty one
		}
		if n > 0 || err != nil {
			return n, unexpected(err)
		}
	}
}

// next opens the next member, or returns io.EOF.
func (g *members) next() error {
	b, err := g.m.peek(2)
	if err != nil {
		return err
	}
	switch {
	case len(b) == 0:
		return io.EOF
	case len(b) < 2 || b[0] != 0x1F || b[1] != 0x8B:
		return fmt.Errorf("%w: gzip: something else follows at %d", ErrFormat, g.m.used())
	}
	if err := g.zr.Reset(g.m.buf); err != nil {
		return unexpected(err)
	}
	g.zr.Multistream(false) // one member at a time; Reset has undone it
	g.open = true
	return nil
}

func (g *members) boundary() bool { return !g.open }
