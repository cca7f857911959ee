package man

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestPages(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "Does things", Long: "First.\n\n.dangerous line"}
	sub := &cobra.Command{Use: "run FILE", Short: "Runs", Example: "  tool run x", RunE: func(*cobra.Command, []string) error { return nil }}
	sub.Flags().StringP("out", "o", "", "write to `FILE`")
	root.AddCommand(sub, NewCommand("tool"))
	dir := filepath.Join(t.TempDir(), "man")
	root.SetArgs([]string{"man", dir})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string][]string{
		"tool.1":     {".TH TOOL 1", `tool \- Does things`, `\&.dangerous line`, `tool\-run(1)`},
		"tool-run.1": {`.B \-o, \-\-out FILE`, "write to FILE", "tool run x", "tool(1)"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s lacks %q:\n%s", page, w, text)
			}
		}
	}
	if pages, _ := filepath.Glob(dir + "/*"); len(pages) != 2 {
		t.Errorf("pages %q", pages)
	}
}
