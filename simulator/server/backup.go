package server

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/leapslot/ota/simulator/server/store"
)

// DatabaseFile is the name of the database in a data directory.
const DatabaseFile = "ota.db"

const packagesDir = "packages"

// backupTries is how often a backup begins again because a package's file went away
// while it was being made.
const backupTries = 3

var errGone = errors.New("a package's file went away while the backup was made")

// Backed says what a backup holds.
type Backed struct {
	Files int   // of packages
	Bytes int64 // of everything
}

// Backup writes what a data directory holds, as it is at one moment, as a tar archive:
// extracted into an empty directory it is a data directory. A server may run on it and
// goes on working. The archive holds every secret that the directory holds.
//
// The database is copied first, then the files of the packages that it names: a file
// is there before its package, is never changed, and is removed only after its package
// was; when that happens in between, the backup begins again. scratch is a directory
// with room for the database; begin gives an empty place to write to for each try.
func Backup(ctx context.Context, dir, scratch string, begin func() (io.Writer, error)) (Backed, error) {
	for try := 1; ; try++ {
		w, err := begin()
		if err != nil {
			return Backed{}, err
		}
		done, err := backup(ctx, dir, scratch, w)
		if err == nil || !errors.Is(err, errGone) || try == backupTries {
			return done, err
		}
	}
}

func backup(ctx context.Context, dir, scratch string, w io.Writer) (Backed, error) {
	var done Backed
	tmp, err := os.MkdirTemp(scratch, ".otasim-backup-")
	if err != nil {
		return done, fmt.Errorf("a place for the database's copy: %w", err)
	}
	defer os.RemoveAll(tmp)
	snap := filepath.Join(tmp, DatabaseFile)
	if err := store.Snapshot(ctx, filepath.Join(dir, DatabaseFile), snap); err != nil {
		return done, err
	}
	list, err := store.PackagesIn(ctx, snap)
	if err != nil {
		return done, err
	}
	t := archive{Writer: tar.NewWriter(w), done: &done}
	if err := t.add(snap, DatabaseFile); err != nil {
		return done, err
	}
	// Keys stand beside what they belong to; a directory never served from has none yet.
	for _, name := range []string{store.KeyFile, packagesDir + "/key"} {
		if err := t.add(filepath.Join(dir, name), name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return done, err
		}
	}
	for i := range list {
		for _, f := range list[i].Files {
			if err := t.addPackageFile(ctx, dir, f.Key); err != nil {
				return done, fmt.Errorf("package %s, file %s: %w", list[i].ID, f.Name, err)
			}
		}
	}
	return done, t.Close()
}

// archive is a tar archive that counts.
type archive struct {
	*tar.Writer
	done *Backed
}

// addPackageFile adds a file and what is known of it.
func (a *archive) addPackageFile(ctx context.Context, dir, key string) error {
	for _, ext := range []string{".json", ""} { // the file last: with it the pair is whole
		if err := ctx.Err(); err != nil {
			return err
		}
		name := packagesDir + "/files/" + key + ext
		err := a.add(filepath.Join(dir, name), name)
		if errors.Is(err, fs.ErrNotExist) {
			return errGone
		}
		if err != nil {
			return err
		}
	}
	a.done.Files++
	return nil
}

func (a *archive) add(path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Size: st.Size(), Mode: 0o600, ModTime: st.ModTime().Truncate(time.Second), Format: tar.FormatPAX}
	if err := a.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(a, f)
	a.done.Bytes += n
	return err
}
