package uboot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tool runs one of Debian's programs.
func tool(t testing.TB, pkg, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if testing.Short() {
			t.Skipf("not checked against the real tools in a short run: %v (apt-get install %s)", err, pkg)
		}
		t.Fatalf("%v: this test needs it (apt-get install %s)", err, pkg)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func printenv(t testing.TB, config string) map[string]string {
	t.Helper()
	vars := map[string]string{}
	for line := range strings.Lines(tool(t, "libubootenv-tool", "fw_printenv", "-c", config)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		vars[name] = value
	}
	return vars
}

// realEnv makes an environment with mkenvimage, and gives its fw_env.config and
// its files.
func realEnv(t testing.TB, copies int, text string) (config string, files []string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "text")
	write(t, source, []byte(text))
	args := []string{"-s", "0x2000"}
	if copies == 2 {
		args = append(args, "-r")
	}
	var lines string
	for i := range copies {
		file := filepath.Join(dir, fmt.Sprintf("uboot%d.env", i))
		tool(t, "u-boot-tools", "mkenvimage", append(args, "-o", file, source)...)
		files = append(files, file)
		lines += file + " 0x0 0x2000\n"
	}
	config = filepath.Join(dir, "fw_env.config")
	write(t, config, []byte("# made for a test\n"+lines))
	return config, files
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRealTools: what mkenvimage and fw_setenv write we read, what we write
// fw_printenv reads, in turns.
func TestRealTools(t *testing.T) {
	for _, copies := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d copies", copies), func(t *testing.T) {
			config, _ := realEnv(t, copies, "otad_slot=a\nbootcmd=run x; if test 1 = 1; then echo \"a=b\"; fi\nzz=1\naa=2\n")
			want := map[string]string{"otad_slot": "a", "bootcmd": `run x; if test 1 = 1; then echo "a=b"; fi`, "zz": "1", "aa": "2"}
			same := func(when string) *Env {
				t.Helper()
				e, err := Open(config)
				if err != nil {
					t.Fatalf("%s: %v", when, err)
				}
				if d := cmp.Diff(want, e.All()); d != "" {
					t.Fatalf("%s: ours (-want +got)\n%s", when, d)
				}
				if d := cmp.Diff(want, printenv(t, config)); d != "" {
					t.Fatalf("%s: fw_printenv (-want +got)\n%s", when, d)
				}
				return e
			}
			same("mkenvimage")
			for turn := range 300 { // the flag goes round more than once
				if turn > 4 && turn < 250 { // without the tools, which are slow
					set(t, config, "turn", fmt.Sprint(turn))
					continue
				}
				name := fmt.Sprintf("var%d", turn%3)
				want[name], want["turn"] = fmt.Sprint("ours ", turn), fmt.Sprint(turn)
				set(t, config, name, want[name])
				set(t, config, "turn", want["turn"])
				same("we wrote")
				if turn%20 == 0 || turn < 5 {
					want["theirs"] = fmt.Sprint("turn ", turn)
					tool(t, "libubootenv-tool", "fw_setenv", "-c", config, "theirs", want["theirs"])
					same("fw_setenv wrote")
				}
			}
			delete(want, "zz")
			set(t, config, "zz", "")
			same("removed")
		})
	}
}

func set(t testing.TB, config, name, value string) {
	t.Helper()
	e, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Set(map[string]string{name: value}); err != nil {
		t.Fatal(err)
	}
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
}

// TestOrderIsKept: mkenvimage keeps the order of its text, and so do we.
func TestOrderIsKept(t *testing.T) {
	config, files := realEnv(t, 1, "z=1\nm=2\na=3\n")
	e, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Set(map[string]string{"m": "two", "new": "4", "gone": "", "b": "5"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Save(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := strings.Cut(string(raw[4:]), "\x00\x00"); got != "z=1\x00m=two\x00a=3\x00b=5\x00new=4" {
		t.Errorf("%q", got)
	}
}

// TestBigEndian: U-Boot writes the checksum in the machine's byte order.
func TestBigEndian(t *testing.T) {
	dir := t.TempDir()
	file, config, text := filepath.Join(dir, "uboot.env"), filepath.Join(dir, "config"), filepath.Join(dir, "text")
	write(t, text, []byte("otad_slot=b\n"))
	tool(t, "u-boot-tools", "mkenvimage", "-b", "-s", "0x1000", "-o", file, text)
	write(t, config, []byte(file+" 0 1000\n"))
	set(t, config, "x", "y")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if img := decode(raw, false); !img.whole() || !img.big {
		t.Errorf("whole %v, big-endian %v", img.whole(), img.big)
	}
}

// TestDefaultEnvironment: what packaging/uboot ships is one, and fits.
func TestDefaultEnvironment(t *testing.T) {
	text := filepath.Join("..", "..", "packaging", "uboot", "environment.txt")
	b, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := parseText(string(b))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "env")
	tool(t, "u-boot-tools", "mkenvimage", "-r", "-s", "0x4000", "-o", file, text)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	img := decode(raw, true)
	if d := cmp.Diff(img.vars, ours); d != "" || !img.whole() {
		t.Errorf("whole %v (-mkenvimage +ours)\n%s", img.whole(), d)
	}
	for _, name := range []string{"bootcmd", "altbootcmd", varSlot, varTrying, varCount, varLimit} {
		if _, ok := ours.get(name); !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestBootScript: the script is one that mkimage takes.
func TestBootScript(t *testing.T) {
	out := filepath.Join(t.TempDir(), "boot.scr")
	tool(t, "u-boot-tools", "mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-n", "otad",
		"-d", filepath.Join("..", "..", "packaging", "uboot", "boot.cmd"), out)
	if got := tool(t, "u-boot-tools", "mkimage", "-l", out); !strings.Contains(got, "AArch64 Linux Script") {
		t.Errorf("%s", got)
	}
}
