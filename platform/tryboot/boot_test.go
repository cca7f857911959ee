package tryboot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/internal/rewrite"
	"github.com/leapslot/ota/platform/platformtest"
)

var _ platform.Checkable = (*Boot)(nil)
var _ platform.RebootArgument = (*Boot)(nil)

const filePath = "/boot/first/autoboot.txt"

var (
	names   = []string{"a", "b"}
	example = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
)

// machine is a Raspberry Pi on a made-up disk that forgets, tears and reorders
// what was not synced. Its firmware is played in Go after the description of
// autoboot.txt by its makers: the real one is closed and runs on their boards
// only, and no lab without a board proves it.
type machine struct {
	disk    *forgetful.Disk
	choose  forgetful.Choice
	boot    *Boot // of the system that runs
	running string
	starts  int
}

func newMachine(t testing.TB, choose forgetful.Choice, file string) *machine {
	t.Helper()
	m := &machine{disk: forgetful.New(), choose: choose}
	if err := rewrite.Replace(m.disk, filePath, filePath+".x", []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	m.disk.CutAt(0)
	return m
}

// open is the agent's process: it may end and be started again.
func (m *machine) open(t testing.TB) *Boot {
	t.Helper()
	b, err := newOn(m.disk, Config{
		Path: filePath, Slots: names, Dir: "/run/otad",
		Running: func() (string, error) { return m.running, nil },
		BootID:  func() (string, error) { return "start " + strconv.Itoa(m.starts), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// PowerOn restarts the machine as the agent does, saying what there is to say;
// or it starts it after a power cut, when nobody said anything.
func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	said := ""
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
	} else if m.boot != nil {
		var err error
		if said, err = m.open(t).RebootArgument(); err != nil {
			if m.disk.Dead() {
				return nil
			}
			t.Fatal(err)
		}
	}
	return m.start(t, said)
}

func (m *machine) start(t testing.TB, said string) platform.Boot {
	t.Helper()
	m.starts++
	m.running = map[int]string{2: "a", 3: "b"}[m.firmware(t, said == "0 tryboot")]
	m.boot = m.open(t)
	return m.boot
}

// firmware reads autoboot.txt: the settings under [all], and with the flag those
// under [tryboot] too; the last one counts.
func (m *machine) firmware(t testing.TB, flag bool) int {
	t.Helper()
	data, err := rewrite.Read(m.disk, filePath, 512)
	if err != nil {
		t.Fatal(err)
	}
	on, settings := true, map[string]string{}
	for _, l := range strings.Fields(string(data)) {
		if l[0] == '[' {
			on = l == "[all]" || l == "[tryboot]" && flag
		} else if k, v, _ := strings.Cut(l, "="); on {
			settings[k] = v
		}
	}
	if flag && settings["tryboot_a_b"] != "1" {
		t.Fatalf("starts with tryboot.txt: %q", data)
	}
	n, err := strconv.Atoi(settings["boot_partition"])
	if err != nil {
		t.Fatalf("%v: %q", err, data)
	}
	return n
}

func (m *machine) CutAt(n int) {
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
		m.boot = nil
	}
	m.disk.CutAt(n)
}

func (m *machine) Off() bool { return m.disk.Dead() }

func choices() map[string]func() forgetful.Choice {
	c := map[string]func() forgetful.Choice{
		"nothing":    func() forgetful.Choice { return forgetful.Nothing },
		"everything": func() forgetful.Choice { return forgetful.Everything },
	}
	for seed := range uint64(10) {
		c[fmt.Sprintf("random%d", seed)] = func() forgetful.Choice { return rand.New(rand.NewPCG(seed, 7)).IntN }
	}
	return c
}

func TestBoot(t *testing.T) {
	for name, choose := range choices() {
		t.Run(name, func(t *testing.T) {
			platformtest.TestBoot(t, platformtest.Harness{
				Kept: "a", Spare: "b", Attempts: Attempts,
				New: func(t testing.TB) platformtest.Machine { return newMachine(t, choose(), example) },
			})
		})
	}
}

// TestB11PowerCutBeforeTheRestart: the trial that was asked for is not started,
// and the next plain restart does not start it either.
func TestB11PowerCutBeforeTheRestart(t *testing.T) {
	m := newMachine(t, forgetful.Everything, example)
	m.PowerOn(t)
	if err := m.boot.Try("b"); err != nil {
		t.Fatal(err)
	}
	if said, err := m.open(t).RebootArgument(); said != Argument || err != nil {
		t.Errorf("a new process says %q, %v", said, err)
	}
	m.disk.PowerOn(m.choose)
	m.start(t, "")
	for range 2 {
		if said, err := m.boot.RebootArgument(); said != "" || err != nil || m.running != "a" {
			t.Errorf("in %s, says %q, %v", m.running, said, err)
		}
		m.PowerOn(t)
	}
	if err := m.boot.Try("b"); err != nil {
		t.Fatal(err)
	}
	if m.PowerOn(t); m.running != "b" {
		t.Errorf("tried again, runs %s", m.running)
	}
	if said, err := m.boot.RebootArgument(); said != "" || err != nil {
		t.Errorf("on trial it says %q, %v", said, err)
	}
}

// TestW14InPlace: Try and Keep change no name in the FAT directory, whatever
// else is in the file.
func TestW14InPlace(t *testing.T) {
	dir := t.TempDir()
	path, running := filepath.Join(dir, "autoboot.txt"), "a"
	file := "# ours\r\n[all]\r\ntryboot_a_b=1\r\nboot_partition=2 \r\n[tryboot]\r\nboot_partition=3\r\n[pi5]\r\nother=1"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Path: path, Slots: names, Dir: t.TempDir(), Running: func() (string, error) { return running, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Try("b"), b.Check()); err != nil {
		t.Fatal(err)
	}
	running = "b"
	if err := errors.Join(b.Keep(), b.Check()); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("another file, %v", err)
	}
	want := strings.NewReplacer("=2", "=3", "=3", "=2").Replace(file)
	if got, err := os.ReadFile(path); string(got) != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left %v", list)
	}
}

// TestTryNamesTheSlot: [tryboot] need not be right before.
func TestTryNamesTheSlot(t *testing.T) {
	for _, was := range []string{"=2", "=7"} {
		m := newMachine(t, forgetful.Everything, strings.Replace(example, "=3", was, 1))
		m.PowerOn(t)
		if err := m.boot.Try("b"); err != nil {
			t.Fatal(err)
		}
		if m.PowerOn(t); m.running != "b" {
			t.Errorf("[tryboot] was %s, runs %s", was, m.running)
		}
	}
}

// TestThreeSlots: numbers of different lengths move what stands behind them,
// and the file is then replaced.
func TestThreeSlots(t *testing.T) {
	m := newMachine(t, forgetful.Everything, strings.Replace(example, "=3", "=9", 1))
	running := "a"
	b, err := newOn(m.disk, Config{
		Path: filePath, Slots: []string{"a", "b", "c"}, Partitions: map[string]int{"a": 2, "b": 9, "c": 10}, Dir: "/run",
		Running: func() (string, error) { return running, nil },
		BootID:  func() (string, error) { return "x", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ try, kept, tried string }{{"c", "c", "a"}, {"b", "b", "c"}, {"a", "a", "b"}} {
		running = c.try
		if err := errors.Join(b.Try(c.try), b.Keep(), b.Keep()); err != nil {
			t.Fatal(err)
		}
		a, err := b.load()
		if b.slotOf(a.all.number) != c.kept || b.slotOf(a.try.number) != c.tried || err != nil {
			t.Errorf("kept %s: %q, %v", c.kept, a.data, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]Config{
		"no file":            {Slots: names, Dir: dir},
		"no directory":       {Path: filePath, Slots: names},
		"one slot":           {Path: filePath, Slots: names[:1], Dir: dir},
		"twice":              {Path: filePath, Slots: []string{"a", "a"}, Dir: dir},
		"no name":            {Path: filePath, Slots: []string{"a", ""}, Dir: dir},
		"partition missing":  {Path: filePath, Slots: names, Dir: dir, Partitions: map[string]int{"a": 2}},
		"the same partition": {Path: filePath, Slots: names, Dir: dir, Partitions: map[string]int{"a": 2, "b": 2}},
		"partition too big":  {Path: filePath, Slots: names, Dir: dir, Partitions: map[string]int{"a": 2, "b": MaxPartition + 1}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("New made %v", list)
	}
}

func TestRunningUnknown(t *testing.T) {
	m := newMachine(t, forgetful.Nothing, example)
	m.running = "zz"
	if _, err := m.open(t).Running(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Running: %v", err)
	}
	if err := m.open(t).Keep(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Keep: %v", err)
	}
}

func TestFirmwareFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "partition")
	for _, c := range []struct {
		file string
		n    int
		flag bool
		good bool
	}{
		{"\x00\x00\x00\x03", 3, true, true},
		{"\x00\x00\x00\x80", 128, true, true},
		{"\x00\x00\x00\x00", 0, false, false},
		{"\x00\x00\x00\x81", 0, true, false},
		{"\x80\x00\x00\x00", 0, true, false},
		{"\x00\x00\x03", 0, false, false},
		{"\x00\x00\x00\x00\x03", 0, false, false},
		{"", 0, false, false},
	} {
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := Partition(path); n != c.n || (err == nil) != c.good {
			t.Errorf("%x: partition %d, %v", c.file, n, err)
		}
		if flag, err := Flagged(path); flag != c.flag || (err == nil) != (len(c.file) == 4) {
			t.Errorf("%x: flag %v, %v", c.file, flag, err)
		}
	}
	if _, err := Partition(path + "x"); err == nil {
		t.Error("read what is not there")
	}
}
