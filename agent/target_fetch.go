package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/verify"
)

// fetchFiles brings the files one after the other. The mark counts the bytes of all
// of them together.
func (a *Agent) fetchFiles(ctx context.Context, u *Update) error {
	if u.Broken != "" {
		return nil
	}
	if u.Mark.In == 0 {
		if err := a.target(u).inbox().begin(); err != nil {
			u.Broken = err.Error()
			return nil
		}
		a.progress(u, 0) // starts the task's timeout in the cloud
	}
	begin := int64(0)
	for i, restarts := 0, 0; i < len(u.Notice.Files) && u.Broken == ""; {
		if end := begin + u.Notice.Files[i].Size; u.Mark.In >= end {
			begin = end
			i++
			continue
		}
		err := a.fetchFile(ctx, u, i, begin)
		if errors.Is(err, errOther) && restarts < maxRestarts {
			u.Validator = ""
			restarts++
			continue
		}
		if errors.Is(err, fetch.ErrChanged) && restarts < maxRestarts {
			a.cfg.Log.Warn("starting over: a file changed on the server", "file", fileName(u.Notice, i), "err", err)
			u.Mark.In, u.Validator = begin, ""
			restarts++
			continue
		}
		if err != nil {
			return fmt.Errorf("file %s: %w", fileName(u.Notice, i), err)
		}
	}
	return nil
}

// fetchFile brings what is missing of a file. What breaks at the writing end is
// kept for the Write stage, as with an image.
func (a *Agent) fetchFile(ctx context.Context, u *Update, i int, begin int64) error {
	at := u.Mark.In - begin
	if at == 0 {
		u.Validator = ""
	}
	from, err := a.openFile(ctx, u, i, at)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.target(u).inbox().open(fileName(u.Notice, i), at)
	if err != nil {
		u.Broken = err.Error()
		return nil
	}
	defer to.Close()
	due := time.Now().Add(checkpointTime)
	buf := make([]byte, copyBuffer)
	for empty := 0; empty <= maxEmptyReads; empty++ {
		n, err := from.Read(buf)
		if n > 0 {
			empty = 0
			if _, werr := to.WriteAt(buf[:n], at); werr != nil {
				u.Broken = fmt.Sprintf("writing at byte %d: %v", at, werr)
				return nil
			}
			at += int64(n)
			a.progress(u, u.percent(begin+at))
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF:
			return a.markFile(u, to, begin+at, "")
		case err != nil:
			return err
		}
		if begin+at-u.Mark.In >= a.checkpointBytes || time.Now().After(due) {
			if err := a.markFile(u, to, begin+at, from.Validator()); err != nil || u.Broken != "" {
				return err
			}
			due = time.Now().Add(checkpointTime)
		}
	}
	return io.ErrNoProgress
}

// markFile makes what has come survive a power cut: first the bytes are synced,
// then the record says that they are there.
func (a *Agent) markFile(u *Update, to *incoming, in int64, validator string) error {
	if err := to.Sync(); err != nil {
		u.Broken = fmt.Sprintf("syncing: %v", err)
		return nil
	}
	u.Mark.In, u.Validator, u.Stalls = in, validator, 0
	if err := a.cfg.Store.Save(a.rec.encode()); err != nil {
		return fmt.Errorf("the state of the download cannot be saved: %w", err)
	}
	return nil
}

// verifyFiles reads every file back and compares it with what was announced and
// signed: all of them, before one of them is used (I7).
func (a *Agent) verifyFiles(ctx context.Context, u *Update) error {
	if u.Broken != "" {
		return nil
	}
	dir := a.target(u).came(u.Notice.Version)
	for i := range u.Notice.Files {
		if err := verifyFile(ctx, u, filepath.Join(dir, fileName(u.Notice, i)), u.Notice.Files[i]); err != nil {
			return fmt.Errorf("file %s: %w", fileName(u.Notice, i), err)
		}
	}
	return nil
}

func verifyFile(ctx context.Context, u *Update, path string, f ota.File) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if st, err := from.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() != f.Size {
		return fmt.Errorf("it has another length than the announced %d bytes, or is no file any more", f.Size)
	}
	sums, err := newDigests(u)
	if err != nil {
		return err
	}
	if err := copyDigest(ctx, sums, io.NewSectionReader(from, 0, f.Size)); err != nil {
		return err
	}
	if err := verify.Equal(f.Sign, sums.Sum(nil)); err != nil {
		return fmt.Errorf("it is not the announced one: %w", err)
	}
	if !u.Grant.Manifest {
		return nil
	}
	// The package is used as it is, so that what is signed of the image is of it.
	u.Digest, u.SHA256 = sums.sums()
	u.Image = Image{Size: f.Size, SHA256: cmp.Or(u.SHA256, u.Digest), Version: u.Notice.Version}
	if err := u.packageAsSigned(); err != nil || u.Notice.IsDiff {
		return err
	}
	return u.imageAsSigned()
}
