package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
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
