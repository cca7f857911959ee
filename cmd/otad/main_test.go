package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes otad a command of the scripts, and of the tests that start it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"otad": main})
}

// TestScripts runs the real main by scripts, with one command more: `code N CMD
// ARG...` runs a command that must exit with N.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(time.Minute),
		Cmds:     map[string]func(*testscript.TestScript, bool, []string){"code": wantCode},
		Setup:    vectors,
	})
}

// vectors gives the scripts the project's signed file: VECTORS is its directory,
// FW_SHA256 its digest and FW_SIGNATURE the digestsign of that.
func vectors(e *testscript.Env) error {
	dir, err := filepath.Abs(filepath.Join("..", "..", "testdata", "vectors"))
	if err != nil {
		return err
	}
	fw, err := os.ReadFile(filepath.Join(dir, "fw.bin"))
	if err != nil {
		return err
	}
	sig, err := os.ReadFile(filepath.Join(dir, "digestsign_sha256.b64"))
	if err != nil {
		return err
	}
	e.Setenv("VECTORS", dir)
	e.Setenv("FW_SHA256", fmt.Sprintf("%x", sha256.Sum256(fw)))
	e.Setenv("FW_SIGNATURE", strings.TrimSpace(string(sig)))
	return nil
}

func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code n command arg...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, wanted is %d", args[1:], got, want)
	}
}

// The packaged file is the one that otad prints.
func TestPackagedConfig(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "packaging", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != defaultConfig {
		t.Error("packaging/config.toml is not what `otad config default` prints: copy cmd/otad/default.toml there")
	}
}
