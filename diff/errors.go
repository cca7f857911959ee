package diff

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrFormat is wrapped by every error about what a patch says: it is not
	// a patch, is damaged, is cut short (then io.ErrUnexpectedEOF is wrapped
	// too), or breaks one of the rules in the package comment.
	ErrFormat = errors.New("bad patch")

	// ErrTooLarge is wrapped when a size is above a limit: a new image larger
	// than [MaxNewSize], or an old one larger than [MaxOldSize] given to [Make].
	ErrTooLarge = errors.New("too large")
)

// The two inputs that a [ReadError] can be about.
const (
	FromOld   = "old image"
	FromPatch = "patch"
)

// ReadError is returned when an input could not be read, as opposed to what
// was read being wrong. A failing flash under the old image shows as
// From == FromOld.
type ReadError struct {
	From string // FromOld or FromPatch
	Off  int64  // the first byte of that input that could not be read
	Err  error  // what the input said
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("reading the %s at byte %d: %v", e.From, e.Off, e.Err)
}

// Unwrap gives the input's own error.
func (e *ReadError) Unwrap() error { return e.Err }

// badf is an error about the contents of a patch.
func badf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// cutShort is the error for a patch that ends too early.
func cutShort(what string) error {
	return fmt.Errorf("%w: it is cut short in the %s: %w", ErrFormat, what, io.ErrUnexpectedEOF)
}
