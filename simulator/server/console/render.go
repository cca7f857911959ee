package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pages are the templates of every page, for each language.
type pages map[Language]spoken

// spoken is everything in one language.
type spoken struct {
	words  catalog
	byName map[string]*template.Template
}

// partials are the templates that every page has; the others are pages.
const (
	layoutFile = "templates/layout.html"
	partsFiles = "templates/parts*.html"
)

func loadPages(a assets) (pages, error) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := pages{}
	for _, l := range languages() {
		words, err := loadCatalog(l)
		if err != nil {
			return nil, err
		}
		common, err := template.New("layout.html").Funcs(functions(l, words, a)).ParseFS(templateFiles, layoutFile, partsFiles)
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		byName := map[string]*template.Template{}
		all[l] = spoken{words, byName}
		for _, file := range files {
			if part, _ := path.Match(partsFiles, file); part || file == layoutFile {
				continue
			}
			page, err := template.Must(common.Clone()).ParseFS(templateFiles, file)
			if err != nil {
				return nil, fmt.Errorf("console: %w", err)
			}
			byName[strings.TrimSuffix(path.Base(file), ".html")] = page
		}
	}
	return all, nil
}

// functions are what templates may call. They know the language; what they need of the
// visit comes with the page.
func functions(l Language, words catalog, a assets) template.FuncMap {
	return template.FuncMap{
		"t":      words.text,
		"n":      shown,
		"lang":   func() string { return string(l) },
		"asset":  a.path,
		"has":    a.has,
		"bytes":  sizeText,
		"add":    func(a, b int) int { return a + b },
		"list":   func(v ...any) []any { return v },
		"dict":   dict,
		"status": func(kind string, v any) string { return words.text(fmt.Sprintf("%s.%v", kind, v)) },
		"reason": words.reason,
		"failing": func(step int, reason string) string {
			return words.text("failure." + failureKind(step, reason))
		},
	}
}

// dict makes the argument of a template that takes several.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict takes pairs, not %d values", len(pairs))
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// render makes a page. Nothing is sent before all of it is made, so that a page is whole
// or an error.
func (p pages) render(l Language, page string, data any) ([]byte, error) {
	t := p[l].byName[page]
	if t == nil {
		return nil, fmt.Errorf("console: there is no page %q", page)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout.html", data); err != nil {
		return nil, fmt.Errorf("console: page %s: %w", page, err)
	}
	return b.Bytes(), nil
}
