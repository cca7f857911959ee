package efi

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
)

// entryOf is the number of the slot's entry, or -1.
func (m *machine) entryOf(slot string) int {
	for n := range uint16(32) {
		if o, err := m.option(n); err == nil && o.Description == entryName+slot {
			return int(n)
		}
	}
	return -1
}

func (m *machine) drop(slot string) {
	delete(m.vars, entryVariable(uint16(m.entryOf(slot)))+"-"+Global)
}

// update updates to slot, which must start on trial, fall back, start on trial
// again, and stay when it is kept.
func update(t *testing.T, m *machine, from, to string) {
	t.Helper()
	b := m.open(t)
	for i, want := range []string{to, from, from} {
		if i == 0 {
			if err := b.Try(to); err != nil {
				t.Fatalf("Try(%s): %v", to, err)
			}
		}
		if b = m.PowerOn(t).(*Boot); m.running != want {
			t.Fatalf("boot %d on trial: runs %s, want %s", i+1, m.running, want)
		}
	}
	if err := b.Try(to); err != nil {
		t.Fatal(err)
	}
	b = m.PowerOn(t).(*Boot)
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if b = m.PowerOn(t).(*Boot); m.running != to {
			t.Fatalf("kept: runs %s, want %s", m.running, to)
		}
	}
	if err := b.Check(); err != nil {
		t.Fatalf("after the update: %v", err)
	}
	if _, there := m.vars[trialName+"-"+Own]; there {
		t.Fatal("the trial is noted for ever")
	}
}

// TestB4: firmware drops, reorders, renames and disables entries, in the old
// system or in the one on trial, and they are made again.
func TestB4(t *testing.T) {
	number := map[string]uint16{"a": 1, "b": 2}
	spoil := map[string]func(m *machine, kept, spare string){
		"spare entry dropped": func(m *machine, _, spare string) { m.drop(spare) },
		"kept entry dropped":  func(m *machine, kept, _ string) { m.drop(kept) },
		"both dropped":        func(m *machine, _, _ string) { m.drop("a"); m.drop("b") },
		"order dropped":       func(m *machine, _, _ string) { delete(m.vars, orderName+"-"+Global) },
		"all dropped":         func(m *machine, _, _ string) { clear(m.vars) },
		"spare first":         func(m *machine, kept, spare string) { m.set(orderName, number[spare], number[kept], 0) },
		"its own first":       func(m *machine, kept, spare string) { m.set(orderName, 0, number[spare], number[kept]) },
		"spare not in order":  func(m *machine, kept, _ string) { m.set(orderName, number[kept], 0) },
		"inactive": func(m *machine, _, _ string) { // B3, too
			for _, n := range number {
				o, _ := m.option(n)
				o.Attributes = 0
				m.setOption(n, o)
			}
		},
		"spare leads elsewhere": func(m *machine, kept, spare string) {
			o := m.open(t).options[kept]
			o.Description = entryName + spare
			m.setOption(number[spare], o)
		},
		"another partition": func(m *machine, _, spare string) {
			o, _ := m.option(number[spare])
			o.Path[0].Data[0]++
			m.setOption(number[spare], o)
		},
		"way to the disk in front": func(m *machine, _, _ string) {
			for _, n := range number {
				o, _ := m.option(n)
				o.Path = append([]Node{{Type: 2, Subtype: 1, Data: make([]byte, 8)}, {Type: 1, Subtype: 1, Data: []byte{2, 4}}}, o.Path...)
				m.setOption(n, o)
			}
		},
		"an entry that cannot be read": func(m *machine, _, spare string) {
			m.vars[entryVariable(number[spare])+"-"+Global] = []byte{7, 0, 0, 0, 1}
		},
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			m := installed(t)
			m.byCommandLine = true
			spoil(m, "a", "b")
			update(t, m, "a", "b")
			number["a"], number["b"] = uint16(m.entryOf("a")), uint16(m.entryOf("b"))
			spoil(m, "b", "a")
			number["a"], number["b"] = 1, 2
			m.running = "b" // nothing was started since
			if err := m.open(t).Mend(); err != nil {
				t.Fatal(err)
			}
			if err := m.open(t).Check(); err != nil {
				t.Fatalf("mended: %v", err)
			}
			m.PowerOn(t)
			update(t, m, "b", "a")
		})
	}
}

// TestB4WhileOnTrial: what the firmware does to the entries during a trial does
// not keep a sick system, and does not lose a good one.
func TestB4WhileOnTrial(t *testing.T) {
	for name, order := range map[string][]uint16{"as it was": {1, 2, 0}, "spare first": {2, 1, 0}, "its own first": {0, 1, 2}} {
		for _, good := range []bool{true, false} {
			m := installed(t)
			if err := m.open(t).Try("b"); err != nil {
				t.Fatal(err)
			}
			b := m.PowerOn(t).(*Boot)
			m.set(orderName, order...)
			want := "b"
			err := error(nil)
			if good {
				err = b.Keep()
			} else {
				want, err = "a", b.Try("a")
			}
			if err != nil {
				t.Fatal(err)
			}
			// What the agent does in the system that it went back to.
			if b = m.PowerOn(t).(*Boot); m.running == "a" {
				if err := b.Keep(); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				if m.PowerOn(t); m.running != want {
					t.Errorf("%s, good %v: runs %s, want %s", name, good, m.running, want)
				}
			}
		}
	}
}

// TestB4NumberOfOld: a new entry takes no number that the order still names, or
// a power cut before the order is written would start it, not tried.
func TestB4NumberOfOld(t *testing.T) {
	m := installed(t)
	m.drop("b")
	m.set(orderName, 2, 1, 0)
	m.CutAt(2)
	if err := m.open(t).Try("b"); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if m.PowerOn(t); m.running != "a" {
		t.Errorf("runs %s", m.running)
	}
}

// TestB4TheStartedOneIsRight: of two entries of a slot the one that has started
// it is kept, and stays as it is, whatever is configured.
func TestB4TheStartedOneIsRight(t *testing.T) {
	m := installed(t)
	o, _ := m.option(1)
	m.setOption(7, o)
	o.Optional = textBytes("special")
	m.setOption(9, o)
	m.set(orderName, 9, 7, 1, 0, 2)
	b := m.PowerOn(t).(*Boot)
	m.set(orderName, 7, 1, 9, 0, 2)
	special := bytes.Clone(m.vars["Boot0009-"+Global])
	if err := b.Try("b"); err != nil || m.get(orderName)[0] != 9 {
		t.Fatalf("order %v, %v", m.get(orderName), err)
	}
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	if got := m.get(orderName); got[0] != 9 || !bytes.Equal(m.vars["Boot0009-"+Global], special) {
		t.Errorf("order %v", got)
	}
	if err := errors.Join(b.Check(), b.Mend(), b.Check()); err != nil {
		t.Error(err)
	}
	if got := m.get(orderName); !slices.Equal(got, []uint16{9, 0, 2}) || !bytes.Equal(m.vars["Boot0009-"+Global], special) {
		t.Errorf("mended: order %v", got)
	}
}

// TestB4OthersKeepTheirEntries: neither an update nor mending changes what is
// not ours.
func TestB4OthersKeepTheirEntries(t *testing.T) {
	m := installed(t)
	shell := bytes.Clone(m.vars["Boot0000-"+Global])
	m.set("Boot0007", 1, 2, 3)
	odd := bytes.Clone(m.vars["Boot0007-"+Global])
	m.set(orderName, 7, 0, 1, 2)
	update(t, m, "a", "b")
	if err := m.open(t).Mend(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.vars["Boot0000-"+Global], shell) || !bytes.Equal(m.vars["Boot0007-"+Global], odd) {
		t.Error("an entry of others was changed")
	}
	if got := m.get(orderName); !slices.Equal(got, []uint16{2, 1, 7, 0}) {
		t.Errorf("order %v", got)
	}
}

// TestB4Recovery: an entry that is called like ours and is no slot's is left
// alone, and is never taken for what is kept.
func TestB4Recovery(t *testing.T) {
	m := installed(t)
	o, _ := m.option(0)
	o.Description = entryName + "recovery"
	m.setOption(0, o)
	m.set(orderName, 0, 1, 2)
	update(t, m, "a", "b")
	if err := m.open(t).Try("a"); err != nil {
		t.Fatal(err)
	}
	b := m.PowerOn(t).(*Boot)
	m.set(orderName, 0, 2, 1)
	if err := b.Try("b"); err != nil || m.get(nextName) != nil {
		t.Fatalf("the kept slot is on trial: %v, %v", m.get(nextName), err)
	}
	for range 3 {
		if m.PowerOn(t); m.running != "b" {
			t.Fatalf("runs %s", m.running)
		}
	}
	if err := m.open(t).Mend(); err != nil || m.entryOf("recovery") != 0 {
		t.Errorf("recovery is gone, %v", err)
	}
}

// TestB5BootNextLost: firmware that forgets BootNext, as the flat battery of a
// clock makes some do, starts the kept system, which Running says.
func TestB5BootNextLost(t *testing.T) {
	m := installed(t)
	m.forgets = true
	b := m.open(t)
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	b = m.PowerOn(t).(*Boot)
	if slot, err := b.Running(); slot != "a" || err != nil {
		t.Fatalf("runs %q, %v", slot, err)
	}
	if err := b.Try("a"); err != nil {
		t.Fatal(err)
	}
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	m.forgets = false
	update(t, m, "a", "b")
}

// TestB6: when the kept system's file is gone the firmware goes on to the other
// slot, since it is in the order too.
func TestB6(t *testing.T) {
	m := installed(t)
	o, _ := m.option(1)
	o.Path[1].Data = textBytes(`\gone`)
	m.setOption(1, o)
	m.bare = "none"
	if m.PowerOn(t); m.running != "b" {
		t.Errorf("runs %s", m.running)
	}
}

// TestB1: entries that were never made, and an order that cannot be, are found
// and mended.
func TestB1(t *testing.T) {
	for name, spoil := range map[string]func(*machine){
		"never made":      func(m *machine) { clear(m.vars) },
		"odd order":       func(m *machine) { m.vars[orderName+"-"+Global] = []byte{7, 0, 0, 0, 1} },
		"endless order":   func(m *machine) { m.set(orderName, make([]uint16, MaxEntries+1)...) },
		"one entry twice": func(m *machine) { o, _ := m.option(2); m.drop("b"); m.setOption(9, o); m.setOption(8, o) },
		"kept not first":  func(m *machine) { m.set(orderName, 2, 1) },
	} {
		m := installed(t)
		m.byCommandLine = true
		spoil(m)
		b := m.open(t)
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), "mend") {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.Mend(); err != nil {
			t.Errorf("%s: Mend: %v", name, err)
		}
		if err := b.Check(); err != nil {
			t.Errorf("%s: mended, but %v", name, err)
		}
		if n := len(m.vars); n > 5 { // shell, a, b, order, current
			t.Errorf("%s: %d variables are left", name, n)
		}
	}
	m := installed(t)
	if m.drop("a"); m.open(t).Try("b") == nil {
		t.Error("without its entry and without a command line, nobody knows what runs")
	}
	m.vars[nextName+"-"+Global] = nil
	if _, err := m.open(t).number(currentName); err != nil {
		t.Error(err)
	}
}

// TestCheckChangesNothing: and says so when the firmware takes no variables.
func TestCheckChangesNothing(t *testing.T) {
	m := installed(t)
	before := map[string][]byte{}
	for name, data := range m.vars {
		before[name] = bytes.Clone(data)
	}
	if err := m.open(t).Check(); err != nil {
		t.Fatal(err)
	}
	if len(before) != len(m.vars) {
		t.Errorf("%d variables, were %d", len(m.vars), len(before))
	}
	for name, data := range before {
		if !bytes.Equal(data, m.vars[name]) {
			t.Errorf("%s has changed", name)
		}
	}
	m.CutAt(1)
	if err := m.open(t).Check(); !errors.Is(err, errCut) {
		t.Errorf("no variables taken: %v", err)
	}
}

// TestFlashWear: what is so already is not written.
func TestFlashWear(t *testing.T) {
	m := installed(t)
	b := m.open(t)
	m.CutAt(0)
	if err := errors.Join(b.Keep(), b.Try("a"), b.Mend()); err != nil || m.steps != 0 {
		t.Errorf("%d writes for nothing, %v", m.steps, err)
	}
	if err := b.Try("b"); err != nil || m.steps != 2 {
		t.Errorf("a trial takes %d writes, %v", m.steps, err)
	}
	if err := b.Try("b"); err != nil || m.steps != 2 {
		t.Errorf("a second Try takes %d writes more, %v", m.steps-2, err)
	}
}

// TestS5DeafFirmware: what is not there when it is read back was not written.
func TestS5DeafFirmware(t *testing.T) {
	m := installed(t)
	m.deaf = true
	b := m.open(t)
	for name, err := range map[string]error{"Try": b.Try("b"), "Check": b.Check()} {
		if err == nil {
			t.Errorf("%s: nothing was written", name)
		}
	}
}

func TestRunning(t *testing.T) {
	m := installed(t)
	if err := m.open(t).known("c"); !errors.Is(err, platform.ErrNoSlot) {
		t.Error(err)
	}
	m.set(currentName, 0)
	if slot, err := m.open(t).Running(); err == nil || !strings.Contains(err.Error(), "UEFI Shell") {
		t.Errorf("the shell runs %q, %v", slot, err)
	}
	b, err := newOn(m.firmware, config(func() (string, error) { return "c", nil }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Running(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("a slot that there is none of: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"one slot":           func(c *Config) { c.Slots = c.Slots[:1] },
		"a slot twice":       func(c *Config) { c.Slots = []string{"a", "a"} },
		"a nameless slot":    func(c *Config) { c.Slots = []string{"a", ""} },
		"a long name":        func(c *Config) { c.Slots = []string{"a", strings.Repeat("b", MaxSlotName+1)} },
		"no target":          func(c *Config) { delete(c.Targets, "b") },
		"another's target":   func(c *Config) { c.Slots = []string{"a", "c"} },
		"no file":            func(c *Config) { c.Targets["b"] = Target{Partition: esp, Loader: `\`} },
		"NUL in the file":    func(c *Config) { c.Targets["b"] = Target{Partition: esp, Loader: "\\a\x00b"} },
		"no partition":       func(c *Config) { c.Targets["b"] = Target{Loader: `\a`} },
		"partition's number": func(c *Config) { c.Targets["b"] = Target{Loader: `\a`, Partition: Partition{UUID: esp.UUID}} },
		"long arguments": func(c *Config) {
			c.Targets["b"] = Target{Partition: esp, Loader: `\a`, Arguments: strings.Repeat("x", MaxOption)}
		},
	} {
		cfg := config(nil)
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(config(nil)); err != nil {
		t.Error(err)
	}
}
