package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// asMain, set in the environment, makes the test binary behave as otasim.
const asMain = "OTASIM_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		os.Exit(run())
	}
	testscript.Main(m, map[string]func(){"otasim": func() { os.Exit(run()) }})
}

// TestScripts runs the real main by scripts, with two commands more: `await FILE WORD
// [NAME]` waits until FILE has a line that begins with WORD, and sets the variable NAME
// to the rest of it; `capture NAME KEY FILE` sets NAME to the first "KEY":"..." of FILE.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(time.Minute),
		Cmds:     map[string]func(*testscript.TestScript, bool, []string){"await": awaitLine, "capture": captureText},
	})
}
