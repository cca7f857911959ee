// Package forgetful is a made-up disk for tests of what is left after a power
// cut. It is a model and no real file system, and on purpose a worse one than
// any: until a file is synced each block written to it may be on the medium,
// half on it, or not, in any order, and its length may be there without its
// content; until a directory is synced each creation, renaming and removal in
// it may have happened or not, in any order. What survives is chosen by the
// test. What a program gets right here it gets right on ext4, f2fs, UBIFS and
// FAT.
package forgetful

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/leapslot/ota/platform/internal/disk"
)

// ErrCut is what every call returns from the power cut on.
var ErrCut = errors.New("the power is cut")

// block is the unit that a medium writes at once, or tears.
const block = 512

// Disk is the made-up disk. It is for one goroutine at a time. The zero value
// is not usable: see [New].
type Disk struct {
	now    map[string]*inode // what a running program sees
	stored map[string]*inode // what the medium holds
	ops    []dirOp           // changes of names that are not synced

	steps int // calls that change or sync something, so far
	cutAt int // the step that does not happen; 0 = never
	dead  bool
}

type inode struct {
	now    []byte // what a running program sees
	stored []byte // what the medium holds
}

type dirOp struct {
	dir    string
	remove string // a name that goes, if not empty
	set    string // a name that comes, if not empty
	node   *inode
}

// New makes an empty disk. Every directory exists.
func New() *Disk {
	return &Disk{now: map[string]*inode{}, stored: map[string]*inode{}}
}

// CutAt lets the power fail at the n-th step from now (1 = the next): that
// step and everything after it returns [ErrCut] and changes nothing. 0 = never.
func (d *Disk) CutAt(n int) {
	d.steps, d.cutAt = 0, n
}

// Dead tells whether the power was cut.
func (d *Disk) Dead() bool { return d.dead }

// Steps says how many steps were taken since CutAt, or New.
func (d *Disk) Steps() int { return d.steps }

// Choice decides what survives: it returns a number from 0 to n-1. A Choice
// that always returns 0 lets everything go that was not synced, one that
// returns n-1 keeps everything.
type Choice func(n int) int

// Nothing keeps only what was synced.
func Nothing(int) int { return 0 }

// Everything keeps all that was written.
func Everything(n int) int { return n - 1 }

// PowerOn brings the disk back after a power cut: what was not synced has been
// lost, torn or kept, as choose says. It may be called without a cut, which is
// a cut between two steps.
func (d *Disk) PowerOn(choose Choice) {
	for _, op := range d.ops {
		if choose(2) == 1 {
			op.apply(d.stored)
		}
	}
	d.ops = nil
	d.now = map[string]*inode{}
	seen := map[*inode]bool{}
	for name, n := range d.stored {
		if !seen[n] {
			n.settle(choose)
			seen[n] = true
		}
		d.now[name] = n
	}
	d.dead, d.cutAt, d.steps = false, 0, 0
}

// Restart brings the program back after a kill on a machine that stays up:
// nothing is lost, and nothing has become durable either.
func (d *Disk) Restart() {
	d.dead, d.cutAt, d.steps = false, 0, 0
}

func (o dirOp) apply(names map[string]*inode) {
	if o.remove != "" {
		delete(names, o.remove)
	}
	if o.set != "" {
		names[o.set] = o.node
	}
}

// settle decides for each block whether the old or the new content survived,
// or half of each.
func (n *inode) settle(choose Choice) {
	if bytes.Equal(n.now, n.stored) {
		return
	}
	size := len(n.stored)
	if choose(2) == 1 {
		size = len(n.now)
	}
	got := make([]byte, size) // a length without its content reads as zeros
	copy(got, n.stored)
	for from := 0; from < size; from += block {
		to := min(from+block, size)
		switch choose(3) {
		case 1:
			to = from + (to-from)/2
			fallthrough
		case 2:
			if from < len(n.now) {
				copy(got[from:to], n.now[from:])
			}
		}
	}
	n.now, n.stored = got, bytes.Clone(got)
}

// step counts one call that changes or syncs something.
func (d *Disk) step() error {
	if d.dead {
		return ErrCut
	}
	d.steps++
	if d.cutAt != 0 && d.steps >= d.cutAt {
		d.dead = true
		return ErrCut
	}
	return nil
}

// OpenFile implements [disk.Disk].
func (d *Disk) OpenFile(path string, flag int, _ fs.FileMode) (disk.File, error) {
	if d.dead {
		return nil, ErrCut
	}
	path = filepath.Clean(path)
	n, ok := d.now[path]
	switch {
	case !ok && flag&os.O_CREATE == 0:
		if err := d.missing(path); err != nil {
			return nil, err
		}
		return &file{d: d, dir: path}, nil
	case ok && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrExist}
	case !ok:
		if err := d.step(); err != nil {
			return nil, err
		}
		n = &inode{}
		d.change(dirOp{dir: filepath.Dir(path), set: path, node: n})
	case flag&os.O_TRUNC != 0:
		if err := d.step(); err != nil {
			return nil, err
		}
		n.now = nil
	}
	return &file{d: d, n: n}, nil
}

// missing says that path does not exist, unless something lies in it: then it
// is a directory.
func (d *Disk) missing(path string) error {
	for name := range d.now {
		if filepath.Dir(name) == path {
			return nil
		}
	}
	for _, op := range d.ops {
		if op.dir == path {
			return nil
		}
	}
	return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

func (d *Disk) change(op dirOp) {
	op.apply(d.now)
	d.ops = append(d.ops, op)
}

// Rename implements [disk.Disk].
func (d *Disk) Rename(from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	n, ok := d.now[from]
	if !ok && !d.dead {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if err := d.step(); err != nil {
		return err
	}
	d.change(dirOp{dir: filepath.Dir(to), remove: from, set: to, node: n})
	return nil
}

// Remove implements [disk.Disk].
func (d *Disk) Remove(path string) error {
	path = filepath.Clean(path)
	if _, ok := d.now[path]; !ok && !d.dead {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	if err := d.step(); err != nil {
		return err
	}
	d.change(dirOp{dir: filepath.Dir(path), remove: path})
	return nil
}

// Names lists what a running program would find, for tests that look for
// things left behind.
func (d *Disk) Names() []string {
	var names []string
	for name := range d.now {
		names = append(names, name)
	}
	return names
}

type file struct {
	d   *Disk
	n   *inode // nil for a directory
	dir string
	at  int
}

func (f *file) Read(p []byte) (int, error) {
	if f.d.dead {
		return 0, ErrCut
	}
	if f.n == nil || f.at >= len(f.n.now) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[f.at:])
	f.at += n
	return n, nil
}

// Write takes a step for each block, so that the power can fail in between.
func (f *file) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if err := f.d.step(); err != nil {
			return done, err
		}
		n := min(block-f.at%block, len(p)-done)
		if grow := f.at + n - len(f.n.now); grow > 0 {
			f.n.now = append(f.n.now, make([]byte, grow)...)
		}
		copy(f.n.now[f.at:], p[done:done+n])
		f.at, done = f.at+n, done+n
	}
	return done, nil
}

func (f *file) Sync() error {
	if err := f.d.step(); err != nil {
		return err
	}
	if f.n != nil {
		f.n.stored = bytes.Clone(f.n.now)
		return nil
	}
	var later []dirOp
	for _, op := range f.d.ops {
		if op.dir == f.dir {
			op.apply(f.d.stored)
		} else {
			later = append(later, op)
		}
	}
	f.d.ops = later
	return nil
}

func (f *file) Close() error { return nil }
