package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leapslot/ota"
)

// Names in a folder.
const (
	currentName  = "current"  // a symbolic link to the release in use
	newLinkName  = ".current" // the same, before it is renamed
	releasesName = "releases" // of the whole releases
	incomingName = "incoming" // the one that comes
	releaseStart = "v-"       // of a release's name: a version may be called "..".
	folderPerm   = 0o755      // of directories
	filePerm     = 0o644      // of files; who runs them sets the rest
	maxLinkLen   = 2 * ota.MaxVersionLen
)

// Folder is where a module lives that is one file or several: a directory of
// whole releases, one of which is the current one.
//
//	DIR/current -> releases/v-2.0.0
//	DIR/releases/v-2.0.0/app.bin ...
//	DIR/incoming/                      an update that comes
//
// A release is under releases only when all of its files were verified, and the
// link is replaced by one rename: whoever opens DIR/current sees all of the old
// files or all of the new ones (I7), whenever the power is cut. Nobody but the
// agent may write there.
type Folder struct {
	path   string
	before func(what string) // called before each outside effect; nil but in tests
}

// NewFolder gives the folder at path, and makes it when it is not there.
func NewFolder(path string) (*Folder, error) {
	f := &Folder{path: path}
	if err := os.MkdirAll(f.at(releasesName), folderPerm); err != nil {
		return nil, fmt.Errorf("the folder of a module cannot be made: %w", err)
	}
	return f, nil
}

func (f *Folder) at(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
}

func (f *Folder) effect(what string) {
	if f.before != nil {
		f.before(what)
	}
}

// releaseOf is where the release of a version stands in the folder.
func releaseOf(version string) string { return releasesName + "/" + releaseStart + version }

// Version is the current release's, empty when there is none.
func (f *Folder) Version() (string, error) {
	to, err := os.Readlink(f.at(currentName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	v, ok := strings.CutPrefix(to, releaseOf(""))
	if !ok || len(to) > maxLinkLen || ota.CheckVersion(v) != nil {
		return "", fmt.Errorf("%s is a link to %.80q, which is no release", f.at(currentName), to)
	}
	return v, nil
}

// begin empties what comes.
func (f *Folder) begin() error {
	f.effect("empty")
	if err := os.RemoveAll(f.at(incomingName)); err != nil {
		return err
	}
	return os.Mkdir(f.at(incomingName), folderPerm)
}

// incoming is a file that comes.
type incoming struct {
	*os.File
	f *Folder
}

// open gives a file that comes, cut to the bytes that are known to be good.
func (f *Folder) open(name string, size int64) (*incoming, error) {
	f.effect("open")
	file, err := os.OpenFile(f.at(incomingName, name), os.O_WRONLY|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(size); err != nil {
		file.Close()
		return nil, err
	}
	return &incoming{file, f}, nil
}

func (i *incoming) WriteAt(p []byte, off int64) (int, error) {
	i.f.effect("write")
	return i.File.WriteAt(p, off)
}

func (i *incoming) Sync() error {
	i.f.effect("sync")
	return i.File.Sync()
}

// read gives a file of what comes, or of a release.
func (f *Folder) read(dir, name string) (io.ReadCloser, error) {
	return os.Open(f.at(filepath.FromSlash(dir), name))
}

func (f *Folder) has(dir string) bool {
	_, err := os.Lstat(f.at(filepath.FromSlash(dir)))
	return err == nil
}

// release makes what has come the release of a version. The order is the point:
// the names of the files are synced, then the whole gets its name.
func (f *Folder) release(version string) error {
	if err := syncDir(f.at(incomingName)); err != nil {
		return err
	}
	f.effect("clear")
	to := releaseOf(version)
	if err := os.RemoveAll(f.at(to)); err != nil {
		return err
	}
	f.effect("rename")
	if err := os.Rename(f.at(incomingName), f.at(to)); err != nil {
		return err
	}
	f.effect("sync directories")
	if err := syncDir(f.at(releasesName)); err != nil {
		return err
	}
	return syncDir(f.path)
}

// use makes a version's release the current one; none with an empty version.
func (f *Folder) use(version string) error {
	f.effect("remove link")
	if version == "" {
		if err := os.Remove(f.at(currentName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(f.path)
	}
	if !f.has(releaseOf(version)) {
		return fmt.Errorf("there is no release %s", version)
	}
	if err := os.Remove(f.at(newLinkName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.effect("link")
	if err := os.Symlink(releaseOf(version), f.at(newLinkName)); err != nil {
		return err
	}
	f.effect("switch")
	if err := os.Rename(f.at(newLinkName), f.at(currentName)); err != nil {
		return err
	}
	f.effect("sync link")
	return syncDir(f.path)
}

// prune removes all releases but those of the versions.
func (f *Folder) prune(keep ...string) error {
	f.effect("prune")
	all, err := os.ReadDir(f.at(releasesName))
	if err != nil {
		return err
	}
	var errs []error
next:
	for _, e := range all {
		for _, v := range keep {
			if e.Name() == releaseStart+v {
				continue next
			}
		}
		errs = append(errs, os.RemoveAll(f.at(releasesName, e.Name())))
	}
	return errors.Join(append(errs, os.RemoveAll(f.at(incomingName)))...)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
