package console

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// saying are the functions that make refusals, and which of their arguments is the pattern.
func saying() map[string]int {
	return map[string]int{"fail": 2, "say": 0, "Say": 0, "add": 1, "tooLarge": -1, "refuse": 2}
}

// patternsOf collects the patterns of all refusals that the sources of a folder can give.
func patternsOf(t *testing.T, dir string, wants func(file, function string) bool) []string {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			function := ""
			switch f := call.Fun.(type) {
			case *ast.Ident:
				function = f.Name
			case *ast.SelectorExpr:
				function = f.Sel.Name
			}
			at, ok := saying()[function]
			if !ok || at < 0 || at >= len(call.Args) || !wants(name, function) {
				return true
			}
			if text, ok := call.Args[at].(*ast.BasicLit); ok && text.Kind == token.STRING {
				s, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, s)
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestRefusalsAreSaid: whatever the model, a list of devices or a file can be refused with
// has a sentence in each language, with the same places, and none of them is beyond what
// the refusal has to put there.
func TestRefusalsAreSaid(t *testing.T) {
	all := patternsOf(t, "../..", func(file, function string) bool {
		return (function == "fail" || function == "Say") && file != "apply_gateway.go"
	})
	if len(all) < 100 {
		t.Fatalf("only %d refusals of the model were found: the patterns of this test are wrong", len(all))
	}
	all = append(all, patternsOf(t, "../../..", func(_, function string) bool { return function == "say" })...)
	all = append(all, patternsOf(t, "../openapi", func(file, _ string) bool { return file == "devicelist.go" })...)
	all = append(all, "the file is empty", "the file is larger than %d bytes (%d MB)", "the form ends early or is malformed") // packages.Store.Put
	files := patternsOf(t, "../packages", func(_, function string) bool { return function == "refuse" })
	verbs := regexp.MustCompile(`%[.0-9]*[a-z]`)
	places := regexp.MustCompile(`\{([a-z0-9]+)\}`)
	for _, l := range languages() {
		words, err := loadCatalog(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range all {
			said, ok := words[refusedKey+pattern]
			if !ok {
				t.Errorf("%s has no sentence for %q", l, pattern)
			}
			for _, place := range places.FindAllStringSubmatch(said, -1) {
				if n, err := strconv.Atoi(place[1]); err != nil || n < 1 || n > len(verbs.FindAllString(pattern, -1)) {
					t.Errorf("%s puts %s into %q", l, place[0], pattern)
				}
			}
		}
		for key := range words { // and nothing stands there that nobody says
			pattern, is := strings.CutPrefix(key, refusedKey)
			if is && !strings.HasPrefix(key, wordKey) && !slices.Contains(all, pattern) && !slices.Contains(files, pattern) {
				t.Errorf("%s has a sentence for %q, which nothing is refused with", l, pattern)
			}
		}
	}
}

// TestRefusalArguments: words are translated, what a user gave is not, and is clipped.
func TestRefusalArguments(t *testing.T) {
	all, err := loadPages(assets{})
	if err != nil {
		t.Fatal(err)
	}
	c := simulator.New(simulator.Options{})
	_, model := c.Apply(simulator.CreateProduct{Name: strings.Repeat("x", 31)}, time.Unix(1, 0))
	for _, tc := range []struct {
		err    error
		en, zh string
	}{
		{model, "The name has 31 characters, allowed are at most 30", "名称有 31 个字符，长度不能超过 30 个字符（一个中文计为一个字符）。"},
		{ota.CheckAlias("v"), "Alias “v” has 1 characters, allowed are 4 to 64", "模块别名“v”有 1 个字符，长度限制为 4~64 个字符。"},
		{ota.CheckVersion(strings.Repeat("9", 100)), "Version “" + strings.Repeat("9", 80) + "…” has 100 characters, allowed are 1 to 64", "版本号“" + strings.Repeat("9", 80) + "…”有 100 个字符，长度限制为 1~64 个字符。"},
		{simulator.Say("task %s: %s", "version", simulator.Failed), "Task version: failed", "升级任务 version：升级失败。"},
		{errors.New("the disk says so"), "the disk says so", "the disk says so"},
	} {
		for l, want := range map[Language]string{English: tc.en, Chinese: tc.zh} {
			v := &visit{Server: &Server{pages: all}, lang: l}
			if got := v.refusal(tc.err); got != want {
				t.Errorf("%v in %s: %q, wanted is %q", tc.err, l, got, want)
			}
		}
	}
}

// TestActionsAreSaid: whatever is written down in the audit log, by the console, by the cloud
// API or by a command line, is called something in both languages.
func TestActionsAreSaid(t *testing.T) {
	found := map[string]bool{}
	for dir, pattern := range map[string]string{
		".":          `(?:change\[[^\n]*\]\(v, |v\.note\(|action :?= )"([A-Za-z]+)"`,
		"../openapi": `\{name: "([A-Za-z]+)"[^\n]*changes: true`,
		"../store":   `(?:writeDown|changeUser|changeKey)\([^"\n]*"([A-Za-z]+)"`,
	} {
		names, _ := fs.Glob(os.DirFS(dir), "*.go")
		for _, name := range names {
			b, err := os.ReadFile(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
				if !strings.HasSuffix(name, "_test.go") {
					found[m[1]] = true
				}
			}
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d actions were found: the patterns of this test are wrong", len(found))
	}
	for _, l := range languages() {
		words, err := loadCatalog(l)
		if err != nil {
			t.Fatal(err)
		}
		for action := range found {
			if words[actionKey+action] == "" {
				t.Errorf("%s has no words for %s", l, action)
			}
		}
	}
}
