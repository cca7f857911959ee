package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// output is a file that gets its name when it is whole. Until then it has
// another one in the same directory.
type output struct {
	f    *os.File
	path string
	size int64
	done bool
}

func create(path string) (*output, error) {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		return nil, failed(path, errors.New("this is not a regular file"), "name a file; devices are written by otad")
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8]+".part")
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, failed(path, err, "see that its directory is there")
	}
	return &output{f: f, path: path}, nil
}

// Write adds to the file.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.f.Write(p)
	o.size += int64(n)
	return n, err
}

// commit gives the file its name. The content goes to the disk first, so that
// a power cut cannot leave the name with half of it.
func (o *output) commit() error {
	err := o.f.Sync()
	if cerr := o.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(o.f.Name(), o.path)
	}
	if err != nil {
		return failed(o.path, err, "nothing was written; see that there is space")
	}
	o.done = true
	return nil
}

// discard removes what was not committed.
func (o *output) discard() {
	if !o.done {
		o.f.Close()
		os.Remove(o.f.Name())
	}
}

// apart refuses an output that is one of the inputs.
func apart(verb, out string, inputs ...string) error {
	of, err := os.Stat(out)
	if err != nil {
		return nil // not there yet
	}
	for _, in := range inputs {
		if fi, err := os.Stat(in); err == nil && os.SameFile(of, fi) {
			return usagef(verb, "%s would be overwritten by its own result (name another file)", in)
		}
	}
	return nil
}

// bar is a progress bar on a terminal, and nothing elsewhere.
type bar struct {
	env   *env
	verb  string
	drawn int64 // the percentage on the screen, less one
}

func (e *env) bar(verb string) *bar { return &bar{env: e, verb: verb} }

// show draws done of total, when the percentage is another.
func (b *bar) show(done, total int64) {
	if !b.env.terminal || total <= 0 {
		return
	}
	percent := int64(float64(done) / float64(total) * 100)
	if percent+1 == b.drawn {
		return
	}
	b.drawn = percent + 1
	const width = 40
	var line [width]byte
	for i := range line {
		line[i] = '.'
		if int64(i)*100 < percent*width {
			line[i] = '#'
		}
	}
	fmt.Fprintf(b.env.err, "\rotapack %s [%s] %3d %%", b.verb, line[:], percent)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.drawn > 0 {
		fmt.Fprint(b.env.err, "\r\x1b[K")
	}
}
