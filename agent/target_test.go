package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/verify"
)

// tool is a world whose module "tool" is one file: the agent replaces it, or a
// script does.
type tool struct {
	*world
	oldFile []byte // nil: there is none yet
	newFile []byte
	sick    bool // the new one does not work
	script  bool
	calls   []string // of the script and the restart command
	later   int      // how often the script says "later"
	fails   error    // of the script's install
}

func newTool(t *testing.T, script bool) *tool {
	t.Helper()
	s := &tool{newFile: appFile(5), oldFile: appFile(4), script: script}
	s.world = newWorld(t, s.newFile, nil, false)
	s.notice.Module = "tool"
	s.write("tool", s.oldFile)
	if err := os.Chmod(s.path("tool"), 0o751); err != nil {
		t.Fatal(err)
	}
	s.change = func(c *Config) {
		m := Module{Name: "tool", Version: oldVersion, Restart: s.restart}
		if script {
			target, err := NewScript(s.path("packages"), s.run)
			if err != nil {
				t.Fatal(err)
			}
			target.in.before, target.CanRollback, m.Script = s.cut.effect, true, target
		} else {
			file, err := NewFile(s.path("tool"), 0)
			if err != nil {
				t.Fatal(err)
			}
			file.in.before, m.File = s.cut.effect, file
		}
		c.Modules = append(c.Modules, m)
	}
	return s
}

func (s *tool) restart(_ context.Context, version string) error {
	s.cut.effect("restart")
	s.calls = append(s.calls, version)
	if s.sick && version == newVersion {
		return errors.New("it does not start")
	}
	return nil
}

// run is the program of a script: it keeps what is there, and puts the package in
// its place.
func (s *tool) run(_ context.Context, verb, pkg string, env []string) error {
	s.calls = append(s.calls, verb)
	if s.later--; s.later >= 0 {
		return fmt.Errorf("busy: %w", ErrLater)
	}
	for _, want := range []string{"OTAD_MODULE=tool", "OTAD_FROM=" + oldVersion, "OTAD_VERSION=" + newVersion, "OTAD_PACKAGE=" + pkg,
		fmt.Sprintf("OTAD_SIZE=%d", len(s.newFile)), "OTAD_DIFF=0"} {
		if !slices.Contains(env, want) {
			s.t.Errorf("%s: no %s in %q", verb, want, env)
		}
	}
	content := s.oldFile
	if verb == VerbInstall {
		var err error
		if content, err = os.ReadFile(pkg); err != nil {
			return err
		}
	}
	s.cut.effect(verb)
	if err := errors.Join(os.WriteFile(s.path("tool.new"), content, 0o751), os.Rename(s.path("tool.new"), s.path("tool"))); err != nil {
		return err
	}
	s.cut.effect(verb + " done")
	if verb == VerbInstall {
		return s.fails
	}
	return nil
}

// seen is what somebody sees who opens the file now.
func (s *tool) seen() string {
	s.t.Helper()
	b, err := os.ReadFile(s.path("tool"))
	switch {
	case os.IsNotExist(err) && s.oldFile == nil, err == nil && bytes.Equal(b, s.oldFile):
		return "old"
	case err == nil && bytes.Equal(b, s.newFile):
		return "new"
	}
	s.t.Errorf("neither the old file nor the new one is there, whole: %v; the cloud heard %v", err, s.cloud.heard())
	return "neither"
}

func (s *tool) liveSeen() {
	s.t.Helper()
	for s.boot() {
		if s.seen(); s.boots > 40 {
			s.t.Fatalf("after %d boots it is still not over; the cloud heard %v", s.boots, s.cloud.heard())
		}
	}
}

// rests says how it must have ended: with one file, and nothing beside it.
func (s *tool) rests(end, heard, what string) {
	s.t.Helper()
	if got := s.seen(); got != end {
		s.t.Errorf("%s: the %s file is there, wanted is the %s one", what, got, end)
	}
	if got := s.cloud.heard(); !slices.Contains(got, heard) || slices.Contains(got, newVersion) != (heard == "100") {
		s.t.Errorf("%s: the cloud heard %v, wanted %s", what, got, heard)
	}
	for _, left := range []string{".tool.otad", "packages/" + incomingName} {
		if _, err := os.Stat(s.path(left)); err == nil {
			s.t.Errorf("%s: %s is left", what, left)
		}
	}
	if st, err := os.Stat(s.path("tool")); err == nil && s.oldFile != nil && st.Mode() != 0o751 {
		s.t.Errorf("%s: its mode is %v", what, st.Mode())
	}
}

// A power cut before each outside effect, for a file and for a script, good and
// sick, where there was a file before and where there was none: what is seen is
// the old file or the new one, always, and what is said is what happened.
func TestPowerCutTargets(t *testing.T) {
	for _, script := range []bool{false, true} {
		for _, sick := range []bool{false, true} {
			for _, first := range []bool{false, true} {
				if first && script {
					continue
				}
				t.Run(fmt.Sprintf("script %v, sick %v, first %v", script, sick, first), func(t *testing.T) {
					end, heard := "new", "100"
					if sick {
						end, heard = "old", "-1"
					}
					world := func() *tool {
						s := newTool(t, script)
						s.sick = sick
						if first {
							s.oldFile = nil
							os.Remove(s.path("tool"))
						}
						return s
					}
					whole := world()
					whole.liveSeen()
					whole.rests(end, heard, "undisturbed")
					for k := 1; k <= whole.cut.n; k++ {
						s := world()
						s.cut.k = k
						s.liveSeen()
						s.rests(end, heard, fmt.Sprintf("cut %d of %d", k, whole.cut.n))
						os.RemoveAll(s.dir)
					}
				})
			}
		}
	}
}

// A script may say "later", and is asked again; any other error is -4, what it did
// is undone, and its reason is reported.
func TestScript(t *testing.T) {
	s := newTool(t, true)
	s.later = 3
	s.liveSeen()
	s.rests("new", "100", "later")
	if got := fmt.Sprint(s.calls); got != "[install install install install 2.0.0]" {
		t.Errorf("it was called %s", got)
	}
	s = newTool(t, true)
	s.fails = errors.New("the bootloader of the MCU does not answer")
	s.liveSeen()
	s.rests("old", "-4", "failed")
	if got := fmt.Sprint(s.calls); got != "[install rollback 1.0.0]" {
		t.Errorf("it was called %s", got)
	}
	rec, err := loadRecord(s.store())
	if err != nil || !strings.Contains(rec.History[0].Reason, "the bootloader of the MCU") {
		t.Errorf("%+v, %v", rec.History, err)
	}
}

// A script that cannot undo anything: the failure says so.
func TestScriptWithoutRollback(t *testing.T) {
	s := newTool(t, true)
	s.sick = true
	change := s.change
	s.change = func(c *Config) { change(c); c.Modules[1].Script.CanRollback = false }
	s.live()
	rec, err := loadRecord(s.store())
	if err != nil || !strings.Contains(rec.History[0].Reason, "could not be put back") {
		t.Errorf("%+v, %v", rec.History, err)
	}
}

// W6: a script that hangs is ended when its time is up, and so is a restart command.
func TestW6RestartHangs(t *testing.T) {
	s := newTool(t, false)
	change := s.change
	s.change = func(c *Config) {
		change(c)
		c.HealthTimeout = 50 * time.Millisecond
		c.Modules[1].Restart = func(ctx context.Context, version string) error {
			if version == oldVersion {
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}
	s.liveSeen()
	s.rests("old", "-1", "hanging")
}

// The version that was installed is remembered over restarts, and what says its
// version itself is asked.
func TestTargetVersions(t *testing.T) {
	s := newTool(t, false)
	s.liveSeen()
	s.live()
	if got := s.cloud.all(); !strings.HasSuffix(got, newVersion) {
		t.Errorf("after a restart: %s", got)
	}
	s = newTool(t, false)
	change := s.change
	s.change = func(c *Config) {
		change(c)
		c.Modules[1].ReadVersion = func(context.Context) (string, error) { return oldVersion, nil }
	}
	s.liveSeen()
	s.rests("old", "-1", "another version than announced")
}

// T6: the package of a script is exchanged between its verification and its use.
func TestT6ScriptPackageExchanged(t *testing.T) {
	for k := 1; ; k++ {
		s := newTool(t, true)
		s.cut.k = k
		if !s.boot() {
			t.Fatal("no cut ended at the switch")
		}
		rec, err := loadRecord(s.store())
		if err != nil || rec.Update == nil || rec.Update.Stage != Switch {
			continue
		}
		s.write("packages/incoming/tool", bytes.Repeat([]byte{1}, len(s.newFile)))
		s.calls = nil
		s.liveSeen()
		s.rests("old", "-4", "exchanged")
		if slices.Contains(s.calls, VerbInstall) {
			t.Errorf("it was given to the script: %v", s.calls)
		}
		return
	}
}

// T5: a manifest of one file holds for it.
func TestT5ManifestOfAFile(t *testing.T) {
	for _, bad := range []bool{false, true} {
		s := newTool(t, false)
		s.world.new = s.newFile
		s.signed(true, func(g *verify.Grant) {
			if bad {
				g.PackageSHA256 = otherSum
			}
		})
		s.liveSeen()
		if bad {
			s.rests("old", "-3", "bad")
		} else {
			s.rests("new", "100", "good")
		}
	}
}

// A bundle may be of any module.
func TestBundleOfAFile(t *testing.T) {
	for _, script := range []bool{false, true} {
		s := newTool(t, script)
		s.world.new = s.newFile
		s.signed(false, nil)
		s.asBundle()
		s.liveSeen()
		s.rests("new", "100", "from a bundle")
	}
}

// S1, S4: no room for the new file, or for the old one beside it: -4, and the old
// one stays.
func TestS4FileCannotBePut(t *testing.T) {
	s := newTool(t, false)
	change := s.change
	s.change = func(c *Config) {
		change(c)
		f := c.Modules[1].File
		f.in.before = func(what string) {
			if what == "rename" { // somebody has put a directory there
				if err := errors.Join(os.Remove(s.path("tool")), os.Mkdir(s.path("tool"), 0o700)); err != nil {
					t.Error(err)
				}
			}
			if what == "undo" {
				if err := os.Remove(s.path("tool")); err != nil && !errors.Is(err, syscall.ENOENT) {
					t.Error(err)
				}
			}
		}
	}
	s.liveSeen()
	s.rests("old", "-4", "a directory in its place")
}

func TestFileRefused(t *testing.T) {
	w := goodWorld(t)
	if err := os.Symlink("a.img", w.path("link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{w.path("link"), w.dir, w.path("none/file")} {
		if _, err := NewFile(path, 0); err == nil {
			t.Errorf("%s is no file", path)
		}
	}
	s := newTool(t, false)
	s.notice.IsDiff = true
	s.liveSeen()
	s.rests("old", "-1", "a patch")
	if _, err := NewScript(w.path("a.img"), s.run); err == nil {
		t.Error("a file is no directory")
	}
	if _, err := NewScript(w.dir, nil); err == nil {
		t.Error("nobody runs it")
	}
	c := w.config(w.machine(), "1")
	f, err := NewFile(w.path("a.img"), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Modules = append(c.Modules, Module{Name: "x", Version: "1", File: f, Folder: &Folder{}})
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "more than one place") {
		t.Errorf("%v", err)
	}
}
