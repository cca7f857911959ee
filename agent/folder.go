package agent

import (
	"context"
	"errors"
	"fmt"
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
	releaseStart = "v-"       // of a release's name: a version may be called "..".
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
	path string
	in   inbox
}

// NewFolder gives the folder at path, and makes it when it is not there.
func NewFolder(path string) (*Folder, error) {
	f := &Folder{path: path, in: inbox{dir: filepath.Join(path, incomingName)}}
	if err := os.MkdirAll(f.at(releasesName), folderPerm); err != nil {
		return nil, fmt.Errorf("the folder of a module cannot be made: %w", err)
	}
	return f, nil
}

func (f *Folder) at(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
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

func (f *Folder) inbox() *inbox { return &f.in }
func (f *Folder) root() string  { return f.path }

// came is where the files of a version are that was fetched: they come into the
// inbox, and become a release.
func (f *Folder) came(version string) string {
	if f.in.there() {
		return f.in.dir
	}
	return f.at(releaseOf(version))
}

func (f *Folder) admit(n ota.Notice, kept string) error {
	if n.IsDiff {
		return fmt.Errorf("module %s is made of files, which no patch can be applied to: send the full package", n.Module)
	}
	if n.Version == kept {
		return fmt.Errorf("release %s of module %s is the current one already, whatever version it says that it is", kept, n.Module)
	}
	return nil
}

func (f *Folder) stage(j job) error                   { return f.release(j.version) }
func (f *Folder) put(_ context.Context, j job) error  { return f.use(j.version) }
func (f *Folder) undo(_ context.Context, j job) error { return f.use(j.kept) }
func (f *Folder) tidy(version string) error           { return f.prune(version) }

// release makes what has come the release of a version. The order is the point:
// the names of the files are synced, then the whole gets its name.
func (f *Folder) release(version string) error {
	if err := syncDirs(f.in.dir); err != nil {
		return err
	}
	f.in.effect("clear")
	to := releaseOf(version)
	if err := os.RemoveAll(f.at(to)); err != nil {
		return err
	}
	f.in.effect("rename")
	if err := os.Rename(f.in.dir, f.at(to)); err != nil {
		return err
	}
	f.in.effect("sync directories")
	return syncDirs(f.at(releasesName), f.path)
}

// use makes a version's release the current one; none with an empty version.
func (f *Folder) use(version string) error {
	f.in.effect("remove link")
	if version == "" {
		if err := os.Remove(f.at(currentName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDirs(f.path)
	}
	if _, err := os.Lstat(f.at(releaseOf(version))); err != nil {
		return fmt.Errorf("there is no release %s", version)
	}
	if err := os.Remove(f.at(newLinkName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.in.effect("link")
	if err := os.Symlink(releaseOf(version), f.at(newLinkName)); err != nil {
		return err
	}
	f.in.effect("switch")
	if err := os.Rename(f.at(newLinkName), f.at(currentName)); err != nil {
		return err
	}
	f.in.effect("sync link")
	return syncDirs(f.path)
}

// prune removes all releases but those of the versions.
func (f *Folder) prune(keep ...string) error {
	f.in.effect("prune")
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
	return errors.Join(append(errs, os.RemoveAll(f.in.dir))...)
}
