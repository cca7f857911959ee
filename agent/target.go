package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
)

// installTime is how long an installer may take, and go on saying [ErrLater].
const installTime = time.Hour

// target is where a module lives that is not the system in the slots: a [Folder],
// a [File] or a [Script]. The corridor is targetFlow. Each call may come twice,
// with the same end; the power-cut tests are its conformance suite.
type target interface {
	inbox() *inbox              // where the files of a package come
	root() string               // a directory of the file system that they come to
	came(version string) string // the directory where those of a version are now

	admit(n ota.Notice, kept string) error // can such a package live here?
	stage(j job) error                     // all is made ready; nothing in use changes
	put(ctx context.Context, j job) error  // the new version is in use
	undo(ctx context.Context, j job) error // what was kept is in use again
	tidy(version string) error             // removes all that is not of this version
}

// job is what a target is told of an update.
type job struct {
	module, version string
	from            string // the version that ran when it began
	kept            string // the release to return to; folders alone have one
	file            string // name of the first file in the inbox
	size            int64  // of the package
	diff            bool
}

func (u *Update) job() job {
	n := u.Notice
	return job{n.Module, n.Version, u.From, u.Kept, fileName(n, 0), n.TotalSize(), n.IsDiff}
}

// target is where the module lives; nil for the system and what is only reported.
func (m Module) target() target {
	switch {
	case m.Folder != nil:
		return m.Folder
	case m.File != nil:
		return m.File
	case m.Script != nil:
		return m.Script
	}
	return nil
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

// target is where the module of an update lives; nil for the system.
func (a *Agent) target(u *Update) target {
	m, _ := a.module(u.Notice.Module)
	return m.target()
}

// fileName is what a file of a package is called where it comes. A package of one
// file has no name on the wire: it is called as its module is.
func fileName(n ota.Notice, i int) string {
	if len(n.Files) == 1 && n.Files[0].Name == "" {
		return n.Module
	}
	return n.Files[i].Name
}

func (a *Agent) acceptFiles(_ context.Context, u *Update) error {
	n := u.Notice
	if err := a.target(u).admit(n, u.Kept); err != nil {
		return err
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
	dir := a.target(u).root()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("the directory %s cannot be used: %w", dir, err)
	}
	need := (u.Notice.TotalSize() - u.Mark.In) / max(int64(st.Bsize), 1)
	if uint64(need) > uint64(st.Bavail) {
		return fmt.Errorf("the files have %d bytes, there is no room for them in %s", u.Notice.TotalSize(), dir)
	}
	return nil
}

// stageFiles makes what was verified ready. Walked again after a power cut, it may
// find it moved already, and reads it once more.
func (a *Agent) stageFiles(ctx context.Context, u *Update) error {
	if u.Broken != "" {
		return errors.New(u.Broken)
	}
	t := a.target(u)
	if t.came(u.Notice.Version) != t.inbox().dir {
		return a.verifyFiles(ctx, u)
	}
	if err := t.stage(u.job()); err != nil {
		return fmt.Errorf("the files cannot be made ready: %w", err)
	}
	return nil
}

// putFiles has the new version in use. From here on the update can be rolled back,
// and no longer be cancelled.
func (a *Agent) putFiles(ctx context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	if m.Script != nil { // what it gets is what was verified, also after a power cut (T6)
		if err := a.verifyFiles(ctx, u); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, installTime, fmt.Errorf("not installed within %v", installTime))
	defer cancel()
	err := a.insist(ctx, func(ctx context.Context) error { return m.target().put(ctx, u.job()) })
	if err != nil {
		return fmt.Errorf("module %s, version %s cannot be put in its place: %w", m.Name, u.Notice.Version, err)
	}
	return nil
}

// proveFiles has the new version taken up by who uses it.
func (a *Agent) proveFiles(ctx context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	return a.healthy(ctx, u, func(ctx context.Context) error {
		if m.Restart != nil {
			err := a.insist(ctx, func(ctx context.Context) error { return m.Restart(ctx, u.Notice.Version) })
			if err != nil {
				return fmt.Errorf("module %s does not work with the new files: %w", m.Name, err)
			}
		}
		if m.ReadVersion == nil {
			return nil
		}
		v, err := m.ReadVersion(ctx)
		if err == nil && v != u.Notice.Version {
			err = fmt.Errorf("it says that it is version %.64q, announced was %s", v, u.Notice.Version)
		}
		if err != nil {
			return fmt.Errorf("module %s: %w", m.Name, err)
		}
		return nil
	})
}

// keepFiles removes what is not needed any more. Files that cannot be removed make
// no good update a bad one.
func (a *Agent) keepFiles(_ context.Context, u *Update) error {
	if err := a.refused(u); err != nil {
		return err
	}
	m, _ := a.module(u.Notice.Module)
	a.versions[m.Name] = u.Notice.Version
	if m.Folder == nil {
		a.rec.setInstalled(m.Name, u.Notice.Version)
	}
	a.raise(u)
	if err := m.target().tidy(u.Notice.Version); err != nil {
		a.cfg.Log.Warn("old files could not be removed", "module", m.Name, "err", err)
	}
	return nil
}

// leaveFiles puts back what worked before, and has it taken up again. When even
// that fails the way goes on, and it is said.
func (a *Agent) leaveFiles(ctx context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	ctx, cancel := context.WithTimeoutCause(ctx, a.cfg.HealthTimeout, errUnhealthy)
	defer cancel()
	err := a.insist(ctx, func(ctx context.Context) error { return m.target().undo(ctx, u.job()) })
	if err != nil {
		u.Fail.Reason += fmt.Sprintf("; and version %s could not be put back: %v", u.From, err)
		return err
	}
	if m.Restart == nil || m.Folder != nil && u.Kept == "" {
		return nil
	}
	version := u.From
	if m.Folder != nil {
		version = u.Kept
	}
	return a.insist(ctx, func(ctx context.Context) error { return m.Restart(ctx, version) })
}

// settleFiles removes what did not work, and finds out what is there now.
func (a *Agent) settleFiles(ctx context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	a.readVersion(ctx, m)
	if a.versions[m.Name] == u.Notice.Version {
		return nil // it could not be left: it stays, and its version is reported
	}
	if err := m.target().tidy(u.Kept); err != nil {
		a.cfg.Log.Warn("files could not be removed", "module", m.Name, "err", err)
	}
	return nil
}

// installed is the version of a module that does not tell it itself: that of its
// folder, the one that the agent installed, or what the factory did.
func (a *Agent) installed(m Module) string {
	if m.Folder == nil {
		if v := a.rec.Installed[m.Name]; v != "" && m.target() != nil {
			return v
		}
		return m.Version
	}
	v, err := m.Folder.Version()
	if err != nil {
		a.cfg.Log.Error("the version of a module cannot be read", "module", m.Name, "err", err)
	}
	if v == "" {
		return m.Version
	}
	return v
}
