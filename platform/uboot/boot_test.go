package uboot

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/forgetful"
)

// sign gives a copy the right checksum.
func sign(raw []byte, redundant bool) {
	order(false).PutUint32(raw, crc32.ChecksumIEEE(raw[header(redundant):]))
}

// memory is an environment on a made-up disk, with the machine around it.
func memory(t testing.TB, s setup) (*copies, *machine) {
	t.Helper()
	m := newMachine(t, s, forgetful.Everything)
	c, err := locate(m.disk, m.kindOf, m.lines)
	if err != nil {
		t.Fatal(err)
	}
	return c, m
}

// started is a Boot in a system that runs slot.
func started(t testing.TB, c *copies, slot, text string) *Boot {
	t.Helper()
	b, err := newOn(c, Config{Slots: names, Running: func() (string, error) { return slot, nil }, Default: text})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spoil changes a byte of copy i.
func spoil(t testing.TB, c *copies, i int) {
	t.Helper()
	raw, err := c.places[i].load()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	raw[100] ^= 1
	if err := c.places[i].store(raw); err != nil {
		t.Fatal(err)
	}
}

// TestB1: never initialised, or both copies bad, is an error everywhere, and
// Check finds it.
func TestB1(t *testing.T) {
	for _, s := range setups() {
		for name, damage := range map[string]func(*copies, int){
			"spoiled": func(c *copies, i int) { spoil(t, c, i) },
			"erased":  func(c *copies, i int) { c.places[i].store(make([]byte, envSize)) },
		} {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				c, m := memory(t, s)
				b := started(t, c, "a", "")
				for i := range c.places {
					damage(c, i)
				}
				m.disk.CutAt(0)
				for what, err := range map[string]error{"Try": b.Try("b"), "Try kept": b.Try("a"), "Keep": b.Keep(), "Check": b.Check(), "Mend": b.Mend()} {
					if !errors.Is(err, ErrDamaged) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if n := m.disk.Steps(); n != 0 {
					t.Errorf("something was written: %d steps", n)
				}
			})
		}
	}
}

// TestB1Mended: a default environment makes it good again.
func TestB1Mended(t *testing.T) {
	for _, s := range setups() {
		t.Run(s.name, func(t *testing.T) {
			c, m := memory(t, s)
			for i := range c.places {
				spoil(t, c, i)
			}
			b := started(t, c, "b", "bootcmd=run it\n# text\notad_trial=a\n")
			if err := errors.Join(b.Mend(), b.Check(), b.Check(), b.Mend()); err != nil {
				t.Fatal(err)
			}
			e, err := open(c)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"bootcmd": "run it", varSlot: "b", varTrial: "", varTrying: "0", varCanary: ""} {
				if got, _ := e.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			m.PowerOn(t)
			if m.running != "b" {
				t.Errorf("runs %s", m.running)
			}
		})
	}
}

// TestB1NotSetUp: a valid environment that otad was never set up in.
func TestB1NotSetUp(t *testing.T) {
	for name, change := range map[string]map[string]string{
		"no slot":      {varSlot: ""},
		"unknown slot": {varSlot: "c"},
		"no flag":      {varTrying: ""},
		"odd flag":     {varTrying: "yes"},
		"no count":     {varTrying: "1", varCount: ""},
		"odd limit":    {varTrying: "1", varLimit: "-1"},
	} {
		c, _ := memory(t, setups()[1])
		e, err := open(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.Set(change), e.Save()); err != nil {
			t.Fatal(err)
		}
		b := started(t, c, "a", "")
		for what, err := range map[string]error{"Try": b.Try("b"), "Keep": b.Keep(), "Check": b.Check()} {
			if err == nil {
				t.Errorf("%s: %s accepted it", name, what)
			}
		}
		if err := errors.Join(b.Mend(), b.Check(), b.Try("b")); err != nil {
			t.Errorf("%s: mended: %v", name, err)
		}
		if e, err = open(c); err != nil {
			t.Fatal(err)
		}
		if mine, _ := e.Get("mine"); mine != "yes" {
			t.Errorf("%s: the other variables are gone", name)
		}
	}
}

// TestB2: the other copy is used, Check finds the bad one, and the next write,
// or Mend, repairs it.
func TestB2(t *testing.T) {
	for _, s := range setups() {
		for bad := range 2 {
			for how, repair := range map[string]func(*Boot) error{"Mend": (*Boot).Mend, "Try": func(b *Boot) error { return b.Try("b") }, "Keep": (*Boot).Keep} {
				c, m := memory(t, s)
				b := started(t, c, "a", "")
				if err := errors.Join(b.Try("b"), b.Try("a"), b.Mend(), b.Check()); err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				spoil(t, c, bad)
				if err := b.Check(); err == nil || !strings.Contains(err.Error(), c.names[bad]) {
					t.Errorf("%s, copy %d: Check: %v", s.name, bad, err)
				}
				if err := errors.Join(repair(b), b.Check()); err != nil {
					t.Errorf("%s, copy %d, %s: %v", s.name, bad, how, err)
				}
				if m.PowerOn(t) == nil || (m.running == "b") != (how == "Try") {
					t.Errorf("%s, copy %d, %s: runs %s", s.name, bad, how, m.running)
				}
			}
		}
	}
}

// TestPlainFileOfAnotherTool: fw_setenv knows nothing of the second file. It
// must not come up later when the first one is damaged.
func TestPlainFileOfAnotherTool(t *testing.T) {
	c, _ := memory(t, setups()[0])
	b := started(t, c, "a", "")
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	raw := simEncode(map[string]string{varSlot: "a", varTrying: "0"}, 0, false)
	if err := c.places[0].store(raw); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "uboot.bak: it is not the same") {
		t.Errorf("Check: %v", err)
	}
	if err := errors.Join(b.Keep(), b.Check()); err != nil {
		t.Error(err)
	}
}

func TestSavedBySomebodyElse(t *testing.T) {
	c, _ := memory(t, setups()[1])
	first, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	second, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Set(map[string]string{"x": "1"}), second.Set(map[string]string{"y": "1"}), first.Save()); err != nil {
		t.Fatal(err)
	}
	if err := second.Save(); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("a change was overwritten: %v", err)
	}
}

// TestNothingToDo: what is so already is not written again.
func TestNothingToDo(t *testing.T) {
	for _, s := range setups()[1:] {
		c, m := memory(t, s)
		b := started(t, c, "a", "")
		if err := b.Try("b"); err != nil {
			t.Fatal(err)
		}
		before, err := c.places[0].load()
		if err != nil {
			t.Fatal(err)
		}
		m.disk.CutAt(0)
		if err := b.Try("b"); err != nil {
			t.Fatal(err)
		}
		after, _ := c.places[0].load()
		if n := m.disk.Steps(); n > 2 || string(before) != string(after) { // syncs of what is there
			t.Errorf("%s: %d steps", s.name, n)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "fw_env.config")
	running := func() (string, error) { return "a", nil }
	good := Config{EnvConfig: config, Slots: names, Running: running}
	if _, err := New(good); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("no config: %v", err)
	}
	write(t, config, []byte("/boot/x 0 4000\n"))
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]func(*Config){
		"one slot":       func(c *Config) { c.Slots = []string{"a"} },
		"the same slot":  func(c *Config) { c.Slots = []string{"a", "a"} },
		"a slot of NUL":  func(c *Config) { c.Slots = []string{"a", "b\x00"} },
		"no running":     func(c *Config) { c.Running = nil },
		"attempts":       func(c *Config) { c.Attempts = MaxAttempts + 1 },
		"minus attempts": func(c *Config) { c.Attempts = -1 },
	} {
		bad := good
		c(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	write(t, config, []byte("/dev/null 0 4000\n"))
	if _, err := New(good); err == nil || !strings.Contains(err.Error(), "line 1: /dev/null: a character device") {
		t.Errorf("/dev/null: %v", err)
	}
	write(t, config, []byte("\n"+dir+" 0 4000\n"))
	if _, err := New(good); err == nil || !strings.Contains(err.Error(), "line 2: ") {
		t.Errorf("a directory: %v", err)
	}
	write(t, config, []byte(dir+"/uboot.bak 0 4000\n"))
	if _, err := New(good); err == nil {
		t.Error("a file that is its own copy was accepted")
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("New made something: %v", list)
	}
}

// TestRunningIsKnown: a slot that is not configured is no answer.
func TestRunningIsKnown(t *testing.T) {
	c, _ := memory(t, setups()[1])
	b := started(t, c, "c", "")
	_, err := b.Running()
	for what, err := range map[string]error{"Running": err, "Keep": b.Keep(), "Mend": b.Mend()} {
		if !errors.Is(err, platform.ErrNoSlot) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestW4KilledThenCut: a process is killed in a write, another one goes on with
// what the kernel shows it, and then the power is cut. What the second one
// found must have been made durable before the other copy was torn up.
func TestW4KilledThenCut(t *testing.T) {
	for _, s := range setups() {
		for killed := 1; killed < 40; killed++ {
			for cut := 1; cut < 40; cut++ {
				for want, verb := range map[string]func(*Boot) error{"a": (*Boot).Keep, "b": func(b *Boot) error { return b.Try("b") }} {
					killedThenCut(t, s, killed, cut, want, verb)
				}
			}
		}
	}
}

func killedThenCut(t *testing.T, s setup, killed, cut int, want string, verb func(*Boot) error) {
	c, m := memory(t, s)
	m.disk.CutAt(killed)
	err := started(t, c, "a", "").Try("b")
	if !m.disk.Dead() {
		return // the process got through
	}
	if err == nil {
		t.Fatalf("%s: killed at step %d, and Try says it is done", s.name, killed)
	}
	m.disk.Restart()
	m.disk.CutAt(cut)
	if c, err = locate(m.disk, m.kindOf, m.lines); err != nil {
		t.Fatal(err)
	}
	choose := forgetful.Choice(rand.New(rand.NewPCG(uint64(killed), uint64(cut))).IntN)
	if err = verb(started(t, c, "a", "")); err == nil {
		choose = forgetful.Nothing
	}
	m.disk.PowerOn(choose)
	if m.PowerOn(t); m.running != want && err == nil {
		t.Fatalf("%s: killed at %d, cut at %d: runs %s, want %s", s.name, killed, cut, m.running, want)
	}
}
