package grub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/internal/rewrite"
	"github.com/leapslot/ota/platform/platformtest"
)

var _ platform.Checkable = (*Boot)(nil)

const envPath = "/boot/grub/grubenv"

var names = []string{"a", "b"}

// prepared is what grub-editenv makes for a new device: create, set
// otad_slot=a.
func prepared(t testing.TB, extra ...string) []byte {
	t.Helper()
	var b block
	b.lines = []line{{raw: warning}}
	for _, e := range append(extra, "otad_slot=a") {
		name, value, _ := strings.Cut(e, "=")
		b.set(name, value)
	}
	data, err := b.encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// machine is GRUB on a made-up disk that forgets, tears and reorders what was
// not synced. Its PowerOn plays packaging/grub/otad.cfg in Go; the real script
// is run by the real GRUB in TestBootOfTheRealGRUB, and on a PC in the lab.
type machine struct {
	disk    *forgetful.Disk
	choose  forgetful.Choice
	running string
}

func newMachine(t testing.TB, choose forgetful.Choice, data []byte) *machine {
	t.Helper()
	m := &machine{disk: forgetful.New(), choose: choose}
	if err := rewrite.Replace(m.disk, envPath, envPath+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	m.disk.CutAt(0)
	return m
}

func (m *machine) boot(t testing.TB, attempts int) *Boot {
	t.Helper()
	b, err := newOn(m.disk, Config{
		Path: envPath, Slots: names, Attempts: attempts,
		Running: func() (string, error) { return m.running, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
	}
	if m.running = m.script(t); m.running == "" {
		return nil
	}
	return m.boot(t, 0)
}

// script is otad.cfg. Like GRUB it changes the one digit in the sector where it
// finds it.
func (m *machine) script(t testing.TB) string {
	t.Helper()
	data, err := rewrite.Read(m.disk, envPath, Size)
	if err != nil {
		t.Fatal(err)
	}
	k, err := parse(data)
	if err != nil {
		t.Fatalf("%v: %q", err, data)
	}
	start, _ := k.get("otad_slot")
	if start == "" {
		start = "a"
	}
	trial, _ := k.get("otad_trial")
	left, _ := k.get("otad_left")
	if n, err := strconv.Atoi(left); trial == "" || err != nil || n < 1 || n > 9 {
		return start
	}
	next := strings.Replace(string(data), "otad_left="+left, "otad_left="+string(left[0]-1), 1)
	switch err := rewrite.InPlace(m.disk, envPath, data, []byte(next)); {
	case err == nil:
		return trial
	case m.disk.Dead():
		return ""
	default:
		return start
	}
}

func (m *machine) CutAt(n int) {
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
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
				Kept: "a", Spare: "b", Attempts: DefaultAttempts,
				New: func(t testing.TB) platformtest.Machine {
					return newMachine(t, choose(), prepared(t, "saved_entry=0", `odd=a\b`))
				},
			})
		})
	}
}

// TestW14OthersVariables: what GRUB and its tools keep in the block is still
// there after a cut at any step, and Try and Keep change one sector only.
func TestW14OthersVariables(t *testing.T) {
	others := []string{"saved_entry=gnulinux-simple", "long=" + strings.Repeat("x", 600), "last=1"}
	for name, choose := range choices() {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				m := newMachine(t, choose(), prepared(t, others...))
				// Once, so that ours are in their place: that crosses sectors.
				m.running = "a"
				if err := m.boot(t, 0).Keep(); err != nil {
					t.Fatal(err)
				}
				m.CutAt(n)
				err := errors.Join(m.boot(t, 0).Try("b"), m.boot(t, 0).Keep(), m.boot(t, 0).Try("b"))
				cut := m.Off()
				m.CutAt(0)
				m.disk.PowerOn(m.choose)
				e, lerr := m.boot(t, 0).load()
				if lerr != nil {
					t.Fatalf("cut at step %d: %v", n, lerr)
				}
				for _, o := range others {
					name, want, _ := strings.Cut(o, "=")
					if got, _ := e.block.get(name); got != want {
						t.Fatalf("cut at step %d: %s is %q", n, name, got)
					}
				}
				if !cut {
					if err != nil || n < 6 {
						t.Fatalf("%d steps, %v", n-1, err)
					}
					return
				}
			}
		})
	}
}

func TestB9TooFull(t *testing.T) {
	// 14 bytes of filling: our three variables in their space do not fit.
	m := newMachine(t, forgetful.Everything, prepared(t, "x="+strings.Repeat("x", 900)))
	before, _ := rewrite.Read(m.disk, envPath, Size)
	b := m.boot(t, 0)
	if err := b.Try("b"); err == nil || !strings.Contains(err.Error(), "GRUB takes 1024") {
		t.Errorf("Try: %v", err)
	}
	if b.Check() == nil {
		t.Error("Check finds nothing")
	}
	if after, _ := rewrite.Read(m.disk, envPath, Size); string(after) != string(before) {
		t.Error("a refused write changed the environment")
	}
}

func TestB9LongNames(t *testing.T) {
	run := func() (string, error) { return "a", nil }
	long := strings.Repeat("n", MaxName)
	for _, slots := range [][]string{{"a", long + "n"}, {"a", ""}, {"a", "b\n"}, {"a", "b c"}, {"a", "a"}, {"a"}, {"a", "#"}, {"a", `b\`}} {
		if _, err := New(Config{Slots: slots, Running: run}); err == nil {
			t.Errorf("slots %q accepted", slots)
		}
	}
	// The longest fit before the first sector's half, whatever their order.
	m := newMachine(t, forgetful.Everything, prepared(t))
	b, err := newOn(m.disk, Config{Path: envPath, Slots: []string{"a", long, "m" + long[1:]}, Running: run})
	if err != nil {
		t.Fatal(err)
	}
	if end := len(signature) + len(warning) + b.width; end > rewrite.Sector/2 {
		t.Errorf("ours end at %d", end)
	}
	if err := b.Try(long); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	run := func() (string, error) { return "a", nil }
	for name, c := range map[string]Config{
		"attempts -1": {Slots: names, Attempts: -1, Running: run},
		"attempts 10": {Slots: names, Attempts: 10, Running: run},
		"no Running":  {Slots: names},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRunningUnknown(t *testing.T) {
	m := newMachine(t, forgetful.Nothing, prepared(t))
	m.running = "zz"
	if _, err := m.boot(t, 0).Running(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Running: %v", err)
	}
	if err := m.boot(t, 0).Keep(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Keep: %v", err)
	}
}
