package unpack

import (
	"archive/tar"
	"fmt"
	"io"
	"strings"
)

// Limits of tar.
const (
	// maxTarHeader is how many bytes the headers of one member may take, with
	// all their extensions: names, attributes, maps of holes.
	maxTarHeader = 2 << 20
	// maxTarPadding is how many zeros may follow the end mark. tar writes
	// records of 10 KiB if not told otherwise.
	maxTarPadding = 1 << 20
)

// archive reads the one regular member of a tar.
type archive struct {
	in      *headers
	tr      *tar.Reader
	budget  *budget
	entries int
	image   bool // a regular member was found
	inside  bool // and is being read
}

func newTar(in io.Reader, b *budget) *archive {
	h := &headers{in: in, left: -1}
	return &archive{in: h, tr: tar.NewReader(h), budget: b}
}

// Read implements io.Reader.
func (a *archive) Read(p []byte) (int, error) {
	for !a.inside {
		if err := a.next(); err != nil {
			return 0, err
		}
	}
	n, err := a.tr.Read(p)
	if err == io.EOF {
		a.inside, err = false, nil
	}
	return n, err
}

func (a *archive) boundary() bool { return false }

// next goes to the next member, or checks the end and returns io.EOF.
func (a *archive) next() error {
	a.in.left = maxTarHeader
	h, err := a.tr.Next()
	a.in.left = -1
	if err == io.EOF {
		return a.end()
	}
	if err != nil {
		return unexpected(err)
	}
	if a.entries++; a.entries > MaxEntries {
		return fmt.Errorf("%w: tar: more than %d entries", ErrFormat, MaxEntries)
	}
	if h.Typeflag == tar.TypeXGlobalHeader { // a comment, as git writes it
		return nil
	}
	if err := checkName(h.Name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return nil
	case tar.TypeReg, tar.TypeGNUSparse:
	default:
		return fmt.Errorf("%w: tar: %q is a link, a device or something else that is no image (type %q)", ErrFormat, h.Name, h.Typeflag)
	}
	if a.image {
		return fmt.Errorf("%w: tar: %q is a second file, and which one is the image?", ErrFormat, h.Name)
	}
	a.image, a.inside = true, true
	return a.budget.fits(uint64(h.Size)) // which tar refuses if negative
}

// end wants the end mark, a member, and nothing but zeros until the end of the
// package.
func (a *archive) end() error {
	if a.in.ended {
		return fmt.Errorf("%w: tar: it ends without its end mark", ErrFormat)
	}
	if !a.image {
		return fmt.Errorf("%w: tar: there is no file in it", ErrFormat)
	}
	p := make([]byte, 4<<10)
	for total := 0; ; {
		n, err := a.in.Read(p)
		for _, c := range p[:n] {
			if c != 0 {
				return fmt.Errorf("%w: tar: something follows its end mark", ErrFormat)
			}
		}
		if total += n; total > maxTarPadding {
			return fmt.Errorf("%w: tar: more than %d zeros follow its end mark", ErrFormat, maxTarPadding)
		}
		if err != nil {
			return err // io.EOF is what we want
		}
	}
}

// headers is the reader below the tar's: it bounds what one header may read,
// for a reader of tar keeps all of that in memory, and it remembers whether
// the end was one of the package.
type headers struct {
	in    io.Reader
	left  int // bytes that may still be read; -1 = no limit
	ended bool
}

// Read implements io.Reader.
func (h *headers) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, fmt.Errorf("%w: tar: the header of one member has more than %d bytes", ErrFormat, maxTarHeader)
	}
	if h.left > 0 {
		p = p[:min(len(p), h.left)]
	}
	n, err := h.in.Read(p)
	if h.left > 0 {
		h.left -= n
	}
	if err == io.EOF {
		h.ended = true
	}
	return n, err
}

// checkName refuses names that would be dangerous if anybody used them. Nobody
// does: a package with such a name was made to hurt somebody, and has no
// business here.
func checkName(name string) error {
	bad := ""
	switch {
	case name == "":
		bad = "is empty"
	case len(name) > MaxName:
		return fmt.Errorf("%w: a name of %d bytes, at most %d are allowed", ErrFormat, len(name), MaxName)
	case strings.ContainsRune(name, 0):
		bad = "has a NUL in it"
	case name[0] == '/' || name[0] == '\\':
		bad = "is absolute"
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			bad = "leads out with .."
		}
	}
	if bad != "" {
		return fmt.Errorf("%w: the name %q %s", ErrFormat, name, bad)
	}
	return nil
}
