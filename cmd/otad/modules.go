package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/platform/program"
)

const (
	// exitLater is what a hook says that wants to be asked again.
	exitLater = 21

	modulesName          = "modules" // in the state directory: packages that wait for a script
	defaultScriptTimeout = 10 * time.Minute
)

// agentModules makes the modules, and finds out that their places can be written.
func agentModules(c *config, here place) ([]agent.Module, error) {
	modules := make([]agent.Module, len(c.Module))
	for i, m := range c.Module {
		to := &modules[i]
		*to = agent.Module{Name: m.Name, Version: m.Version, ReadVersion: readVersion(m, here), ReportOnly: m.Installer == "none"}
		var err error
		at := fmt.Sprintf("module.%d.", i)
		switch m.Installer {
		case "files":
			if to.Folder, err = agent.NewFolder(m.Dir); err == nil {
				err = writable(at+"dir", m.Dir)
			}
		case "file":
			if to.File, err = agent.NewFile(m.Path, 0); err == nil {
				err = writable(at+"path", filepath.Dir(m.Path))
			}
		case "script":
			to.Script, err = newScript(c.StateDir, m)
		}
		var told *exitError
		if err != nil && !errors.As(err, &told) {
			err = exitf(exitConfig, at+"installer", "%w (make it, writable for the service)", err)
		}
		if err != nil {
			return nil, err
		}
		if len(m.Restart) > 0 {
			here := here
			here.module = m.Name
			to.Restart = func(ctx context.Context, version string) error {
				return hook(ctx, m.Restart, append(here.env(version), "OTAD_DIR="+m.Dir))
			}
		}
	}
	return modules, nil
}

func writable(key, dir string) error {
	if err := writeCanary(dir); err != nil {
		return exitf(exitConfig, key, "%s cannot be written: %w (mount it writable, or name another directory)", dir, reasonOf(err))
	}
	return nil
}

// newScript makes a module that a program installs: PROGRAM ARGUMENT... install PACKAGE.
func newScript(stateDir string, m moduleConfig) (*agent.Script, error) {
	timeout := time.Duration(m.Timeout)
	if timeout == 0 {
		timeout = defaultScriptTimeout
	}
	s, err := agent.NewScript(filepath.Join(stateDir, modulesName, m.Name), func(ctx context.Context, verb, pkg string, env []string) error {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %v", timeout))
		defer cancel()
		return hook(ctx, append(m.Script[:len(m.Script):len(m.Script)], verb, pkg), env)
	})
	if s != nil {
		s.CanRollback = m.Rollback
	}
	return s, err
}

// hook runs a command that may ask to be run again later.
func hook(ctx context.Context, argv, env []string) error {
	_, err := execute(ctx, argv, env)
	var exit *program.ExitError
	if errors.As(err, &exit) && exit.Code == exitLater {
		return fmt.Errorf("%w: %w", err, agent.ErrLater)
	}
	return err
}
