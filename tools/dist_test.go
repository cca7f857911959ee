// Package tools has no code of its own, only the pins of the programs that make
// releases. Its tests look at what they make.
package tools

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exposureLimit is how open to the rest of the system a unit may be, in the words
// of systemd-analyze security.
const exposureLimit = 3.5

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// build makes the package of this machine into dir, as make dist does.
func build(t *testing.T, dir string) (deb string) {
	t.Helper()
	nfpm, agent := filepath.Join(dir, "nfpm"), filepath.Join(dir, "otad")
	run(t, ".", "go", "build", "-o", nfpm, "github.com/goreleaser/nfpm/v2/cmd/nfpm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", agent, "./cmd/otad")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run(t, "..", "make", "-s", "man")
	arch := strings.TrimSpace(run(t, ".", "dpkg", "--print-architecture"))
	run(t, "..", "packaging/build.sh", "v1.2.3-rc1", nfpm, dir, arch+"="+agent)
	return filepath.Join(dir, "otad_1.2.3~rc1_"+arch+".deb")
}

func TestDeb(t *testing.T) {
	dir := t.TempDir()
	deb := build(t, dir)
	t.Run("control", func(t *testing.T) {
		for field, want := range map[string]string{"Package": "otad", "Version": "1.2.3~rc1", "Depends": "", "Section": "admin"} {
			if got := strings.TrimSpace(run(t, ".", "dpkg-deb", "--field", deb, field)); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		}
		// The owner's changes to the configuration are kept, and nothing else is the owner's.
		if got := run(t, ".", "dpkg-deb", "--info", deb, "conffiles"); got != "/etc/otad/config.toml\n" {
			t.Errorf("the conffiles are %q", got)
		}
	})
	t.Run("contents", func(t *testing.T) { contents(t, run(t, ".", "dpkg-deb", "--contents", deb)) })
	t.Run("unpacked", func(t *testing.T) { unpacked(t, deb, filepath.Join(dir, "root")) })
	t.Run("lintian", func(t *testing.T) {
		if out := run(t, ".", "lintian", "--allow-root", "--fail-on", "error,warning", deb); strings.TrimSpace(out) != "" {
			t.Error(out)
		}
	})
	t.Run("again", func(t *testing.T) {
		first := digest(t, deb)
		if again := digest(t, build(t, t.TempDir())); again != first {
			t.Errorf("the same sources made two packages: %s and %s", first, again)
		}
	})
}

func digest(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

func contents(t *testing.T, list string) {
	mode := map[string]string{}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if f[1] != "root/root" {
			t.Errorf("not root's: %s", line)
		}
		mode[strings.TrimPrefix(f[5], ".")] = f[0]
	}
	const program, file, secret, folder = "-rwxr-xr-x", "-rw-r--r--", "-rw-------", "drwxr-xr-x"
	for path, want := range map[string]string{
		"/usr/bin/otad":                                           program,
		"/etc/otad/config.toml":                                   secret,
		"/etc/otad/config.d/":                                     folder,
		"/usr/lib/systemd/system/otad.service":                    file,
		"/usr/lib/systemd/system/otad-mark-good.service":          file,
		"/usr/share/bash-completion/completions/otad":             file,
		"/usr/share/zsh/vendor-completions/_otad":                 file,
		"/usr/share/fish/vendor_completions.d/otad.fish":          file,
		"/usr/share/man/man1/otad.1.gz":                           file,
		"/usr/share/man/man1/otad-run.1.gz":                       file,
		"/usr/share/doc/otad/copyright":                           file,
		"/usr/share/doc/otad/licences.gz":                         file,
		"/usr/share/doc/otad/changelog.gz":                        file,
		"/usr/share/doc/otad/examples/uboot/boot.cmd":             file,
		"/usr/share/doc/otad/examples/grub/otad.cfg":              file,
		"/usr/share/doc/otad/examples/tryboot/autoboot.txt":       file,
		"/usr/share/doc/otad/examples/otad.service.d/module.conf": file,
	} {
		if mode[path] != want {
			t.Errorf("%s has the mode %q, want %q", path, mode[path], want)
		}
	}
	// State is made by systemd, and dpkg knows nothing of it: so it removes none.
	for path, m := range mode {
		if strings.HasPrefix(path, "/var") || strings.HasPrefix(path, "/usr/bin/") && path != "/usr/bin/" && path != "/usr/bin/otad" {
			t.Errorf("%s should not be in the package", path)
		}
		if m[5] == 'w' || m[8] == 'w' || strings.ContainsAny(m, "sStT") {
			t.Errorf("%s has the mode %s", path, m)
		}
	}
}

func unpacked(t *testing.T, deb, root string) {
	run(t, ".", "dpkg-deb", "--extract", deb, root)
	for in, from := range map[string]string{
		"etc/otad/config.toml":                          "config.toml",
		"usr/lib/systemd/system/otad.service":           "otad.service",
		"usr/lib/systemd/system/otad-mark-good.service": "otad-mark-good.service",
	} {
		if digest(t, filepath.Join(root, in)) != digest(t, filepath.Join("..", "packaging", from)) {
			t.Errorf("%s is not packaging/%s", in, from)
		}
	}
	program, err := elf.Open(filepath.Join(root, "usr/bin/otad"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("the program wants a dynamic linker")
		}
	}
	licences := run(t, ".", "zcat", filepath.Join(root, "usr/share/doc/otad/licences.gz"))
	for module := range strings.Lines(run(t, "..", "go", "list", "-deps", "-f", "{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}{{end}}{{end}}", "./cmd/otad")) {
		if !strings.Contains(licences, "==== "+strings.TrimSpace(module)) {
			t.Errorf("no licence of %s", module)
		}
	}
}

// TestExposure: what the units leave open, and whether systemd understands all of them.
func TestExposure(t *testing.T) {
	for _, unit := range []string{"otad.service", "otad-mark-good.service"} {
		out := run(t, "..", "systemd-analyze", "security", "--no-pager", "--offline=true", "packaging/"+unit)
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s: systemd-analyze says no exposure:\n%s", unit, out)
		}
		if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > exposureLimit {
			t.Errorf("%s: exposure %s (%v), the limit is %v", unit, m[1], err, exposureLimit)
		} else {
			t.Logf("%s: exposure %s", unit, m[1])
		}
	}
}

// TestVersion: dpkg must find a later version later.
func TestVersion(t *testing.T) {
	order := []struct{ described, want string }{
		{"b175afc", "0~1700000000.gb175afc"},
		{"b175afc-dirty", "0~1700000000.gb175afc+dirty"},
		{"v0.1.0-alpha1", "0.1.0~alpha1"},
		{"v0.1.0-rc1", "0.1.0~rc1"},
		{"v0.1.0-rc1-4-g0123456", "0.1.0~rc1+4.g0123456"},
		{"v0.1.0", "0.1.0"},
		{"v0.1.0-12-g0123456", "0.1.0+12.g0123456"},
		{"v0.1.1", "0.1.1"},
		{"v0.10.0", "0.10.0"},
	}
	before := ""
	for _, v := range order {
		got := strings.TrimSpace(run(t, "..", "packaging/version.sh", v.described, "1700000000"))
		if got != v.want {
			t.Errorf("%s is %s, want %s", v.described, got, v.want)
		}
		if before != "" {
			run(t, ".", "dpkg", "--compare-versions", before, "lt", got)
		}
		before = got
	}
}

// TestScripts: what they do is proved by make lab, under a real systemd.
func TestScripts(t *testing.T) {
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		run(t, "..", "sh", "-n", "packaging/deb/"+script)
	}
}
