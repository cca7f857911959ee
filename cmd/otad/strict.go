package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// strict gives what is wrong in one document: what is no TOML, what is no key
// and what has not the key's type, each with its place.
func strict(name string, doc []byte) (wrong problems) {
	var c config
	err := toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields().Decode(&c)
	var missing *toml.StrictMissingError
	var one *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		for i := range missing.Errors {
			wrong = append(wrong, unknownKey(name, doc, &missing.Errors[i]))
		}
		return wrong
	case errors.As(err, &one):
		row, column := one.Position()
		return problems{{Where: position{name, row, column}, Key: strings.Join(one.Key(), "."), Why: typeText(one.Error()),
			Todo: "correct it", Excerpt: excerpt(doc, row, column)}}
	}
	why := strings.TrimPrefix(err.Error(), "toml: ")
	return problems{{Where: placeless(name, doc), Why: why, Todo: "correct it"}}
}

// placeless finds the value that a type of ours has refused without saying
// where: one that is neither text nor number.
func placeless(name string, doc []byte) position {
	var tree map[string]any
	at := position{source: name}
	if toml.Unmarshal(doc, &tree) != nil {
		return at
	}
	places := index(name, doc)
	for _, k := range keys() {
		if k.typ != reflect.TypeFor[size]() && k.typ != reflect.TypeFor[duration]() {
			continue
		}
		section, _ := tree[k.section()].(map[string]any)
		switch section[strings.TrimPrefix(k.path, k.section()+".")].(type) {
		case nil, string, int64:
		default:
			return places[k.path]
		}
	}
	return at
}

func unknownKey(name string, doc []byte, e *toml.DecodeError) problem {
	row, column := e.Position()
	path := strings.Join(e.Key(), ".")
	todo := "otad config default lists them"
	if near := nearest(path); near != "" {
		todo = "is it " + near + "? " + todo
	}
	return problem{Where: position{name, row, column}, Key: path, Why: "there is no such key", Todo: todo, Excerpt: excerpt(doc, row, column)}
}

// excerpt is a line of a file with a place marked. Secrets are taken out.
func excerpt(doc []byte, row, column int) string {
	lines := bytes.Split(doc, []byte("\n"))
	if row < 1 || row > len(lines) {
		return ""
	}
	line := blank(strings.TrimRight(string(lines[row-1]), "\r"))
	mark := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, line[:min(max(column-1, 0), len(line))])
	return fmt.Sprintf("%4d | %s\n     | %s^\n", row, line, mark)
}

// blank takes the value out of a line that sets a secret.
func blank(line string) string {
	before, _, ok := strings.Cut(line, "=")
	names := strings.FieldsFunc(before, func(r rune) bool { return strings.ContainsRune(" \t.|\"'{,", r) })
	if !ok || len(names) == 0 {
		return line
	}
	for _, k := range keys() {
		if k.secret != "" && strings.Contains(line, strings.TrimPrefix(k.path, k.section()+".")) {
			return before + "= " + hidden
		}
	}
	return line
}

// typeText says in plain words what the decoder says in those of Go.
func typeText(text string) string {
	text = strings.TrimPrefix(text, "toml: ")
	have, rest, ok := strings.Cut(strings.TrimPrefix(text, "cannot decode TOML "), " into ")
	_, want, typed := strings.Cut(rest, " of type ")
	if !typed {
		want = rest
	}
	names := map[string]string{
		"string": "a text in quotes", "int": "a number", "bool": "true or false", "[]string": "a list of texts",
		"[][]string": "a list of lists of texts", "[]main.moduleConfig": "a list of tables, [[module]]", "[]main.subConfig": "a list of tables, [[gateway.device]]",
	}
	name, known := names[want]
	if !known && strings.HasSuffix(want, "Config") {
		name, known = "a table", true
	}
	if !ok || !known {
		return text
	}
	return "the value is of the type " + have + ", wanted is " + name
}

// nearest finds the key that was probably meant, by how many letters differ.
func nearest(path string) string {
	best, distance := "", 3
	if len(path) > 2*len("trust.patch_unknown_source") {
		return ""
	}
	for _, k := range keys() {
		if d := differ(path, k.path); d < distance {
			best, distance = k.path, d
		}
	}
	return best
}

// differ counts the letters to insert, remove or replace between two short texts.
func differ(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
