package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	incomingName = "incoming" // the directory of a package that comes
	folderPerm   = 0o755      // of directories
	filePerm     = 0o644      // of files; who runs them sets the rest
)

// inbox is the directory that the files of a package come into, beside the place
// where they are used.
type inbox struct {
	dir    string
	own    bool              // the directory above is of nothing else
	before func(what string) // called before each outside effect; nil but in tests
}

func (b *inbox) effect(what string) {
	if b.before != nil {
		b.before(what)
	}
}

func (b *inbox) at(name string) string { return filepath.Join(b.dir, name) }

// begin empties it.
func (b *inbox) begin() error {
	b.effect("empty")
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	return os.MkdirAll(b.dir, folderPerm)
}

// drop removes what came of an update that has ended.
func (b *inbox) drop() error {
	b.effect("drop")
	err := os.RemoveAll(b.dir)
	if b.own && err == nil {
		os.Remove(filepath.Dir(b.dir)) // if nothing else is kept there
	}
	return err
}

// there reports whether something has come and was not moved on.
func (b *inbox) there() bool {
	_, err := os.Lstat(b.dir)
	return err == nil
}

// incoming is a file that comes.
type incoming struct {
	*os.File
	b *inbox
}

// open gives a file that comes, cut to the bytes that are known to be good.
func (b *inbox) open(name string, size int64) (*incoming, error) {
	b.effect("open")
	file, err := os.OpenFile(b.at(name), os.O_WRONLY|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(size); err != nil {
		file.Close()
		return nil, err
	}
	return &incoming{file, b}, nil
}

func (i *incoming) WriteAt(p []byte, off int64) (int, error) {
	i.b.effect("write")
	return i.File.WriteAt(p, off)
}

func (i *incoming) Sync() error {
	i.b.effect("sync")
	return i.File.Sync()
}

// syncDirs makes the names in directories durable, in the order given.
func syncDirs(paths ...string) error {
	for _, path := range paths {
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		err = d.Sync()
		d.Close() // nothing was written through it
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile makes a durable copy of a file under a name that is not taken, with
// its mode and owner.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	defer dst.Close()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if err := dressAs(dst, from); err != nil {
		return fmt.Errorf("mode and owner of %s: %w", from, err)
	}
	return dst.Sync()
}
