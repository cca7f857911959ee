package uboot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/leapslot/ota/platform/internal/disk"
)

// ErrDamaged means that no copy of the environment is whole: never initialised,
// or damaged. The text says what is wrong with each.
var ErrDamaged = errors.New("no copy of the environment is whole")

var errMissing = errors.New("it is not there (is its partition mounted?)")

// copies is the environment on its medium: the rules by which U-Boot finds the
// copy that counts, and by which a save can be cut at any moment.
type copies struct {
	places    []place
	names     []string // of the places, for messages
	size      int64
	redundant bool // two copies with a flag byte each, as U-Boot knows them

	// doubt is a copy whose write failed, or -1. The kernel may show it whole
	// from its memory, so it is the one to overwrite next, whatever it looks like.
	doubt int

	lock   string                 // the file that keeps other tools out, or empty
	onRoot func(path string) bool // whether a file lies in the root file system; nil: no
}

// locate makes the places of the lines of fw_env.config.
func locate(d disk.Disk, kindOf func(string) (string, kind, error), lines []Location) (*copies, error) {
	c := &copies{size: lines[0].Size, redundant: len(lines) == 2, doubt: -1}
	for _, l := range lines {
		path, k, err := kindOf(l.Path)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.Line, err)
		}
		name := fmt.Sprintf("%s at %#x", l.Path, l.Offset)
		if l.Offset == 0 {
			name = l.Path
		}
		if k == flashChip {
			c.add(name, &mtd{path: path, open: openChip, at: l.Offset, size: l.Size, space: l.Count * l.Sector})
			continue
		}
		c.add(name, stretch{disk: d, path: path, at: l.Offset, size: l.Size, file: k == regular})
		if k == regular && l.Offset == 0 && !c.redundant {
			c.add(backup(name), stretch{disk: d, path: backup(path), size: l.Size, file: true})
		}
	}
	if len(c.places) == 2 && c.names[0] == c.names[1] {
		return nil, fmt.Errorf("line %d: a file %s has no room for its copy beside it: give it another ending", lines[0].Line, lines[0].Path)
	}
	return c, nil
}

func (c *copies) add(name string, p place) {
	c.places, c.names = append(c.places, p), append(c.names, name)
}

// look reads every copy.
func (c *copies) look() ([]image, error) {
	images := make([]image, len(c.places))
	for i, p := range c.places {
		raw, err := p.load()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			images[i].err = errMissing
		case err != nil && unreadable(err):
			images[i].err = err
		case err != nil:
			return nil, err
		case int64(len(raw)) < c.size:
			images[i] = image{raw: raw, err: fmt.Errorf("it ends after %d of %d bytes", len(raw), c.size)}
		default:
			images[i] = decode(raw, c.redundant)
		}
		if i == c.doubt && images[i].whole() && len(images) > 1 {
			images[i].err = errors.New("it could not be written")
		}
	}
	c.compare(images)
	return images, nil
}

// compare finds a second file that says something else than the first: a cut
// between the two, or a tool that knows only the first. It must not count later,
// when the first is damaged.
func (c *copies) compare(images []image) {
	if !c.redundant && len(images) == 2 && images[0].whole() && images[1].whole() && !bytes.Equal(images[0].raw, images[1].raw) {
		images[1].err = fmt.Errorf("it is not the same as %s", c.names[0])
	}
}

// active is the copy that U-Boot takes, or -1.
func (c *copies) active(images []image) int {
	best := -1
	for i, img := range images {
		if img.whole() && (best < 0 || c.redundant && newer(img.flag, images[best].flag)) {
			best = i
		}
	}
	return best
}

// newer compares two flags as U-Boot does: 0 comes after 255, and of two equal
// ones the first copy counts. It is right for both schemes, counted and marked
// (1 in use, 0 obsolete).
func newer(a, b byte) bool {
	switch {
	case a == 0 && b == 255:
		return true
	case a == 255 && b == 0:
		return false
	}
	return a > b
}

// load gives the copy that counts and the others.
func (c *copies) load() (images []image, active int, err error) {
	images, err = c.look()
	if err != nil {
		return nil, -1, err
	}
	if active = c.active(images); active < 0 {
		return images, -1, fmt.Errorf("%w: %s", ErrDamaged, c.problems(images))
	}
	return images, active, nil
}

// problems says what is wrong with the copies that are not whole.
func (c *copies) problems(images []image) string {
	var all []string
	for i, img := range images {
		if !img.whole() {
			all = append(all, fmt.Sprintf("%s: %v", c.names[i], img.err))
		}
	}
	return strings.Join(all, "; ")
}

// save makes v the environment. was is what load gave, for the copy that
// counts; nil when none did.
func (c *copies) save(v variables, was []byte) error {
	defer lock(c.lock)()
	images, err := c.look()
	if err != nil {
		return err
	}
	active := c.active(images)
	if active >= 0 && !bytes.Equal(images[active].raw, was) {
		return errors.New("the environment was changed by somebody else in between: do it again")
	}
	if active < 0 && was != nil {
		return fmt.Errorf("%w: %s", ErrDamaged, c.problems(images))
	}
	if err := c.mayMake(images); err != nil {
		return err
	}
	flag, big := byte(1), nativeBig
	if active >= 0 {
		flag, big = images[active].flag+1, images[active].big
		if c.marks() {
			flag = 1
		}
	}
	b, err := encode(v, flag, c.redundant, big, c.size)
	if err != nil {
		return err
	}
	return c.write(b, active)
}

// mayMake refuses to make the first file of an environment in the root file
// system: its partition is not mounted, and U-Boot would never see the file.
func (c *copies) mayMake(images []image) error {
	for i, p := range c.places {
		s, ok := p.(stretch)
		if !ok || !s.file || images[i].err != errMissing {
			return nil
		}
		if c.onRoot != nil && c.onRoot(s.path) {
			return fmt.Errorf("%s is not there, and its directory belongs to the root file system: mount the boot partition there", c.names[i])
		}
	}
	return nil
}

// write stores a copy. With two places the other one comes first: until it is
// whole on the medium the one that counts is not touched. It must be on the
// medium itself before, since it is the only one meanwhile.
func (c *copies) write(b []byte, active int) error {
	if len(c.places) == 1 {
		return c.store(0, b)
	}
	if active < 0 {
		err := c.store(1, b)
		if err == nil && !c.redundant {
			err = c.store(0, b)
		}
		return err
	}
	other := 1 - active
	if err := c.places[active].settle(); err != nil {
		return err
	}
	if err := c.store(other, b); err != nil {
		return err
	}
	if !c.redundant {
		return c.store(active, b) // the same again: see boot.cmd
	}
	if p, ok := c.places[active].(obsoleting); ok && c.marks() {
		return p.obsolete()
	}
	return nil
}

func (c *copies) store(i int, b []byte) error {
	if err := c.places[i].store(b); err != nil {
		c.doubt = i
		return err
	}
	if c.doubt == i {
		c.doubt = -1
	}
	return nil
}

// marks tells whether the flags are those of NOR flash.
func (c *copies) marks() bool {
	for _, p := range c.places {
		m, ok := p.(*mtd)
		if !ok || !m.nor() {
			return false
		}
	}
	return c.redundant
}

// settle makes durable what load gives.
func (c *copies) settle() error {
	_, active, err := c.load()
	if err != nil {
		return err
	}
	places := c.places
	if c.redundant {
		places = places[active : active+1]
	}
	for _, p := range places {
		if err := p.settle(); err != nil {
			return err
		}
	}
	return nil
}
