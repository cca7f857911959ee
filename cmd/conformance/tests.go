package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// runTests runs tests by name in all packages, and gives for each "pass",
// "fail" or "skip". A name that stands in several packages has the worst.
func runTests(ctx context.Context, root string, names []string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout", "20m", "-run", "^("+strings.Join(names, "|")+")$", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	results := map[string]string{}
	for line := range bytes.Lines(out) {
		var event struct{ Action, Test, Package string }
		if json.Unmarshal(line, &event) != nil {
			continue
		}
		if event.Test == "" && event.Action == "fail" {
			fmt.Fprintln(os.Stderr, "failed:", event.Package)
		}
		switch event.Action {
		case "pass", "fail", "skip":
			if event.Test != "" && !strings.Contains(event.Test, "/") && results[event.Test] != "fail" {
				results[event.Test] = event.Action
			}
		}
	}
	if len(results) == 0 {
		return nil, errors.New("no test was run")
	}
	return results, nil
}
