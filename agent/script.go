package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/leapslot/ota"
)

// The verbs of a script.
const (
	VerbInstall  = "install"
	VerbRollback = "rollback"
)

// Script is a module that a program of the device's owner installs: a
// microcontroller behind a serial line, a container, a data set. The program gets
// the package as a file that was verified just before.
type Script struct {
	dir string
	in  inbox
	// Run runs the program with a verb and the path of the package, and with
	// OTAD_MODULE, OTAD_VERSION, OTAD_FROM (what ran before), OTAD_PACKAGE,
	// OTAD_SIZE and OTAD_DIFF ("1" for a patch, which the program applies itself) in
	// its environment. An error that wraps [ErrLater] has it asked again, for an
	// hour at most; any other one is the reason that is reported, -4. It bounds the
	// time of one run (W6). Since the power may be cut while it runs, install may be
	// called twice for one update, also when it went well.
	Run func(ctx context.Context, verb, pkg string, env []string) error
	// CanRollback says that the program knows the verb rollback, which undoes an
	// install that failed or whose result does not work. Without it what is
	// there stays, and the failure is reported.
	CanRollback bool
}

// NewScript gives a module whose packages wait in the directory dir, which is made
// when it is not there, for nobody but this user.
func NewScript(dir string, run func(ctx context.Context, verb, pkg string, env []string) error) (*Script, error) {
	if run == nil {
		return nil, errors.New("a script that nobody runs")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory of a module's packages: %w", err)
	}
	s := &Script{dir: dir, Run: run}
	s.in.dir = dir + "/" + incomingName
	return s, nil
}

func (s *Script) inbox() *inbox      { return &s.in }
func (s *Script) root() string       { return s.dir }
func (s *Script) came(string) string { return s.in.dir }
func (s *Script) stage(job) error    { return syncDirs(s.in.dir) }

func (s *Script) admit(n ota.Notice, _ string) error {
	if len(n.Files) != 1 {
		return fmt.Errorf("module %s takes packages of one file, this one has %d", n.Module, len(n.Files))
	}
	return nil
}

func (s *Script) put(ctx context.Context, j job) error {
	s.in.effect(VerbInstall)
	return s.run(ctx, VerbInstall, j)
}

func (s *Script) undo(ctx context.Context, j job) error {
	if !s.CanRollback {
		return errors.New("the installer cannot undo it")
	}
	s.in.effect(VerbRollback)
	return s.run(ctx, VerbRollback, j)
}

func (s *Script) run(ctx context.Context, verb string, j job) error {
	diff := "0"
	if j.diff {
		diff = "1"
	}
	pkg := s.in.at(j.file)
	return s.Run(ctx, verb, pkg, []string{"OTAD_MODULE=" + j.module, "OTAD_VERSION=" + j.version, "OTAD_FROM=" + j.from,
		"OTAD_PACKAGE=" + pkg, "OTAD_SIZE=" + strconv.FormatInt(j.size, 10), "OTAD_DIFF=" + diff})
}

func (s *Script) tidy(string) error {
	s.in.effect("tidy")
	return os.RemoveAll(s.in.dir)
}
