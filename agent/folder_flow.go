package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/verify"
)

// folderFlow is the corridor of a module that lives in a folder. Its stages are
// those of the system; nothing is restarted but what Module.Restart restarts.
var folderFlow = [...]row{
	{Accept, (*Agent).acceptFiles, Trust, ota.StepUpgradeFailed, Report},
	{Trust, (*Agent).trust, Room, ota.StepVerifyFailed, Report},
	{Room, (*Agent).roomForFiles, Fetch, ota.StepWriteFailed, Report},
	{Fetch, (*Agent).fetchFiles, Verify, ota.StepDownloadFailed, Report},
	{Verify, (*Agent).verifyFiles, Write, ota.StepVerifyFailed, Report},
	{Write, (*Agent).releaseFiles, Switch, ota.StepWriteFailed, Report},
	{Switch, (*Agent).useFiles, Prove, ota.StepUpgradeFailed, Leave},
	{Prove, (*Agent).proveFiles, Keep, ota.StepUpgradeFailed, Leave},
	{Keep, (*Agent).keepFiles, Report, ota.StepUpgradeFailed, Leave},
	{Leave, (*Agent).leaveFiles, Settle, ota.StepUpgradeFailed, Settle},
	{Settle, (*Agent).settleFiles, Report, ota.StepUpgradeFailed, Report},
	{Report, (*Agent).report, "", ota.StepUpgradeFailed, ""},
}

// row finds the line of the corridor that an update is at.
func (a *Agent) row(u *Update) (row, bool) {
	if !u.Folder {
		return rowOf(u.Stage)
	}
	for _, r := range folderFlow {
		if r.stage == u.Stage {
			return r, true
		}
	}
	return row{}, false
}

// module is the configured one of a name.
func (a *Agent) module(name string) (m Module, ok bool) {
	for _, m := range a.cfg.Modules {
		if m.Name == name {
			return m, true
		}
	}
	return m, false
}

// folder is where the files of an update's module live; nil for the system.
func (a *Agent) folder(u *Update) *Folder {
	m, _ := a.module(u.Notice.Module)
	return m.Folder
}

// fileName is what a file of a package is called in its release. A package of one
// file has no name on the wire: it is called as its module is.
func fileName(n ota.Notice, i int) string {
	if len(n.Files) == 1 && n.Files[0].Name == "" {
		return n.Module
	}
	return n.Files[i].Name
}

func (a *Agent) acceptFiles(_ context.Context, u *Update) error {
	n := u.Notice
	if n.IsDiff {
		return fmt.Errorf("module %s is made of files, which no patch can be applied to: send the full package", n.Module)
	}
	if n.Version == u.Kept {
		return fmt.Errorf("release %s is the current one, though module %s says that it is version %s", u.Kept, n.Module, u.From)
	}
	if err := a.canFetch(n); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range n.Files {
		name := fileName(n, i)
		if name == "" || name == "." || name == ".." || seen[name] {
			return fmt.Errorf("the name %q of file %d is empty, not that of a file, or there twice", name, i+1)
		}
		seen[name] = true
	}
	return a.countTry(n)
}

func (a *Agent) roomForFiles(_ context.Context, u *Update) error {
	f := a.folder(u)
	var st unix.Statfs_t
	if err := unix.Statfs(f.path, &st); err != nil {
		return fmt.Errorf("the folder %s cannot be used: %w", f.path, err)
	}
	need := (u.Notice.TotalSize() - u.Mark.In) / max(int64(st.Bsize), 1)
	if uint64(need) > uint64(st.Bavail) {
		return fmt.Errorf("the files have %d bytes, there is no room for them in %s", u.Notice.TotalSize(), f.path)
	}
	return nil
}

// fetchFiles brings the files one after the other. The mark counts the bytes of all
// of them together.
func (a *Agent) fetchFiles(ctx context.Context, u *Update) error {
	if u.Broken != "" {
		return nil
	}
	if u.Mark.In == 0 {
		if err := a.folder(u).begin(); err != nil {
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
	to, err := a.folder(u).open(fileName(u.Notice, i), at)
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

// verifyFiles reads every file back and compares it with what was announced: all of
// them, before one of them is used (I7).
func (a *Agent) verifyFiles(ctx context.Context, u *Update) error {
	if u.Broken != "" {
		return nil
	}
	dir := incomingName
	if !a.folder(u).has(dir) { // the power was cut after it became a release
		dir = releaseOf(u.Notice.Version)
	}
	for i := range u.Notice.Files {
		if err := a.verifyFile(ctx, u, dir, i); err != nil {
			return fmt.Errorf("file %s is not the announced one: %w", fileName(u.Notice, i), err)
		}
	}
	return nil
}

func (a *Agent) verifyFile(ctx context.Context, u *Update, dir string, i int) error {
	f := u.Notice.Files[i]
	from, err := a.folder(u).read(dir, fileName(u.Notice, i))
	if err != nil {
		return err
	}
	defer from.Close()
	sum, err := verify.NewDigest(u.Notice.SignMethod)
	if err != nil {
		return err
	}
	buf := make([]byte, copyBuffer)
	for n := int64(0); ; {
		k, err := from.Read(buf)
		sum.Write(buf[:k])
		switch n += int64(k); {
		case n > f.Size || err == io.EOF && n < f.Size:
			return fmt.Errorf("it has another length than the announced %d bytes", f.Size)
		case err == io.EOF:
			return verify.Equal(f.Sign, sum.Sum(nil))
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
