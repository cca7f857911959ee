// Command conformance runs the tests that carry the id of a rule, a fault, a
// cloud API action or a section of the protocol, and prints which of them hold:
// docs/conformance.md is its output and is never written by hand.
//
// A test carries an id when its name begins with it (TestP17..., TestN3N4...) or
// its comment names it, or docs/conformance.map says so, which has titles and notes too.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "the checkout")
	out := flag.String("out", "", "file to write; none is stdout")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, *root, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "conformance: a rule has no test that passes")
		os.Exit(1)
	}
}

func run(ctx context.Context, root, out string) (ok bool, err error) {
	src, err := scan(root)
	if err != nil {
		return false, err
	}
	rules, err := readRows(filepath.Join(root, "docs/platform-rules.md"))
	if err != nil {
		return false, err
	}
	known, err := readMap(filepath.Join(root, "docs/conformance.map"))
	if err != nil {
		return false, err
	}
	src.add(known)
	results, err := runTests(ctx, root, src.names())
	if err != nil {
		return false, err
	}
	var page bytes.Buffer
	ok = write(&page, src, rules, known, results)
	if out == "" {
		_, err = os.Stdout.Write(page.Bytes())
		return ok, err
	}
	return ok, os.WriteFile(out, page.Bytes(), 0o644)
}
