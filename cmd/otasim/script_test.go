package main

import (
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const awaitFor = 20 * time.Second

// awaitLine implements `await FILE WORD [NAME]`.
func awaitLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await file word [name]")
	}
	for end := time.Now().Add(awaitFor); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			rest, ok := strings.CutPrefix(line, args[1])
			if !ok || !strings.HasSuffix(rest, "\n") {
				continue
			}
			if len(args) == 3 {
				ts.Setenv(args[2], strings.TrimSpace(rest))
			}
			return
		}
	}
	ts.Fatalf("%s never had a line that begins with %q", args[0], args[1])
}

// captureText implements `capture NAME KEY FILE`.
func captureText(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture name key file")
	}
	_, rest, ok := strings.Cut(ts.ReadFile(args[2]), `"`+args[1]+`":"`)
	value, _, end := strings.Cut(rest, `"`)
	if !ok || !end || value == "" {
		ts.Fatalf("%s has no %q", args[2], args[1])
	}
	ts.Setenv(args[0], value)
}
