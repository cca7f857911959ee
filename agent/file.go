package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/leapslot/ota"
)

// Names in the directory beside a module of one file.
const (
	oldName  = "old"  // the file as it was before the update
	noneName = "none" // says that there was none
	backName = "back" // the old one, on its way back
)

// File is a module that is one file at a path of the device's choice: a program,
// or a configuration.
//
//	/usr/bin/app
//	/usr/bin/.app.otad/incoming/default    an update that comes
//	/usr/bin/.app.otad/old                 what was there before, while it is on trial
//
// The file is replaced by one rename, with the mode and the owner of the one
// before; extended attributes are not kept. The path must be the file itself and
// no link. Nobody but the agent may write in the directory beside it.
type File struct {
	path string
	perm fs.FileMode
	in   inbox
}

// NewFile gives the module at path, whose directory must exist. A first file gets
// the mode perm; 0 is 0644. Nothing is changed yet.
func NewFile(path string, perm fs.FileMode) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if perm == 0 {
		perm = filePerm
	}
	dir, name := filepath.Split(path)
	f := &File{path: path, perm: perm, in: inbox{dir: filepath.Join(dir, "."+name+".otad", incomingName), own: true}}
	if st, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("the directory of a module's file: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("the directory of a module's file: %s is none", dir)
	}
	_, err = f.has()
	return f, err
}

// beside is the directory of what is kept while an update is under way.
func (f *File) beside(name string) string { return filepath.Join(filepath.Dir(f.in.dir), name) }

// has reports whether the file is there, and fails when something else is.
func (f *File) has() (bool, error) {
	st, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !st.Mode().IsRegular():
		return false, fmt.Errorf("%s is no regular file: name the file itself, not a link to it", f.path)
	}
	return true, nil
}

func (f *File) inbox() *inbox      { return &f.in }
func (f *File) root() string       { return filepath.Dir(f.path) }
func (f *File) came(string) string { return f.in.dir }

func (f *File) admit(n ota.Notice, _ string) error {
	if len(n.Files) != 1 || n.IsDiff {
		return fmt.Errorf("module %s is one file: a package of %d files or a patch is of no use to it", n.Module, len(n.Files))
	}
	_, err := f.has()
	return err
}

// stage gives the new file the mode and the owner of the old one, so that it is
// never seen at its place with others.
func (f *File) stage(j job) error {
	f.in.effect("dress")
	file, err := os.OpenFile(f.in.at(j.file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if there, herr := f.has(); herr != nil {
		return herr
	} else if there {
		err = dressAs(file, f.path)
	} else {
		err = file.Chmod(f.perm)
	}
	if err != nil {
		return fmt.Errorf("the new file cannot be given mode and owner: %w", err)
	}
	f.in.effect("sync file")
	return errors.Join(file.Sync(), syncDirs(f.in.dir))
}

// dressAs gives a file the owner and the mode of the one at path, in this order:
// a change of owner takes some bits of the mode away.
func dressAs(file *os.File, path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	want, ok := st.Sys().(*syscall.Stat_t)
	if ok && (int(want.Uid) != os.Geteuid() || int(want.Gid) != os.Getegid()) {
		if err := file.Chown(int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	return file.Chmod(st.Mode())
}

// put keeps the old file, or a word that there was none, and then replaces it.
// When the new one has been moved already, only the directories are left to do.
func (f *File) put(_ context.Context, j job) error {
	if _, err := os.Lstat(f.in.at(j.file)); err == nil {
		if err := f.keepOld(); err != nil {
			return fmt.Errorf("the old file cannot be kept: %w", err)
		}
		f.in.effect("rename")
		if err := os.Rename(f.in.at(j.file), f.path); err != nil {
			return err
		}
	}
	f.in.effect("sync directory")
	return syncDirs(f.root())
}

func (f *File) keepOld() error {
	there, err := f.has()
	if err != nil {
		return err
	}
	f.in.effect("keep old")
	if err := removeAll(f.beside(oldName), f.beside(noneName), f.beside(backName)); err != nil {
		return err
	}
	if !there {
		err = os.WriteFile(f.beside(noneName), nil, filePerm)
	} else if err = os.Link(f.path, f.beside(oldName)); err != nil { // a file system without links
		if err = copyFile(f.path, f.beside(backName)); err == nil {
			err = os.Rename(f.beside(backName), f.beside(oldName))
		}
	}
	if err != nil {
		return err
	}
	f.in.effect("sync old")
	return syncDirs(filepath.Dir(f.in.dir))
}

// undo puts the old file back, or nothing where nothing was. It is put back as a
// copy or a second name: the old one itself stays until the end, so that undoing
// twice comes to the same.
func (f *File) undo(context.Context, job) error {
	f.in.effect("undo")
	if _, err := os.Lstat(f.beside(noneName)); err == nil {
		return errors.Join(removeAll(f.path), syncDirs(f.root()))
	}
	if _, err := os.Lstat(f.beside(oldName)); errors.Is(err, fs.ErrNotExist) {
		return nil // it was never replaced, or is back and tidied up
	}
	if err := removeAll(f.beside(backName)); err != nil {
		return err
	}
	if os.Link(f.beside(oldName), f.beside(backName)) != nil {
		if err := copyFile(f.beside(oldName), f.beside(backName)); err != nil {
			return err
		}
	}
	f.in.effect("put back")
	if err := os.Rename(f.beside(backName), f.path); err != nil {
		return err
	}
	return syncDirs(f.root())
}

func (f *File) tidy(string) error {
	f.in.effect("tidy")
	return os.RemoveAll(filepath.Dir(f.in.dir))
}

func removeAll(paths ...string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
