package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func sh(script string) Command { return Command{Argv: []string{"/bin/sh", "-c", script, "sh"}} }

func TestCommandIsToldWhatItInstalls(t *testing.T) {
	dir := t.TempDir()
	u := Update{Device: lamp, From: "1.0.0", Version: "2.0.0", Path: dir + "/package", Size: 42, IsDiff: true, UDI: `{"a":"b c"}`}
	c := sh(`echo "$1 $OTAD_FILE $OTAD_SIZE $OTAD_FROM $OTAD_VERSION $OTAD_MODULE $OTAD_DIFF $OTAD_UDI $OTAD_SUB_PRODUCT_KEY $OTAD_SUB_DEVICE_NAME" > ` + dir + "/told")
	if err := c.Install(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "told"))
	if err != nil {
		t.Fatal(err)
	}
	p := u.Path
	if want := p + " " + p + ` 42 1.0.0 2.0.0 default 1 {"a":"b c"} sub lamp` + "\n"; string(b) != want {
		t.Errorf("told %q, want %q", b, want)
	}
}

func TestCommandExitCodes(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                           "",
		"exit 1":                           "exit status 1",
		"echo first; echo why >&2; exit 3": "exit status 3: why",
		"exit 21":                          ErrLater.Error(),
		"kill -9 $$":                       "killed",
	} {
		err := sh(script).Install(t.Context(), Update{Device: lamp, Path: "x"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || errors.Is(err, ErrLater) != (script == "exit 21") {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
	for name, c := range map[string]Command{"none": {}, "not there": {Argv: []string{"/no/such/program"}}} {
		if err := c.Install(t.Context(), Update{Device: lamp, Path: "x"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// W6: a program that hangs, with a child, is ended when its time is up, both of them.
func TestW6CommandThatHangs(t *testing.T) {
	pid := t.TempDir() + "/pid"
	c := sh("sleep 600 & echo $! > " + pid + "; wait")
	c.Timeout = 300 * time.Millisecond
	began := time.Now()
	err := c.Install(t.Context(), Update{Device: lamp, Path: "x"})
	if err == nil || !strings.Contains(err.Error(), "not done within 300ms") {
		t.Errorf("error %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if gone(child) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the child %d still runs", child)
}

// gone reports whether a process has ended; one that nobody has waited for yet has.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z ")
}

// A program that leaves a daemon behind has done its work all the same.
func TestCommandThatLeavesSomethingRunning(t *testing.T) {
	if err := sh("sleep 3 & exit 0").Install(t.Context(), Update{Device: lamp, Path: "x"}); err != nil {
		t.Error(err)
	}
}

func TestAskVersion(t *testing.T) {
	for script, want := range map[string]string{
		"echo 1.2.3; echo more":                            "1.2.3",
		"printf '\\n  1.2.3  '":                            "1.2.3",
		"echo $OTAD_SUB_PRODUCT_KEY.$OTAD_SUB_DEVICE_NAME": "sub.lamp",
		"exit 1": "",
	} {
		v, err := AskVersion(t.Context(), lamp, []string{"/bin/sh", "-c", script})
		if v != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", script, v, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := AskVersion(ctx, ota.Device{}, []string{"/bin/sh", "-c", "sleep 60"}); err == nil {
		t.Error("no error of a program that hangs")
	}
}
