package ota_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNamesExist keeps the tables from rotting: every test, fuzz target and
// script that a page names is there.
func TestNamesExist(t *testing.T) {
	have := testsOf(t, ".")
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	script := regexp.MustCompile(`[\w/]+\.txtar`)
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	count := 0
	for _, page := range append(pages, "README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if count++; !have[name] {
				t.Errorf("%s names %s, which is nowhere in the sources", page, name)
			}
		}
		for _, path := range script.FindAllString(string(text), -1) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s names %s: %v", page, path, err)
			}
		}
	}
	if count < 100 {
		t.Errorf("only %d names were found", count)
	}
}

// TestRulesAreListed wants a row for each of the platform's rules, in both tables.
func TestRulesAreListed(t *testing.T) {
	for _, page := range []string{"conformance.md", "platform-rules.md"} {
		text, err := os.ReadFile(filepath.Join("docs", page))
		if err != nil {
			t.Fatal(err)
		}
		rows := regexp.MustCompile(`(?m)^\| P(\d+) \|`).FindAllString(string(text), -1)
		if slices.Sort(rows); len(slices.Compact(rows)) != 55 {
			t.Errorf("%s has %d rules, wanted are 55", page, len(rows))
		}
	}
}

// TestLinks wants every relative link of a page to lead to a file.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	pages, _ := filepath.Glob("docs/*.md")
	for _, page := range append(pages, "README.md", "CHANGELOG.md", "changelog.d/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// testsOf collects the names of test functions in all _test.go files, and in the
// suites that are ordinary code.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	decl := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range decl.FindAllSubmatch(src, -1) {
			have[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return have
}
