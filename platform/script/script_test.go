package script

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/platformtest"
)

var names = []string{"a", "b"}

// machine is a boot loader that testdata/loader.sh keeps in files. A cut ends
// the script before a step; what was written and not synced is still there,
// since the kernel goes on: the script's order of write, sync, rename and sync
// is the one of durable.WriteFile, which is proved on a disk that forgets.
type machine struct{ dir string }

func newMachine(t testing.TB) machine {
	t.Helper()
	m := machine{t.TempDir()}
	text, err := os.ReadFile("testdata/loader.sh")
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "loader.sh", string(text), 0o755)
	m.write(t, "state", "a - 0 a\n", 0o644)
	return m
}

func (m machine) write(t testing.TB, name, text string, perm os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), perm); err != nil {
		t.Fatal(err)
	}
}

func (m machine) boot(t testing.TB) *Boot {
	t.Helper()
	b, err := New(Config{Program: filepath.Join(m.dir, "loader.sh"), Slots: names, Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	os.Remove(filepath.Join(m.dir, "off"))
	b := m.boot(t)
	if _, err := b.run("poweron"); err != nil {
		if !m.Off() {
			t.Fatal(err)
		}
		return nil
	}
	return b
}

func (m machine) CutAt(n int) {
	os.Remove(filepath.Join(m.dir, "off"))
	_ = os.WriteFile(filepath.Join(m.dir, "cut"), []byte(strconv.Itoa(n)+"\n"), 0o600)
	if n == 0 {
		os.Remove(filepath.Join(m.dir, "cut"))
	}
}

func (m machine) Off() bool {
	_, err := os.Stat(filepath.Join(m.dir, "off"))
	return err == nil
}

func TestBoot(t *testing.T) {
	t.Parallel()
	platformtest.TestBoot(t, platformtest.Harness{
		Kept: "a", Spare: "b", Attempts: 2,
		New: func(t testing.TB) platformtest.Machine { return newMachine(t) },
	})
}

// program makes a Boot of a shell script that gets the verb as $1.
func writeProgram(t testing.TB, text string, timeout time.Duration) (*Boot, string) {
	t.Helper()
	m := machine{t.TempDir()}
	// A test beside this one that forks now would hold the file open for writing, and a
	// program that somebody writes to cannot be run.
	syscall.ForkLock.RLock()
	m.write(t, "program", "#!/bin/sh\ncd \"${0%/*}\"\n"+text, 0o755)
	syscall.ForkLock.RUnlock()
	b, err := New(Config{Program: filepath.Join(m.dir, "program"), Slots: names, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return b, m.dir
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`echo a`:      "",
		`echo "  b "`: "",
		`exit 3`:      "exit status 3",
		`echo one >&2; echo "no disk" >&2; exit 1`: "exit status 1: no disk",
		`:`:                    "no such slot",
		`echo c`:               "no such slot",
		`echo a; echo b`:       "no such slot",
		`kill -9 $$`:           "signal: killed",
		`yes`:                  "not done within",
		`yes | head -c 100000`: "more than 4096 bytes",
		`yes a >&2`:            "not done within",
		`sleep 60 & echo a`:    "has left something running",
	} {
		b, _ := writeProgram(t, text, 500*time.Millisecond)
		if strings.HasPrefix(text, "sleep") {
			b.cfg.Timeout = 20 * time.Second
		}
		_, err := b.Running()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestW6: a program that hangs is ended with all that it has started.
func TestW6(t *testing.T) {
	t.Parallel()
	b, dir := writeProgram(t, "sleep 1000 & echo $! >child; wait", time.Second)
	start := time.Now()
	if _, err := b.Running(); err == nil || !strings.Contains(err.Error(), "not done within 1s") {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
	text, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 { // it may still be on its way out
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	t.Error("its child lives")
}

// TestEnvironment: what the package says, and nothing of ours.
func TestEnvironment(t *testing.T) {
	t.Setenv("OTAD_DEVICE_SECRET", "secret")
	b, dir := writeProgram(t, `env >env; pwd -P >cwd; echo "$# $1 ${2-}" >>calls; cat >input; [ "$1" != running ] || echo a`, 0)
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	got := read(t, dir, "env")
	for _, want := range []string{"LC_ALL=C\n", "OTAD_SLOTS=a b\n", "OTAD_ATTEMPTS=3\n", "PATH=/usr/local/sbin:"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in the environment", want)
		}
	}
	if strings.Contains(got, "SECRET") || strings.Contains(got, "HOME=") {
		t.Errorf("otad's own environment was given away:\n%s", got)
	}
	if calls := read(t, dir, "calls"); calls != "1 running \n2 try b\n1 running \n" {
		t.Errorf("calls %q", calls)
	}
	if read(t, dir, "input") != "" {
		t.Error("there was something on standard input")
	}
}

func read(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadBack: a program that takes the next slot for the running one is found
// out, and so is one that cannot answer any more.
func TestReadBack(t *testing.T) {
	for text, want := range map[string]string{
		`case $1 in running) cat slot 2>/dev/null || echo a;; *) echo b >slot;; esac`: "mixes up",
		`case $1 in running) [ ! -e broken ] && echo a;; *) : >broken;; esac`:         "exit status 1",
	} {
		for verb, do := range map[string]func(*Boot) error{"Try": func(b *Boot) error { return b.Try("b") }, "Keep": (*Boot).Keep, "Mend": (*Boot).Mend} {
			b, _ := writeProgram(t, text, 0)
			if err := b.Check(); err != nil {
				t.Errorf("Check: %v", err)
			}
			if err := do(b); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", verb, err, want)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	m := newMachine(t)
	good := Config{Program: filepath.Join(m.dir, "loader.sh"), Slots: names}
	other := filepath.Join(m.dir, "other")
	m.write(t, "other", "#!/bin/sh\n", 0o644)
	for name, change := range map[string]func(*Config){
		"relative":       func(c *Config) { c.Program = "loader.sh" },
		"missing":        func(c *Config) { c.Program += "x" },
		"a directory":    func(c *Config) { c.Program = m.dir },
		"not executable": func(c *Config) { c.Program = other },
		"one slot":       func(c *Config) { c.Slots = names[:1] },
		"an option":      func(c *Config) { c.Slots = []string{"a", "-b"} },
		"a space":        func(c *Config) { c.Slots = []string{"a", "b c"} },
		"twice":          func(c *Config) { c.Slots = []string{"a", "a"} },
		"attempts":       func(c *Config) { c.Attempts = -1 },
		"time":           func(c *Config) { c.Timeout = -1 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := os.Chmod(good.Program, 0o775); err != nil {
		t.Fatal(err)
	}
	if _, err := New(good); err == nil || !strings.Contains(err.Error(), "go-w") {
		t.Errorf("a program that others can change: %v", err)
	}
}

// TestCheck finds what was changed after New.
func TestCheck(t *testing.T) {
	m := newMachine(t)
	b := m.boot(t)
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	m.write(t, "state", "a - 0 c\n", 0o644)
	if err := b.Check(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("an unknown slot: %v", err)
	}
	if err := os.Remove(filepath.Join(m.dir, "loader.sh")); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "there is no") {
		t.Errorf("no program: %v", err)
	}
}
