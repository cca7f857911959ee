package systemdboot

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leapslot/ota/platform/internal/forgetful"
)

// TestBootctl: systemd's own bootctl reads our files, and orders them as the
// machine of the other tests does.
func TestBootctl(t *testing.T) {
	if _, err := exec.LookPath("bootctl"); err != nil {
		t.Skip("bootctl is not installed (Debian package systemd-boot)")
	}
	// It wants a file system of its own for the partition.
	const script = `mount -t tmpfs none "$1" && cp -r "$2"/. "$1" && SYSTEMD_RELAX_ESP_CHECKS=1 bootctl --esp-path="$1" list --json=short`
	if out, err := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "none", t.TempDir()).CombinedOutput(); err != nil {
		t.Skipf("no mounts here: %v %s (run it as root)", err, out)
	}
	m := installed(t, forgetful.Everything)
	var seen []string
	compare := func() {
		t.Helper()
		dir := t.TempDir()
		for path, text := range map[string]string{"otad/a/linux": "", "otad/b/linux": "", "EFI/x": ""} {
			write(t, filepath.Join(dir, path), text)
		}
		var want []string
		for _, e := range m.list(t) {
			data, err := readFile(m, filepath.Join(entries, e.file))
			must(t, err)
			write(t, filepath.Join(dir, "loader/entries", e.file), string(data))
			want = append(want, e.file)
		}
		out, err := exec.Command("unshare", "-m", "sh", "-c", script, "sh", t.TempDir(), dir).Output()
		if err != nil {
			t.Fatalf("bootctl: %v\n%s", err, out)
		}
		var got []string
		first := ""
		for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
			var e struct{ Path, Options string }
			must(t, d.Decode(&e))
			if got = append(got, filepath.Base(e.Path)); len(got) == 1 {
				first = e.Options
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("bootctl has %v, the tests have %v", got, want)
		}
		if first != "root=PARTLABEL="+m.running+" ro quiet otad.slot="+m.running {
			t.Errorf("%s runs, and %q is first", m.running, first)
		}
		seen = append(seen, got[0])
	}
	compare()
	must(t, m.boots(t, "a").Try("b"))
	m.boots(t, "b")
	compare()
	m.boots(t, "b", "b", "a")
	compare()
	must(t, m.open(t).Try("b"))
	must(t, m.boots(t, "b").Keep())
	compare()
	if want := []string{"otad-a.conf", "otad-b+2-1.conf", "otad-a.conf", "otad-b.conf"}; !slices.Equal(seen, want) {
		t.Errorf("first were %v, want %v", seen, want)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600))
}
