package main

import (
	"github.com/leapslot/ota/agent"
)

// left is what the service left on the disk.
type left struct {
	status  agent.Status
	history []agent.Result
}

// readDisk looks at what the service left. It changes nothing.
func (a *app) readDisk() (left, error) {
	s, err := a.load()
	if err != nil {
		return left{}, err
	}
	return s.look()
}

// look is readDisk for settings that are there.
func (s *settings) look() (l left, err error) {
	boot, err := openBoot(&s.config)
	if err != nil {
		return l, err
	}
	running, err := boot.Running()
	if err != nil {
		return l, exitf(exitFailure, "boot", "%s: %w (see otad doctor)", s.Boot.Kind, err)
	}
	store, err := openRecord(s.StateDir)
	if err != nil {
		return l, err
	}
	l.status, l.history, err = agent.Inspect(store, running, s.system())
	if err != nil {
		return l, fileError(exitFailure, "record", s.StateDir, err, "see otad doctor")
	}
	return l, nil
}

// system is the module that lives in the slots.
func (c *config) system() agent.Module {
	for _, m := range c.Module {
		if m.Installer == "" || m.Installer == "ab" {
			return agent.Module{Name: m.Name, Version: m.Version}
		}
	}
	return agent.Module{}
}
