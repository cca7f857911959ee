package agent

import (
	"context"
	"errors"
	"fmt"
)

// releaseFiles gives what was verified its place. Walked again after a power cut,
// it finds the place taken by the same files, and reads them once more.
func (a *Agent) releaseFiles(ctx context.Context, u *Update) error {
	if u.Broken != "" {
		return errors.New(u.Broken)
	}
	f := a.folder(u)
	if !f.has(incomingName) {
		return a.verifyFiles(ctx, u)
	}
	if err := f.release(u.Notice.Version); err != nil {
		return fmt.Errorf("the files cannot be given their place: %w", err)
	}
	return nil
}

// useFiles replaces the link. From here on the update can be rolled back, and no
// longer be cancelled.
func (a *Agent) useFiles(_ context.Context, u *Update) error {
	if err := a.folder(u).use(u.Notice.Version); err != nil {
		return fmt.Errorf("release %s cannot be made the current one: %w", u.Notice.Version, err)
	}
	return nil
}

// proveFiles has the new files taken up by who uses them.
func (a *Agent) proveFiles(ctx context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	if m.Restart == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.cfg.HealthTimeout, errUnhealthy)
	defer cancel()
	if err := m.Restart(ctx, u.Notice.Version); err != nil {
		return fmt.Errorf("module %s does not work with the new files: %w", m.Name, err)
	}
	return nil
}

// installed is the version of a module that does not tell it itself: that of its
// folder, or what the factory installed.
func (a *Agent) installed(m Module) string {
	if m.Folder == nil {
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

// keepFiles removes what is not needed any more. Files that cannot be removed make
// no good update a bad one.
func (a *Agent) keepFiles(_ context.Context, u *Update) error {
	a.versions[u.Notice.Module] = u.Notice.Version
	if err := a.folder(u).prune(u.Notice.Version); err != nil {
		a.cfg.Log.Warn("old files could not be removed", "module", u.Notice.Module, "err", err)
	}
	return nil
}

// leaveFiles puts the link back to the release that worked before, and has it taken
// up again. When even that fails the way goes on: the failure is reported.
func (a *Agent) leaveFiles(ctx context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	if err := m.Folder.use(u.Kept); err != nil {
		return err
	}
	if m.Restart == nil || u.Kept == "" {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.cfg.HealthTimeout, errUnhealthy)
	defer cancel()
	return m.Restart(ctx, u.Kept)
}

// settleFiles removes the release that did not work.
func (a *Agent) settleFiles(_ context.Context, u *Update) error {
	m, _ := a.module(u.Notice.Module)
	f := m.Folder
	a.versions[m.Name] = a.installed(m)
	if a.versions[m.Name] == u.Notice.Version {
		return nil // it could not be left: it stays, and its version is reported
	}
	if err := f.prune(u.Kept); err != nil {
		a.cfg.Log.Warn("files could not be removed", "module", u.Notice.Module, "err", err)
	}
	return nil
}
