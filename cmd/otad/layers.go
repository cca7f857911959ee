package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxConfigFile bounds what is read of one file.
const maxConfigFile = 1 << 20

// settings is a configuration and where each part of it comes from.
type settings struct {
	config
	file    string              // the main one, for messages
	origins map[string]position // by key, and by module.N.key
}

// isSet reports whether somebody has set the key.
func (s *settings) isSet(path string) bool {
	_, ok := s.origins[path]
	return ok
}

// where is the place to name in a message about a key: where it is set, or
// else the file it could be set in.
func (s *settings) where(path string) position {
	for p := path; p != ""; p = p[:max(0, strings.LastIndexByte(p, '.'))] {
		if at, ok := s.origins[p]; ok {
			return at
		}
	}
	return position{source: s.file}
}

// layers collects a configuration, the weakest part of it first.
type layers struct {
	settings
	tree  map[string]any
	wrong problems
}

// load reads the configuration file, the files beside it in config.d, the
// environment and the --set flags, each stronger than the one before, and
// checks what they come to. Its error holds every problem that was found.
func (a *app) load() (*settings, error) {
	l := &layers{tree: map[string]any{}}
	l.file, l.origins = a.file, map[string]position{}
	if err := l.addFiles(a.file, a.in); err != nil {
		return nil, err
	}
	for _, e := range a.environ {
		l.addEnv(e)
	}
	for _, s := range a.set {
		if err := l.addFlag(s); err != nil {
			return nil, err
		}
	}
	// What cannot be read cannot be judged as a whole.
	if len(l.wrong) == 0 {
		l.config = defaults()
		if err := l.decode(); err != nil {
			return nil, err
		}
		l.complete()
		l.wrong = check(&l.settings)
	}
	if len(l.wrong) > 0 {
		return nil, &exitError{exitConfig, l.wrong}
	}
	return &l.settings, nil
}

func (l *layers) decode() error {
	b, err := toml.Marshal(l.tree)
	if err == nil {
		err = toml.Unmarshal(b, &l.config)
	}
	if err != nil {
		return exitf(exitConfig, "config", "%s and what overrides it do not fit together: %v (compare the files of config.d with it)", l.file, err)
	}
	return nil
}

func (l *layers) addFiles(file string, stdin io.Reader) error {
	if file == "-" {
		l.file = "<stdin>"
		b, err := readAll(stdin)
		if err != nil {
			return fileError(exitConfig, "config", l.file, err, "give the configuration on standard input")
		}
		l.addFile(l.file, b)
		return nil
	}
	if err := l.read(file); err != nil {
		return err
	}
	dir := filepath.Join(filepath.Dir(file), "config.d")
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(exitConfig, "config", dir, err, "it holds the files that override "+file)
	}
	sort.Slice(names, func(i, j int) bool { return names[i].Name() < names[j].Name() })
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		switch ok, _ := filepath.Match("[0-9][0-9]-*.toml", n.Name()); {
		case ok:
			if err := l.read(path); err != nil {
				return err
			}
		case strings.HasSuffix(n.Name(), ".toml"):
			l.wrong = append(l.wrong, problem{Where: position{source: path}, Why: "the file would be passed over", Todo: "name it NN-NAME.toml with two digits, or remove it"})
		}
	}
	return nil
}

func (l *layers) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fileError(exitConfig, "config", path, err, "otad config default prints one to start from; -c names another")
	}
	defer f.Close()
	b, err := readAll(f)
	if err != nil {
		return fileError(exitConfig, "config", path, err, "it must be a small text file")
	}
	l.addFile(path, b)
	return nil
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxConfigFile+1))
	if err == nil && len(b) > maxConfigFile {
		err = fmt.Errorf("larger than %d bytes", maxConfigFile)
	}
	return b, err
}

// addFile reads one file: strictly, so that whatever is not a key, or has not
// the key's type, is found where it stands.
func (l *layers) addFile(name string, b []byte) {
	if wrong := strict(name, b); len(wrong) > 0 {
		l.wrong = append(l.wrong, wrong...)
		return
	}
	tree := map[string]any{}
	if err := toml.Unmarshal(b, &tree); err != nil {
		l.wrong = append(l.wrong, problem{Where: position{source: name}, Why: err.Error(), Todo: "correct it"})
		return
	}
	l.merge(tree, index(name, b))
}

// merge lays a tree over what is there. A list replaces a list.
func (l *layers) merge(tree map[string]any, at map[string]position) {
	overlay(l.tree, tree)
	for _, k := range keys() {
		if !k.tables() || !k.in(tree) {
			continue
		}
		for p := range l.origins {
			if p == k.path || strings.HasPrefix(p, k.path+".") {
				delete(l.origins, p)
			}
		}
	}
	for p, pos := range at {
		l.origins[p] = pos
	}
}

func overlay(under, over map[string]any) {
	for k, v := range over {
		if t, ok := v.(map[string]any); ok {
			if u, ok := under[k].(map[string]any); ok {
				overlay(u, t)
				continue
			}
		}
		under[k] = v
	}
}

// addEnv reads one NAME=VALUE of the environment. An empty value is none.
func (l *layers) addEnv(e string) {
	name, value, _ := strings.Cut(e, "=")
	if value == "" {
		return
	}
	k, isSetting, known := fromEnv(name)
	switch {
	case !known:
		l.wrong = append(l.wrong, problem{Where: position{source: "environment"}, Key: name, Why: "there is no such setting", Todo: "otad config default lists them; remove the variable"})
	case isSetting:
		l.addValue(k, value, position{source: "environment " + name})
	}
}

// addFlag reads one key=value of --set.
func (l *layers) addFlag(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return usagef("--set", "%q has no value (write section.key=value)", s)
	}
	k, ok := find(strings.TrimSpace(name))
	if !ok {
		return usagef("--set", "there is no key %q (otad config default lists them)", name)
	}
	l.addValue(k, strings.TrimSpace(value), position{source: "flag --set"})
	return nil
}

func (l *layers) addValue(k key, value string, at position) {
	if k.isText() {
		b, err := toml.Marshal(map[string]string{"v": value})
		if err != nil {
			l.wrong = append(l.wrong, problem{Where: at, Key: k.path, Why: err.Error(), Todo: "write text in UTF-8"})
			return
		}
		value = strings.TrimSpace(strings.TrimPrefix(string(b), "v = "))
	}
	doc := []byte(k.path + " = " + value + "\n")
	tree := map[string]any{}
	wrong := strict(at.source, doc)
	if len(wrong) == 0 {
		if err := toml.Unmarshal(doc, &tree); err != nil || len(tree) != 1 {
			wrong = problems{{Why: "it is more than one value"}}
		}
	}
	if len(wrong) > 0 {
		l.wrong = append(l.wrong, problem{Where: at, Key: k.path, Why: wrong[0].Why, Todo: "numbers, true, false and lists are written as in the file"})
		return
	}
	l.merge(tree, map[string]position{k.path: at})
}
