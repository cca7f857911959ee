package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/leapslot/ota/platform/internal/disk"
)

// Errors of [Pair.Load].
var (
	// ErrNone means that no value was ever saved.
	ErrNone = errors.New("nothing saved yet")
	// ErrDamaged means that there are copies and none of them is whole. The
	// text says what is wrong with each.
	ErrDamaged = errors.New("every copy is damaged")
)

// Pair is one small value in two copies, the files NAME.0 and NAME.1 of a
// directory. Each copy says by its generation number how new it is and by its
// checksum whether it is whole. The newest whole copy counts, and a save
// always overwrites the other one, so that a torn write costs only the value
// that was being written.
//
// A copy is overwritten in place and its file never shrinks: on a full disk a
// value that is no longer than the longest before it can still be saved.
//
// A Pair is for one goroutine at a time, and for one writing process (see
// [Lock]). Other processes may Load while it writes.
type Pair struct {
	disk disk.Disk
	dir  string
	name string

	// settled is the generation that is known to be on the medium, since this
	// Pair has synced it.
	settled uint64
	// doubt is a copy whose write or sync failed, or -1. The kernel may show it
	// whole from its memory and will not try again to write it, so it is
	// the one to overwrite next, whatever it looks like.
	doubt int
}

// OpenPair names the pair NAME in the directory dir, which must exist when
// something is saved. It reads and changes nothing yet.
func OpenPair(dir, name string) (*Pair, error) {
	return OpenPairOn(disk.OS{}, dir, name)
}

// OpenPairOn is [OpenPair] on another disk, for the tests of packages under
// platform.
func OpenPairOn(d disk.Disk, dir, name string) (*Pair, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, fmt.Errorf("pair name %q: want a plain file name", name)
	}
	if dir == "" {
		return nil, fmt.Errorf("pair %q: no directory given", name)
	}
	return &Pair{disk: d, dir: dir, name: name, doubt: -1}, nil
}

// one copy, as it was found.
type one struct {
	exists     bool
	generation uint64
	value      []byte
	err        error // why it is not whole
}

func (o one) whole() bool { return o.exists && o.err == nil }

// Path is the file of copy 0 or 1, for messages.
func (p *Pair) Path(i int) string {
	return filepath.Join(p.dir, fmt.Sprintf("%s.%d", p.name, i))
}

// Load gives the newest whole copy, or [ErrNone], or [ErrDamaged]. What it
// returns is on the medium: a value that a killed process had written and not
// yet synced is synced first, so that nobody acts on a value that a power cut
// takes back.
func (p *Pair) Load() ([]byte, error) {
	copies, err := p.look()
	if err != nil {
		return nil, err
	}
	newest := p.newest(copies)
	if newest < 0 {
		if !copies[0].exists && !copies[1].exists {
			return nil, fmt.Errorf("%s: %w", filepath.Join(p.dir, p.name), ErrNone)
		}
		return nil, fmt.Errorf("%w: %s; %s", ErrDamaged, p.describe(copies, 0), p.describe(copies, 1))
	}
	if err := p.settle(newest, copies[newest].generation); err != nil {
		return nil, err
	}
	return copies[newest].value, nil
}

// Save makes value the one that Load gives, durably when it returns nil. On an
// error, or after a power cut, Load gives the value before or this one.
func (p *Pair) Save(value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("save %s: %d bytes, the most is %d", filepath.Join(p.dir, p.name), len(value), MaxValue)
	}
	copies, err := p.look()
	if err != nil {
		return err
	}
	newest, generation, target := p.newest(copies), uint64(1), 0
	if newest >= 0 {
		generation, target = copies[newest].generation+1, 1-newest
		// The other copy is about to be torn up: from here on this one is
		// the only one, so it must be on the medium and not only in memory.
		if err := p.settle(newest, copies[newest].generation); err != nil {
			return err
		}
	}
	if err := p.write(target, copies[target].exists, encodeCopy(generation, value)); err != nil {
		p.doubt = target
		return err
	}
	p.settled, p.doubt = generation, -1
	return nil
}

// write puts the bytes of a copy into its file.
func (p *Pair) write(i int, exists bool, b []byte) error {
	path := p.Path(i)
	if !exists {
		// A new file comes whole or not at all, so that a cut in the very
		// first save leaves no damaged pair but none.
		return writeFile(p.disk, path, b, 0o600)
	}
	f, err := p.disk.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return finish(f, path, b)
}

// settle syncs a copy, and its name, unless this Pair knows that it is done.
func (p *Pair) settle(i int, generation uint64) error {
	if p.settled == generation {
		return nil
	}
	if err := disk.SyncFile(p.disk, p.Path(i)); err != nil {
		return fmt.Errorf("sync %s: %w", p.Path(i), err)
	}
	if err := disk.SyncDir(p.disk, p.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", p.dir, err)
	}
	p.settled = generation
	return nil
}

// look reads both copies.
func (p *Pair) look() (copies [2]one, err error) {
	for i := range copies {
		if copies[i], err = p.read(i); err != nil {
			return copies, err
		}
	}
	return copies, nil
}

// read gives one copy. A bad block (EIO) is damage like any other. Everything
// else that keeps us from reading, from a missing permission to too many open
// files, says nothing about the copy: taking it for damage could make Save
// overwrite the newest.
func (p *Pair) read(i int) (one, error) {
	f, err := p.disk.OpenFile(p.Path(i), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return one{}, nil
	}
	if err != nil {
		return one{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCopy))
	if errors.Is(err, syscall.EIO) {
		return one{exists: true, err: err}, nil
	}
	if err != nil {
		return one{}, err
	}
	o := one{exists: true}
	o.generation, o.value, o.err = decodeCopy(b)
	return o, nil
}

// newest is the copy that counts, or -1.
func (p *Pair) newest(copies [2]one) int {
	best := -1
	for i, c := range copies {
		if !c.whole() || i == p.doubt {
			continue
		}
		if best < 0 || c.generation > copies[best].generation {
			best = i
		}
	}
	return best
}

func (p *Pair) describe(copies [2]one, i int) string {
	switch c := copies[i]; {
	case !c.exists:
		return fmt.Sprintf("%s: missing", p.Path(i))
	case c.err == nil: // whole to look at, but see doubt
		return fmt.Sprintf("%s: could not be written", p.Path(i))
	default:
		return fmt.Sprintf("%s: %v", p.Path(i), c.err)
	}
}
