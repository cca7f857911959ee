package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is where a setting was made.
type position struct {
	source       string // a file, "environment NAME" or "flag --set"
	line, column int    // from 1; 0 when the source has no lines
}

func (p position) String() string {
	if p.line == 0 {
		return p.source
	}
	return fmt.Sprintf("%s:%d:%d", p.source, p.line, p.column)
}

// problem is one thing that is wrong with a configuration.
type problem struct {
	Where   position
	Key     string
	Why     string
	Todo    string
	Excerpt string // lines of the file with the place marked, or empty
}

func (p problem) String() string {
	s := "config: " + p.Where.String() + ": "
	if p.Key != "" {
		s += p.Key + ": "
	}
	return s + p.Why + " (" + p.Todo + ")"
}

// problems is an error that holds all that is wrong.
type problems []problem

func (ps problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// index finds the place of every key of a valid document. The tables of a list
// are numbered: module.0.name.
func index(name string, doc []byte) map[string]position {
	at := map[string]position{}
	var p unstable.Parser
	p.Reset(doc)
	prefix, count := "", map[string]int{}
	place := func(n *unstable.Node) position {
		s := p.Shape(p.Range(n.Data)).Start
		return position{name, s.Line, s.Column}
	}
	for p.NextExpression() {
		e := p.Expression()
		path, first := dotted(e)
		switch e.Kind {
		case unstable.Table:
			prefix = path + "."
		case unstable.ArrayTable:
			if _, ok := at[path]; !ok {
				at[path] = place(first)
			}
			prefix = path + "." + strconv.Itoa(count[path]) + "."
			at[strings.TrimSuffix(prefix, ".")] = place(first)
			count[path]++
		case unstable.KeyValue:
			at[prefix+path] = place(first)
			inline(e.Value(), prefix+path, place(first), at)
		}
	}
	return at
}

// inline gives the keys of an inline table the place of the table.
func inline(v *unstable.Node, path string, where position, at map[string]position) {
	if v.Kind != unstable.InlineTable {
		return
	}
	for it := v.Children(); it.Next(); {
		kv := it.Node()
		name, _ := dotted(kv)
		at[path+"."+name] = where
		inline(kv.Value(), path+"."+name, where, at)
	}
}

func dotted(n *unstable.Node) (path string, first *unstable.Node) {
	var parts []string
	for it := n.Key(); it.Next(); {
		if first == nil {
			first = it.Node()
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), first
}
