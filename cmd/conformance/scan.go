package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// source is what the files say.
type source struct {
	tests   map[string][]string // by id, or action, or "section N": names of tests
	where   map[string][]string // by id: files that name it in a comment
	actions []string            // of the cloud API's table
}

const tablePath = "simulator/server/openapi/table.go"

var (
	idPattern      = regexp.MustCompile(`\b[PNSWKTBIF]\d+\b`)
	namePattern    = regexp.MustCompile(`^Test((?:[PNSWKTBIF]\d+)+)`)
	oneID          = regexp.MustCompile(`[PNSWKTBIF]\d+`)
	sectionPattern = regexp.MustCompile(`protocol section (\d+)`)
)

func scan(root string) (*source, error) {
	s := &source{tests: map[string][]string{}, where: map[string][]string{}}
	files := token.NewFileSet()
	table, err := parser.ParseFile(files, filepath.Join(root, tablePath), nil, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(table, func(n ast.Node) bool {
		field, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		if key, ok := field.Key.(*ast.Ident); !ok || key.Name != "name" {
			return true
		}
		if l, ok := field.Value.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if name, err := strconv.Unquote(l.Value); err == nil {
				s.actions = append(s.actions, name)
			}
		}
		return true
	})
	slices.Sort(s.actions)
	s.actions = slices.Compact(s.actions)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "build"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			s.readTests(file, rel)
			return nil
		}
		for _, group := range file.Comments {
			for _, id := range idPattern.FindAllString(group.Text(), -1) {
				s.where[id] = append(s.where[id], rel)
			}
		}
		return nil
	})
	for _, lists := range []map[string][]string{s.tests, s.where} {
		for id := range lists {
			slices.Sort(lists[id])
			lists[id] = slices.Compact(lists[id])
		}
	}
	return s, err
}

func (s *source) readTests(file *ast.File, path string) {
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") || fn.Name.Name == "TestMain" || fn.Type.Params.NumFields() != 1 {
			continue
		}
		name := fn.Name.Name
		add := func(id string) { s.tests[id] = append(s.tests[id], name) }
		if m := namePattern.FindStringSubmatch(name); m != nil {
			for _, id := range oneID.FindAllString(m[1], -1) {
				add(id)
			}
		}
		for _, id := range idPattern.FindAllString(fn.Doc.Text(), -1) {
			add(id)
		}
		for _, m := range sectionPattern.FindAllStringSubmatch(fn.Doc.Text(), -1) {
			add("section " + m[1])
		}
		if strings.HasPrefix(path, "simulator/server/openapi/") {
			s.readCalls(fn, add)
		}
	}
}

// readCalls finds the actions that a test calls, through the official client or
// by name.
func (s *source) readCalls(fn *ast.FuncDecl, add func(string)) {
	ast.Inspect(fn, func(n ast.Node) bool {
		name := ""
		switch n := n.(type) {
		case *ast.SelectorExpr:
			name = n.Sel.Name
		case *ast.BasicLit:
			name = strings.Trim(n.Value, "`\"")
		}
		if _, ok := slices.BinarySearch(s.actions, name); ok {
			add(name)
		}
		return true
	})
}

// names are all tests that carry something.
func (s *source) names() []string {
	var all []string
	for _, names := range s.tests {
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// readRows reads the rows "| id | text |" of a page.
func readRows(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (P\d+) \| (.*) \|$`).FindAllStringSubmatch(string(b), -1) {
		rows[m[1]] = m[2]
	}
	return rows, nil
}

// entry is what the map says of an id.
type entry struct {
	title string
	note  string
	tests []string
}

// readMap reads lines "id | title | note | tests".
func readMap(path string) (map[string]entry, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := map[string]entry{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 || strings.HasPrefix(line, "#") {
			continue
		}
		m[strings.TrimSpace(cells[0])] = entry{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.Fields(cells[3])}
	}
	return m, nil
}

// add gives the tests of the map to the ids they belong to.
func (s *source) add(m map[string]entry) {
	for id, e := range m {
		s.tests[id] = append(s.tests[id], e.tests...)
		slices.Sort(s.tests[id])
		s.tests[id] = slices.Compact(s.tests[id])
	}
}
