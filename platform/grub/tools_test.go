package grub

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/platformtest"
)

// need looks for a program of Debian, and says what is missing if it is not there.
func need(t testing.TB, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed (Debian package %s)", program, pkg)
	}
}

func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TERM=dumb", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
	return string(out)
}

func real(t testing.TB, path string, attempts int, running *string) *Boot {
	t.Helper()
	b, err := New(Config{Path: path, Slots: names, Attempts: attempts, Running: func() (string, error) { return *running, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGrubEditenv: Debian's tool reads what we write and we read what it
// writes, between variables of others.
func TestGrubEditenv(t *testing.T) {
	need(t, "grub-editenv", "grub-common")
	path, running := filepath.Join(t.TempDir(), "grubenv"), "a"
	edit := func(args ...string) string { return run(t, "grub-editenv", append([]string{path}, args...)...) }
	edit("create")
	b := real(t, path, 0, &running)
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "never prepared") {
		t.Errorf("B1: Check of a new block: %v", err)
	}
	edit("set", `odd=a\b`, "empty=", "words=one two", "otad_slot=a", "saved_entry=1")
	others := "odd=a\\b\nempty=\nwords=one two\nsaved_entry=1\n"
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func() error
		list string
	}{
		{func() error { return b.Try("b") }, "otad_slot=a\notad_trial=b\notad_left=3\n"},
		{func() error { return b.Try("b") }, "otad_slot=a\notad_trial=b\notad_left=3\n"},
		{func() error { edit("set", "otad_left=1"); return b.Check() }, "otad_slot=a\notad_trial=b\notad_left=1\n"},
		{func() error { running = "b"; return b.Keep() }, "otad_slot=b\notad_left=0\n"},
		{func() error { return b.Try("a") }, "otad_slot=b\notad_trial=a\notad_left=3\n"},
		{func() error { return b.Mend() }, "otad_slot=b\notad_left=0\n"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := edit("list"); got != step.list+others {
			t.Fatalf("grub-editenv lists %q, want %q", got, step.list+others)
		}
	}
	edit("unset", "otad_left", "words")
	edit("set", "otad_trial=a", "otad_left=2")
	e, err := b.load()
	if want := (state{kept: "b", trial: "a", left: 2}); e.state != want || err != nil {
		t.Errorf("%+v, %v, want %+v", e.state, err, want)
	}
	if v, ok := e.block.get("odd"); v != `a\b` || !ok {
		t.Errorf("odd=%s", v)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

func TestGrubEditenvB9(t *testing.T) {
	need(t, "grub-editenv", "grub-common")
	path, running := filepath.Join(t.TempDir(), "grubenv"), "a"
	run(t, "grub-editenv", path, "create")
	run(t, "grub-editenv", path, "set", "otad_slot=a", "x="+strings.Repeat("x", 900))
	if out, err := exec.Command("grub-editenv", path, "set", "y="+strings.Repeat("y", 100)).CombinedOutput(); err == nil {
		t.Errorf("grub-editenv takes more than 1024 bytes: %s", out)
	}
	if err := real(t, path, 0, &running).Try("b"); err == nil {
		t.Error("so do we")
	}
	if err := exec.Command("grub-editenv", path, "list").Run(); err != nil {
		t.Error(err)
	}
}

func TestScript(t *testing.T) {
	need(t, "grub-script-check", "grub-common")
	for _, name := range []string{"otad.cfg", "grub.cfg"} {
		run(t, "grub-script-check", filepath.Join("../../packaging/grub", name))
	}
}

// pc is a machine whose boot loader is GRUB itself, as its authors' emulator
// runs it, with packaging/grub/otad.cfg on an ext4 that GRUB reads and writes
// with its own drivers. The system has grubenv in a file of its own; between
// the two the bytes are carried over from the very blocks that the file had
// when the disk was made. That both may write into these is the point.
type pc struct {
	dir     string
	at      int64 // where grubenv lies on the disk, in bytes
	started string
}

const emuDir = "/usr/lib/grub"

func newPC(t testing.TB) *pc {
	t.Helper()
	dir := t.TempDir()
	emu, err := filepath.Glob(filepath.Join(emuDir, "*-emu"))
	if err != nil || len(emu) == 0 {
		t.Skipf("no modules in %s/*-emu (Debian package grub-emu)", emuDir)
	}
	p := &pc{dir: dir}
	tree := filepath.Join(dir, "tree")
	modules := filepath.Join(tree, "grub", filepath.Base(emu[0]))
	if err := os.MkdirAll(modules, 0o700); err != nil {
		t.Fatal(err)
	}
	lists, _ := filepath.Glob(filepath.Join(emu[0], "*.lst"))
	for _, m := range []string{"loadenv", "test", "echo"} {
		lists = append(lists, filepath.Join(emu[0], m+".mod"))
	}
	for _, from := range append(lists, "../../packaging/grub/otad.cfg") {
		to := filepath.Join(modules, filepath.Base(from))
		if strings.HasSuffix(from, ".cfg") {
			to = filepath.Join(tree, "grub", filepath.Base(from))
		}
		copyFile(t, from, to)
	}
	cfg := "source $prefix/otad.cfg\necho \"start=[$otad_start]\"\nexit\n"
	write(t, filepath.Join(tree, "grub/grub.cfg"), []byte(cfg))
	write(t, filepath.Join(tree, "grub/grubenv"), prepared(t, "saved_entry=0"))
	copyFile(t, filepath.Join(tree, "grub/grubenv"), p.env())
	write(t, p.image(), nil)
	if err := os.Truncate(p.image(), 4<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", tree, p.image())
	write(t, filepath.Join(dir, "device.map"), []byte("(hd0) "+p.image()+"\n"))
	out := run(t, "debugfs", "-R", "blocks /grub/grubenv", p.image())
	last := strings.Fields(out)
	n, err := strconv.Atoi(last[len(last)-1])
	if err != nil {
		t.Fatalf("debugfs: %q", out)
	}
	p.at = int64(n) * 1024
	return p
}

func (p *pc) env() string   { return filepath.Join(p.dir, "grubenv") }
func (p *pc) image() string { return filepath.Join(p.dir, "disk.img") }

func (p *pc) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	disk, err := os.OpenFile(p.image(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	env, err := os.ReadFile(p.env())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.WriteAt(env, p.at); err != nil {
		t.Fatal(err)
	}
	p.started = p.grub(t)
	if _, err := disk.ReadAt(env, p.at); err != nil {
		t.Fatal(err)
	}
	write(t, p.env(), env)
	return real(t, p.env(), 2, &p.started)
}

var said = regexp.MustCompile(`start=\[([^\]]*)\]`)

// grub runs GRUB and tells which slot its script starts.
func (p *pc) grub(t testing.TB) string {
	t.Helper()
	out := run(t, "grub-emu", "-m", filepath.Join(p.dir, "device.map"), "-d", "/grub", "-r", "hd0")
	m := said.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("GRUB says %q", out)
	}
	return m[1]
}

func (*pc) CutAt(int) {}
func (*pc) Off() bool { return false }

func needEmulator(t testing.TB) {
	t.Helper()
	need(t, "grub-emu", "grub-emu")
	need(t, "mke2fs", "e2fsprogs")
	need(t, "debugfs", "e2fsprogs")
}

func TestBootOfTheRealGRUB(t *testing.T) {
	needEmulator(t)
	platformtest.TestBoot(t, platformtest.Harness{
		Kept: "a", Spare: "b", Attempts: 2,
		NoCut: "the power of an emulator cannot be cut: see TestBoot",
		New:   func(t testing.TB) platformtest.Machine { return newPC(t) },
	})
}

// TestScriptCountsDown: from 9, one at a time, and nothing else starts a trial.
func TestScriptCountsDown(t *testing.T) {
	needEmulator(t)
	p := newPC(t)
	b := real(t, p.env(), MaxAttempts, &p.started)
	if err := b.Try("b"); err != nil {
		t.Fatal(err)
	}
	for left := MaxAttempts - 1; left >= -2; left-- {
		want := state{kept: "a", trial: "b", left: max(left, 0)}
		slot := "b"
		if left < 0 {
			slot = "a"
		}
		if left <= 0 {
			want = state{kept: "a"}
		}
		p.PowerOn(t)
		if e, err := b.load(); e.state != want || p.started != slot || err != nil {
			t.Fatalf("started %s, left %+v, %v", p.started, e.state, err)
		}
	}
	for i, left := range []string{"", "0", "-1", "10", "x", "03"} {
		k := block{}
		k.set(varSlot, "a")
		k.set(varTrial, "b")
		k.set(varLeft, left)
		data, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		write(t, p.env(), data)
		if p.PowerOn(t); p.started != "a" {
			t.Errorf("%d: otad_left=%q starts %s", i, left, p.started)
		}
	}
}

// TestB1ScriptOnAnUnwritableBlock: GRUB reads it and cannot count, so it does
// not start the trial; and an environment that is none starts the first slot.
func TestB1ScriptOnAnUnwritableBlock(t *testing.T) {
	needEmulator(t)
	p := newPC(t)
	for name, env := range map[string]string{
		"no filling":  signature + "otad_slot=b\notad_trial=a\notad_left=3\n" + strings.Repeat("\x00", 970),
		"none at all": strings.Repeat("?", Size),
	} {
		write(t, p.env(), []byte(env + strings.Repeat("\x00", Size))[:Size])
		p.PowerOn(t)
		want := map[string]string{"no filling": "b", "none at all": "a"}[name]
		if p.started != want {
			t.Errorf("%s: started %s, want %s", name, p.started, want)
		}
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(fmt.Errorf("copy: %w", err))
	}
	write(t, to, data)
}
