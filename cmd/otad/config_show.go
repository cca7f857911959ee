package main

import (
	_ "embed"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// defaultConfig is the complete commented file. packaging/config.toml is a copy.
//
//go:embed default.toml
var defaultConfig string

// hidden stands for a secret.
const hidden = "***"

// show writes what counts as TOML: every key that is set or has a default. With
// origin each has a comment that says where it comes from.
func (s *settings) show(w io.Writer, origin bool) error {
	p := &printer{w: w, s: s, origin: origin}
	for _, k := range keys() {
		v := k.value(&s.config)
		if k.tables() {
			for i := range v.Len() {
				p.item(k.path, i, v.Index(i))
			}
			continue
		}
		if !s.isSet(k.path) && isEmpty(v) {
			continue
		}
		p.table(k.section())
		name := strings.TrimPrefix(k.path, k.section()+".")
		p.line(name, k.path, k.hide(v.Interface()))
	}
	return p.err
}

// hide gives the value as it may be printed.
func (k key) hide(v any) any {
	switch text, _ := v.(string); {
	case text == "" || k.secret == "":
		return v
	case k.secret == "url":
		u, err := url.Parse(text)
		if err != nil {
			return hidden
		}
		if u.User != nil {
			u.User = nil
			return strings.Replace(u.String(), "://", "://"+hidden+"@", 1)
		}
		return text
	}
	return hidden
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64:
		return false
	case reflect.Slice:
		return v.Len() == 0
	}
	return v.IsZero()
}

// printer writes TOML and remembers its first error.
type printer struct {
	w      io.Writer
	s      *settings
	origin bool
	in     string // the table that is open
	listed bool   // it is one of a list
	err    error
}

func (p *printer) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(name string) {
	if name != p.in {
		p.print("\n[%s]\n", name)
		p.in, p.listed = name, false
	}
}

// item prints one table of a list.
func (p *printer) item(list string, i int, v reflect.Value) {
	p.print("\n[[%s]]\n", list)
	p.in, p.listed = list, true
	for j, t := 0, v.Type(); j < t.NumField(); j++ {
		name, option, _ := strings.Cut(t.Field(j).Tag.Get("toml"), ",")
		if isEmpty(v.Field(j)) || option == "omitempty" && v.Field(j).IsZero() {
			continue
		}
		k := key{secret: t.Field(j).Tag.Get("secret")}
		p.line(name, list+"."+strconv.Itoa(i)+"."+name, k.hide(v.Field(j).Interface()))
	}
}

func (p *printer) line(name, path string, v any) {
	b, err := toml.Marshal(map[string]any{name: v})
	if err != nil && p.err == nil {
		p.err = err
	}
	comment := ""
	if p.origin {
		comment = "  # default"
		if p.s.isSet(path) || p.listed {
			comment = "  # " + p.s.where(path).String()
		}
	}
	p.print("%s%s\n", strings.TrimSuffix(string(b), "\n"), comment)
}
