package main

import (
	"reflect"
	"strings"
)

// key is one setting that users can write.
type key struct {
	path   string // section.key, or key
	index  []int  // of the field in config
	typ    reflect.Type
	secret string // "all", "url" or ""
}

// tables reports whether the key is a list of tables, which neither an environment
// variable nor a line can hold.
func (k key) tables() bool {
	return k.typ.Kind() == reflect.Slice && k.typ.Elem().Kind() == reflect.Struct
}

// keys lists every key, in the order of the configuration.
func keys() []key { return keysOf(reflect.TypeFor[config](), "", nil) }

func keysOf(t reflect.Type, prefix string, index []int) (list []key) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		at := append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct {
			list = append(list, keysOf(f.Type, prefix+name+".", at)...)
			continue
		}
		list = append(list, key{path: prefix + name, index: at, typ: f.Type, secret: f.Tag.Get("secret")})
	}
	return list
}

// find gives the key of a path.
func find(path string) (key, bool) {
	for _, k := range keys() {
		if k.path == path {
			return k, true
		}
	}
	return key{}, false
}

// env is the name of the key's environment variable.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// section is the table that the key stands in, "" for the top.
func (k key) section() string {
	s, _, ok := strings.Cut(k.path, ".")
	if !ok {
		return ""
	}
	return s
}

// isText reports whether the key's value is written without quotes in the
// environment and in --set.
func (k key) isText() bool {
	switch k.typ {
	case reflect.TypeFor[string](), reflect.TypeFor[duration](), reflect.TypeFor[size](), reflect.TypeFor[any]():
		return true
	}
	return false
}

// in reports whether a tree that was read has the key.
func (k key) in(tree map[string]any) bool {
	name := k.path
	if section := k.section(); section != "" {
		tree, _ = tree[section].(map[string]any)
		name = strings.TrimPrefix(name, section+".")
	}
	_, ok := tree[name]
	return ok
}

// value is what c has for the key.
func (k key) value(c *config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.index) }

const envPrefix = "OTAD_"

// hookEnv are variables that otad itself gives to the commands it runs. They
// are no settings, so that a health check may call otad.
var hookEnv = [...]string{"OTAD_SLOT", "OTAD_SLOT_PATH", "OTAD_VERSION", "OTAD_MODULE"}

// fromEnv gives the key that an environment variable sets. known is false for
// one that looks like a setting, by its section, and is none.
func fromEnv(name string) (k key, isSetting, known bool) {
	if !strings.HasPrefix(name, envPrefix) {
		return key{}, false, true
	}
	for _, h := range hookEnv {
		if name == h {
			return key{}, false, true
		}
	}
	known = true
	for _, k := range keys() {
		switch {
		case k.env() == name && !k.tables():
			return k, true, true
		case k.section() != "" && strings.HasPrefix(name, envPrefix+strings.ToUpper(k.section())+"_"):
			known = false
		}
	}
	return key{}, false, known
}
