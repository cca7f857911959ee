package systemdboot

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/platformtest"
)

const entries = "/efi/loader/entries"

// loaderEntry is an entry as systemd-boot sees it.
type loaderEntry struct {
	file, sortKey, version, linux string
	left, done                    int // -1 without a counter
}

var counter = regexp.MustCompile(`^([^+]*)\+([0-9]+)(?:-([0-9]+))?\.conf$`)

// readEntry reads a file as the Boot Loader Specification says.
func readEntry(file, text string) loaderEntry {
	e := loaderEntry{file: file, left: -1, done: -1}
	if m := counter.FindStringSubmatch(file); m != nil {
		e.left, _ = strconv.Atoi(m[2])
		e.done, _ = strconv.Atoi("0" + m[3])
	}
	for _, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "sort-key":
			e.sortKey = words[1]
		case "version":
			e.version = words[1]
		case "linux":
			e.linux = words[1]
		}
	}
	return e
}

// order is the order of the menu, whose first is started: entries without tries
// at the end, those with a sort key before those without, then by sort key, then
// the newest version first, then the name, backwards.
func order(a, b loaderEntry) int {
	least := func(pairs ...[2]bool) int {
		for _, p := range pairs {
			switch {
			case p[0] && !p[1]:
				return 1
			case p[1] && !p[0]:
				return -1
			}
		}
		return 0
	}
	if c := least([2]bool{a.left == 0, b.left == 0}, [2]bool{a.sortKey == "", b.sortKey == ""}); c != 0 {
		return c
	}
	if c := strings.Compare(a.sortKey, b.sortKey); c != 0 {
		return c
	}
	av, _ := strconv.Atoi(a.version)
	bv, _ := strconv.Atoi(b.version)
	if av != bv {
		return bv - av
	}
	return strings.Compare(b.file, a.file)
}

// folder is a made-up disk whose directories can be listed.
type folder struct{ *forgetful.Disk }

func (f folder) List(dir string) ([]string, error) {
	var names []string
	for _, path := range f.Names() {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// machine plays systemd-boot, as its documentation has it, on a made-up disk that
// forgets, tears and reorders what was not synced. The order is checked against
// bootctl in TestBootctl, and the whole of it is done with the real one, in real
// firmware, in TestLabSystemdBoot.
type machine struct {
	folder
	choose   forgetful.Choice
	cut      int // the step at which the power fails, from the last CutAt or PowerOn
	attempts int
	running  string
	kernels  map[string]bool // what is not there is not shown
}

func newMachine(choose forgetful.Choice) *machine {
	return &machine{folder: folder{forgetful.New()}, choose: choose, running: "a", kernels: map[string]bool{"/otad/a/linux": true, "/otad/b/linux": true}}
}

// installed is a machine with the entry that its image was made with.
func installed(t testing.TB, choose forgetful.Choice) *machine {
	t.Helper()
	m := newMachine(choose)
	if err := m.open(t).Mend(); err != nil {
		t.Fatal(err)
	}
	return m
}

func config(running func() (string, error)) Config {
	return Config{
		Entries: entries, Slots: []string{"a", "b"}, Running: running,
		Entry: map[string]Entry{
			"a": {Linux: "/otad/a/linux", Initrd: []string{"/otad/a/initrd"}, Options: "root=PARTLABEL=a ro quiet"},
			"b": {Linux: "/otad/b/linux", Initrd: []string{"/otad/b/initrd"}, Options: "root=PARTLABEL=b ro quiet"},
		},
	}
}

func (m *machine) open(t testing.TB) *Boot {
	t.Helper()
	cfg := config(func() (string, error) { return m.running, nil })
	cfg.Attempts = m.attempts
	b, err := newOn(m.folder, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// list is the menu.
func (m *machine) list(t testing.TB) []loaderEntry {
	t.Helper()
	files, err := m.List(entries)
	if err != nil {
		t.Fatal(err)
	}
	var list []loaderEntry
	for _, file := range files {
		if strings.HasPrefix(file, ".") || !strings.HasSuffix(file, ".conf") {
			continue
		}
		data, err := readFile(m.folder, filepath.Join(entries, file))
		if err != nil {
			t.Fatal(err)
		}
		if e := readEntry(file, string(data)); m.kernels[e.linux] {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, order)
	return list
}

func readFile(d disk.Disk, path string) ([]byte, error) {
	f, err := d.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, MaxFile)
	n, _ := f.Read(data)
	return data[:n], nil
}

// boot counts, if the first entry has a counter, and starts it. Without an entry
// the firmware finds a system a that was put there by hand.
func (m *machine) boot(t testing.TB) error {
	list := m.list(t)
	if len(list) == 0 {
		m.running = "a"
		return nil
	}
	e := list[0]
	if e.left >= 0 {
		base, _, _ := strings.Cut(e.file, "+")
		next := fmt.Sprintf("%s+%d-%d.conf", base, max(e.left-1, 0), e.done+1)
		if err := m.Rename(filepath.Join(entries, e.file), filepath.Join(entries, next)); err != nil {
			return err
		}
		if err := disk.SyncDir(m.folder, entries); err != nil {
			return err
		}
	}
	m.running = strings.Split(e.linux, "/")[2]
	return nil
}

func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	// Each start is one without a clean end before: what was not synced is lost.
	left := m.cut - m.Steps()
	if m.Dead() || m.cut == 0 {
		left = 0
	}
	m.Disk.PowerOn(m.choose)
	m.cut = left
	m.Disk.CutAt(left)
	if err := m.boot(t); err != nil {
		if !m.Dead() {
			t.Fatal(err)
		}
		return nil
	}
	return m.open(t)
}

func (m *machine) CutAt(n int) {
	if m.Dead() {
		m.Disk.PowerOn(m.choose)
	}
	m.cut = n
	m.Disk.CutAt(n)
}

func (m *machine) Off() bool { return m.Dead() }

func TestBoot(t *testing.T) {
	choices := map[string]func() forgetful.Choice{
		"nothing":    func() forgetful.Choice { return forgetful.Nothing },
		"everything": func() forgetful.Choice { return forgetful.Everything },
	}
	for seed := range uint64(10) {
		choices[fmt.Sprintf("random%d", seed)] = func() forgetful.Choice { return rand.New(rand.NewPCG(seed, 7)).IntN }
	}
	machines := map[string]func(testing.TB, forgetful.Choice) *machine{
		"installed": installed,
		"bare":      func(_ testing.TB, c forgetful.Choice) *machine { return newMachine(c) },
	}
	for name, make := range machines {
		for how, choose := range choices {
			for _, attempts := range []int{1, DefaultAttempts} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, how, attempts), func(t *testing.T) {
					platformtest.TestBoot(t, platformtest.Harness{
						Kept: "a", Spare: "b", Attempts: attempts,
						New: func(t testing.TB) platformtest.Machine {
							m := make(t, choose())
							m.attempts = attempts
							return m
						},
					})
				})
			}
		}
	}
}
