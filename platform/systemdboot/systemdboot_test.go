package systemdboot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/efi"
	"github.com/leapslot/ota/platform/internal/forgetful"
)

func (m *machine) put(t testing.TB, path, text string) {
	t.Helper()
	f, err := m.OpenFile(filepath.Join(entries, path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) names(t testing.TB) []string {
	t.Helper()
	files, err := m.List(entries)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (m *machine) boots(t testing.TB, slots ...string) *Boot {
	t.Helper()
	var b *Boot
	for i, want := range slots {
		if b = m.PowerOn(t).(*Boot); m.running != want {
			t.Fatalf("boot %d runs %s, want %s: %v", i+1, m.running, want, m.names(t))
		}
	}
	return b
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestLife is what the names say through an update, one that fails, and another.
// W8: the kept slot's entry is never renamed by a start.
func TestLife(t *testing.T) {
	m := installed(t, forgetful.Everything)
	see := func(want ...string) {
		t.Helper()
		if got := m.names(t); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	b := m.boots(t, "a", "a", "a", "a")
	see("otad-a.conf")
	must(t, b.Check(), b.Try("b"))
	see("otad-a.conf", "otad-b+3.conf")
	b = m.boots(t, "b")
	see("otad-a.conf", "otad-b+2-1.conf")
	must(t, b.Check(), b.Try("a"))
	see("otad-a.conf", "otad-b+0-1.conf")
	must(t, m.boots(t, "a", "a").Try("b")) // B3: marked bad earlier
	see("otad-a.conf", "otad-b+3.conf")
	b = m.boots(t, "b", "b", "b")
	see("otad-a.conf", "otad-b+0-3.conf")
	must(t, b.Keep())
	see("otad-a.conf", "otad-b.conf")
	must(t, m.boots(t, "b", "b", "b", "b").Try("a"))
	see("otad-a+3.conf", "otad-b.conf")
	m.boots(t, "a", "a", "a", "b", "b")
	see("otad-a+0-3.conf", "otad-b.conf")
	data, err := readFile(m, filepath.Join(entries, "otad-b.conf"))
	want := "# Written by otad, which also counts with this file's name.\ntitle otad b\nlinux /otad/b/linux\ninitrd /otad/b/initrd\n" +
		"options root=PARTLABEL=b ro quiet otad.slot=b\nsort-key otad\nversion 2\n"
	if string(data) != want || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

// TestWear: what is so already is not written.
func TestWear(t *testing.T) {
	m := installed(t, forgetful.Everything)
	b := m.boots(t, "a")
	before := m.Steps()
	must(t, b.Keep(), b.Try("a"))
	if n := m.Steps() - before; n != 0 {
		t.Errorf("%d steps for nothing", n)
	}
	must(t, b.Try("b"))
	before = m.Steps()
	must(t, b.Try("b"))
	if n := m.Steps() - before; n != 0 {
		t.Errorf("%d steps for a second Try", n)
	}
}

// TestConfigChangesOnTrial: an entry that is configured otherwise by now is made
// anew, with all its starts and not more.
func TestConfigChangesOnTrial(t *testing.T) {
	m := installed(t, forgetful.Everything)
	must(t, m.boots(t, "a").Try("b"))
	b := m.boots(t, "b")
	e := b.cfg.Entry["b"]
	e.Options += " debug"
	b.cfg.Entry["b"] = e
	must(t, b.Try("b"))
	m.boots(t, "b", "b", "b", "a", "a")
	for _, f := range m.list(t) {
		if data, _ := readFile(m, filepath.Join(entries, f.file)); f.left == 0 && !strings.Contains(string(data), "debug") {
			t.Errorf("%s: %s", f.file, data)
		}
	}
}

// TestChosenInTheMenu: somebody starts the older system by hand. An update from
// there falls back to it, although the other one is newer.
func TestChosenInTheMenu(t *testing.T) {
	m := installed(t, forgetful.Everything)
	must(t, m.boots(t, "a").Try("b"))
	must(t, m.boots(t, "b").Keep())
	m.boots(t, "b")
	m.running = "a"
	b := m.open(t)
	if b.Check() == nil {
		t.Error("does not say that another slot is started first")
	}
	must(t, b.Try("b"))
	m.boots(t, "b", "b", "b", "a", "a")
	must(t, m.open(t).Check())
}

// TestB6: a kept system whose kernel is gone is not shown, and the other slot's
// is started if it was ever kept.
func TestB6(t *testing.T) {
	m := installed(t, forgetful.Everything)
	must(t, m.boots(t, "a").Try("b"))
	must(t, m.boots(t, "b").Keep())
	m.kernels["/otad/b/linux"] = false
	m.boots(t, "a", "a")
}

// TestThreeSlots: at most one trial at a time.
func TestThreeSlots(t *testing.T) {
	m := installed(t, forgetful.Everything)
	m.kernels["/otad/c/linux"] = true
	open := func() *Boot {
		cfg := config(func() (string, error) { return m.running, nil })
		cfg.Slots = append(cfg.Slots, "c")
		cfg.Entry["c"] = Entry{Linux: "/otad/c/linux", Options: "otad.slot=c"}
		b, err := newOn(m.folder, cfg)
		must(t, err)
		return b
	}
	must(t, open().Try("b"), open().Try("c"))
	m.boots(t, "c", "c", "c", "a", "a")
	must(t, open().Try("b"))
	m.boots(t, "b")
	must(t, open().Try("c"))
	m.boots(t, "c", "c", "c", "a", "a")
	must(t, open().Try("c"))
	m.boots(t, "c")
	must(t, open().Keep())
	m.boots(t, "c", "c", "c", "c")
	must(t, open().Check())
}

// TestOldTrial: an entry that was tried before what is kept now was made would
// come behind it, if it were only renamed.
func TestOldTrial(t *testing.T) {
	m := newMachine(forgetful.Everything)
	cfg := config(nil)
	m.put(t, "otad-a.conf", string(cfg.Entry["a"].file("a", 5)))
	m.put(t, "otad-b+0-3.conf", string(cfg.Entry["b"].file("b", 2)))
	must(t, m.open(t).Try("b"))
	m.boots(t, "b", "b", "b", "a")
}

// TestFATKeepsBothNames: a power cut in a rename on FAT can leave the old name
// beside the new one. Keep had been called.
func TestFATKeepsBothNames(t *testing.T) {
	m := newMachine(forgetful.Everything)
	cfg := config(nil)
	m.running = "b"
	m.put(t, "otad-a.conf", string(cfg.Entry["a"].file("a", 1)))
	m.put(t, "otad-b+2-1.conf", string(cfg.Entry["b"].file("b", 2)))
	m.put(t, "otad-b.conf", string(cfg.Entry["b"].file("b", 2)))
	b := m.open(t)
	must(t, b.Check(), b.Keep())
	if got := m.names(t); !slices.Equal(got, []string{"otad-a.conf", "otad-b.conf"}) {
		t.Errorf("left %v", got)
	}
	m.boots(t, "b", "b", "b", "b")
	// To FAT these are one name, and so they are to the list of files.
	s := &state{files: []entryFile{{file: "OTAD-B.CONF"}}}
	if s.put(entryFile{file: "otad-b.conf"}); len(s.files) != 1 {
		t.Errorf("%+v", s.files)
	}
}

// TestB1: entries that were never made, and damaged ones, are found before the
// first update, and mended.
func TestB1(t *testing.T) {
	whole := config(nil).Entry["a"].file("a", 7)
	for why, files := range map[string]map[string]string{
		"the kept slot a has no entry":       {},
		"otad-a.conf starts nothing":         {"otad-a.conf": ""},
		"otad-b+3.conf starts nothing":       {"otad-a.conf": string(whole), "otad-b+3.conf": "title x\nversion 8\nsort-key otad\n"},
		"otad-b.conf starts nothing":         {"otad-a.conf": string(whole), "otad-b.conf": strings.Repeat("x", MaxFile+1)},
		"otad-a+.conf is no entry's":         {"otad-a.conf": string(whole), "otad-a+.conf": string(whole)},
		"otad-b+2.conf starts nothing":       {"otad-a.conf": string(whole), "otad-b+2.conf": string(whole) + "machine-id x\n"},
		"kept slot a has no entry that come": {"otad-a.conf": string(whole), "otad-b.conf": string(stamp(whole, 8))},
	} {
		m := newMachine(forgetful.Everything)
		for file, text := range files {
			m.put(t, file, text)
		}
		b := m.open(t)
		if err := b.Check(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
		must(t, b.Mend(), b.Check())
		must(t, m.boots(t, "a", "a").Try("b"))
		m.boots(t, "b", "b", "b", "a", "a")
	}
}

// TestHandMadeEntry: an image's own entry without a version becomes one of ours,
// and still says what the image's maker wrote.
func TestHandMadeEntry(t *testing.T) {
	m := newMachine(forgetful.Everything)
	m.put(t, "otad-a.conf", "title By hand\nlinux /otad/a/linux\noptions special")
	b := m.open(t)
	if b.Check() == nil {
		t.Error("an entry without a version is all right")
	}
	must(t, b.Try("b"))
	m.boots(t, "b", "b", "b", "a", "a")
	data, err := readFile(m, filepath.Join(entries, "otad-a.conf"))
	if err != nil || string(data) != "title By hand\nlinux /otad/a/linux\noptions special\nsort-key otad\nversion 1\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestOverruled: what is asked before the counters is found.
func TestOverruled(t *testing.T) {
	for loader, fine := range map[string]bool{
		"timeout 3\n": true, "default otad-*\n": true, "#default x\ndefault\totad-*": true,
		"default otad-a.conf": false, "default @saved": false, "preferred otad-a*": false,
	} {
		m := installed(t, forgetful.Everything)
		m.put(t, "../loader.conf", loader)
		if err := m.open(t).Check(); (err == nil) != fine {
			t.Errorf("%q: %v", loader, err)
		}
	}
	for _, other := range []string{"debian.conf", "../../EFI/Linux/debian.efi"} {
		m := installed(t, forgetful.Everything)
		m.put(t, other, "linux /x\nsort-key debian\n")
		if err := m.open(t).Check(); err == nil || !strings.Contains(err.Error(), filepath.Base(other)) {
			t.Errorf("%s: %v", other, err)
		}
		m.put(t, "../loader.conf", "default otad-*\n")
		must(t, m.open(t).Check())
	}
}

func TestOverrulingVariables(t *testing.T) {
	m := installed(t, forgetful.Everything)
	b := m.open(t)
	dir := t.TempDir()
	b.vars = efi.OpenVariables(dir)
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "not started by systemd-boot") {
		t.Error(err)
	}
	must(t, b.vars.Write("LoaderFeatures", loaderOwner, []byte{0x7f, 0, 0, 0, 0, 0, 0, 0}))
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "sort keys") {
		t.Error(err)
	}
	must(t, b.vars.Write("LoaderFeatures", loaderOwner, []byte{0xff, 0x1f, 0, 0, 0, 0, 0, 0}), b.Check())
	must(t, b.vars.Write("LoaderEntryDefault", loaderOwner, []byte("o\x00t\x00a\x00d\x00-\x00*\x00\x00\x00")), b.Check())
	must(t, b.vars.Write("LoaderEntryDefault", loaderOwner, []byte("o\x00t\x00a\x00d\x00-\x00a\x00\x00\x00")))
	if err := b.Check(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "LoaderEntryDefault") {
		t.Error(err)
	}
	must(t, b.Mend(), b.Check())
}

// TestCheckChangesNothing: and says so when nothing can be written.
func TestCheckChangesNothing(t *testing.T) {
	m := installed(t, forgetful.Everything)
	must(t, m.open(t).Check())
	if got := m.names(t); !slices.Equal(got, []string{"otad-a.conf"}) {
		t.Errorf("left %v", got)
	}
	dir := t.TempDir()
	cfg := config(func() (string, error) { return "a", nil })
	cfg.Entries = filepath.Join(dir, "none")
	b, err := New(cfg)
	must(t, err)
	for name, err := range map[string]error{"Try": b.Try("b"), "Keep": b.Keep(), "Check": b.Check(), "Mend": b.Mend()} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "mounted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	running := func() (string, error) { return "c", nil }
	for name, change := range map[string]func(*Config){
		"no directory":      func(c *Config) { c.Entries = "" },
		"nobody knows":      func(c *Config) { c.Running = nil },
		"one slot":          func(c *Config) { c.Slots = c.Slots[:1] },
		"a slot twice":      func(c *Config) { c.Slots = []string{"a", "a"} },
		"a capital letter":  func(c *Config) { c.Slots = []string{"a", "B"}; c.Entry["B"] = c.Entry["b"] },
		"a counter":         func(c *Config) { c.Slots = []string{"a", "a+3"}; c.Entry["a+3"] = c.Entry["b"] },
		"another's entry":   func(c *Config) { c.Slots = []string{"a", "c"} },
		"many attempts":     func(c *Config) { c.Attempts = MaxAttempts + 1 },
		"negative attempts": func(c *Config) { c.Attempts = -1 },
		"nothing to start":  func(c *Config) { c.Entry["b"] = Entry{} },
		"two to start":      func(c *Config) { c.Entry["b"] = Entry{Linux: "/a", EFI: "/b"} },
		"relative path":     func(c *Config) { c.Entry["b"] = Entry{Linux: "a"} },
		"two lines":         func(c *Config) { c.Entry["b"] = Entry{Linux: "/a", Options: "x\nlinux /b"} },
		"spaces around":     func(c *Config) { c.Entry["b"] = Entry{Linux: "/a", Title: " x"} },
		"long options":      func(c *Config) { c.Entry["b"] = Entry{Linux: "/a", Options: strings.Repeat("x", MaxValue+1)} },
		"many initrds":      func(c *Config) { c.Entry["b"] = Entry{Linux: "/a", Initrd: make([]string, MaxInitrds+1)} },
		"an empty initrd":   func(c *Config) { c.Entry["b"] = Entry{Linux: "/a", Initrd: []string{""}} },
		"a long file": func(c *Config) {
			c.Entry["b"] = Entry{Linux: "/a", Initrd: slices.Repeat([]string{"/" + strings.Repeat("x", 2000)}, 9)}
		},
	} {
		cfg := config(running)
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b, err := New(config(running))
	must(t, err)
	if _, err := b.Running(); !errors.Is(err, platform.ErrNoSlot) {
		t.Error(err)
	}
}
