package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/agent"
)

// testStart is a time that does not matter.
var testStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "65536": 65536, "64KiB": 64 << 10, "64 KiB": 64 << 10, "128MiB": 128 << 20, "1GiB": 1 << 30,
		"2GB": 2e9, "3MB/s": 3e6, "4k": -1, "5kB": 5000, "6K": 6 << 10, "7M": 7 << 20, "8B": 8,
		"": -1, "x": -1, "-1": -1, "1.5MiB": -1, "9223372036854775807": 1<<63 - 1, "9007199254740993KiB": -1, "MiB": -1,
	} {
		var s size
		err := s.UnmarshalText([]byte(text))
		if (want < 0) != (err != nil) || (err == nil && int64(s) != want) {
			t.Errorf("%q: %d, %v; wanted is %d", text, s, err, want)
			continue
		}
		var again size
		if again.UnmarshalText([]byte(s.String())) != nil || again != s {
			t.Errorf("%q is written as %q, which is %d", text, s.String(), again)
		}
	}
}

// What is written is read as the same, by the configuration's own reader.
func TestShowRoundTrip(t *testing.T) {
	a := &app{in: strings.NewReader(defaultConfig), file: "-", set: []string{
		"download.rate_limit=1MiB", `health.commands=[["a", "b c"], ["d"]]`, `health.timeout=90s`, `device.device_secret_file=`,
		"device.device_secret=\"quoted\" and\ttab", `boot.attempts=7`, "health.cloud=false"}}
	first, err := a.load()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := first.show(&text, true); err != nil {
		t.Fatal(err)
	}
	shown := strings.Replace(text.String(), "'"+hidden+"'", `"\"quoted\" and\ttab"`, 1)
	second, err := (&app{in: strings.NewReader(shown), file: "-"}).load()
	if err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	if one, two := fmt.Sprintf("%+v", first.config), fmt.Sprintf("%+v", second.config); one != two {
		t.Errorf("shown and read again:\n%s\n%s", one, two)
	}
}

// Every key has an environment variable of its own, and none is one of those
// that commands are given.
func TestEnvNames(t *testing.T) {
	seen := map[string]string{}
	for _, k := range keys() {
		if k.tables() {
			continue
		}
		if other := seen[k.env()]; other != "" {
			t.Errorf("%s is both %s and %s", k.env(), other, k.path)
		}
		seen[k.env()] = k.path
		if got, isSetting, _ := fromEnv(k.env()); !isSetting || got.path != k.path {
			t.Errorf("%s sets %q, wanted is %s", k.env(), got.path, k.path)
		}
	}
	for _, name := range append(hookEnv[:], "OTAD", "OTAD_BIN", "PATH") {
		if _, isSetting, known := fromEnv(name); isSetting || !known {
			t.Errorf("%s: a setting %v, known %v", name, isSetting, known)
		}
	}
}

// The complete file names every key, and what it has commented out is right too.
func TestDefaultIsComplete(t *testing.T) {
	for _, k := range keys() {
		name := strings.TrimPrefix(k.path, k.section()+".")
		if !strings.Contains(defaultConfig, "\n"+name+" = ") && !strings.Contains(defaultConfig, "\n# "+name+" = ") &&
			!strings.Contains(defaultConfig, "\n[["+k.path+"]]") && !strings.Contains(defaultConfig, "\n#[["+k.path+"]]") {
			t.Errorf("%s is not in the default configuration", k.path)
		}
	}
	var all strings.Builder
	for line := range strings.Lines(defaultConfig) {
		if rest, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(rest, " = ") && !strings.HasSuffix(strings.TrimSpace(rest), ".") {
			if name, _, _ := strings.Cut(rest, " "); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "" && name != "have" {
				line = rest
			}
		}
		all.WriteString(line)
	}
	if wrong := strict("default", []byte(all.String())); len(wrong) > 0 {
		t.Errorf("with all comments taken away:\n%v\n%s", wrong, wrong[0].Excerpt)
	}
}

// K1: a clock before the build counts as the build's time.
func TestK1ClockFloor(t *testing.T) {
	b := build{Time: testStart}
	for now, want := range map[time.Time]time.Time{
		time.Unix(0, 0):          testStart,
		testStart.Add(time.Hour): testStart.Add(time.Hour),
	} {
		if got := b.clock(func() time.Time { return now })(); !got.Equal(want) {
			t.Errorf("at %v it is %v", now, got)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{errors.New("x"), 1, "otad: x\n"},
		{usagef("check", "no"), 64, "otad: check: no\n"},
		{&exitError{code: 16}, 16, ""},
		{fmt.Errorf("open: %w", fs.ErrPermission), 77, "otad: open: permission denied\n"},
		{fileError(exitConfig, "config", "f", &fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, "x"), 77,
			"otad: config: f: permission denied (run as a user who may, root for instance)\n"},
		{unreachable("status", "s", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}), 77,
			"otad: status: s: permission denied (run as root)\n"},
		{context.Canceled, 1, "otad: interrupted\n"},
		{&exitError{78, problems{{Where: position{"f", 1, 2}, Key: "k", Why: "w", Todo: "t", Excerpt: "e\n"}}}, 78, "otad: config: f:1:2: k: w (t)\ne\n"},
	} {
		var out bytes.Buffer
		a := &app{err: &out}
		if code := a.explain(c.err); code != c.code || out.String() != c.text {
			t.Errorf("%v: exit code %d and %q, wanted are %d and %q", c.err, code, out.String(), c.code, c.text)
		}
	}
}

// A version is the first line of a file, or of what a command prints that is told
// where it runs.
func TestReadVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "version")
	if err := os.WriteFile(file, []byte(" 1.2.3 \nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	here := place{slot: "b", path: "/b.img"}
	for _, c := range []struct {
		m    moduleConfig
		want string
		ok   bool
	}{
		{moduleConfig{VersionFile: file}, "1.2.3", true},
		{moduleConfig{VersionFile: file + "x"}, "", false},
		{moduleConfig{Name: "mcu", VersionCommand: []string{"sh", "-c", `echo "$OTAD_MODULE-$OTAD_SLOT-$OTAD_SLOT_PATH"; echo more`}}, "mcu-b-/b.img", true},
		{moduleConfig{VersionCommand: []string{"sh", "-c", "echo why >&2; exit 3"}}, "", false},
		{moduleConfig{VersionCommand: []string{"/no/such/command"}}, "", false},
	} {
		got, err := readVersion(c.m, here)(t.Context())
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%+v: %q, %v", c.m, got, err)
		}
	}
	if readVersion(moduleConfig{Version: "1"}, here) != nil {
		t.Error("a version of the configuration is read from somewhere")
	}
}

// The keys of the status are those that scripts rely on.
func TestStatusKeys(t *testing.T) {
	b, err := json.Marshal(newStatus(agent.Status{Last: &agent.Result{}}, true, "1"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"version", "module", "slot", "stage", "percent", "notice", "last"} {
		if _, ok := got[k]; !ok {
			t.Errorf("the status has no %q: %s", k, b)
		}
	}
	last, _ := got["last"].(map[string]any)
	for _, k := range []string{"step", "reason", "version"} {
		if _, ok := last[k]; !ok {
			t.Errorf("last has no %q: %s", k, b)
		}
	}
}

// FuzzConfig: no configuration makes it panic, and one that is accepted is
// accepted again as it is shown.
func FuzzConfig(f *testing.F) {
	f.Add(defaultConfig)
	f.Add("health.timeout = 5\nslots.size = 1.5\n[[module]]\n")
	f.Add("[device]\n'product key' = {a = [1, {b = 2}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		a := &app{in: strings.NewReader(text), file: "-"}
		s, err := a.load()
		if err != nil {
			_ = err.Error()
			return
		}
		var shown bytes.Buffer
		if err := s.show(&shown, true); err != nil {
			t.Fatal(err)
		}
		a = &app{in: &shown, file: "-"}
		if _, err := a.load(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}
