package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// keptPair is a measured pair in a file.
type keptPair struct {
	Name, About string
	Size        int64
	Sizes       map[string]int64
	Makes       map[string][]usage
	Apply       map[string][]usage
	Profiles    map[string][]profileRow
}

// kept is what a run of bench delta leaves for the next.
type kept struct {
	Pairs []keptPair
	Flat  []flatSize
}

// save writes what was measured, if there is a file for it.
func (d *deltas) save(path string) error {
	if path == "" {
		return nil
	}
	k := kept{Flat: d.flat}
	for _, p := range d.pairs {
		k.Pairs = append(k.Pairs, keptPair{p.name, p.about, p.size, p.sizes, runsOf(p.makes), runsOf(p.apply), p.profiles})
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return write(path, string(text))
}

// load reads what was measured before.
func (d *deltas) load(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		return err
	}
	d.flat = k.Flat
	for _, p := range k.Pairs {
		m := newMeasuredPair(pair{name: p.Name, about: p.About})
		m.size, m.sizes, m.makes, m.apply, m.profiles = p.Size, p.Sizes, contenders(p.Makes), contenders(p.Apply), p.Profiles
		m.change = float64(m.sizes[wayNative]) / float64(m.size)
		d.pairs = append(d.pairs, m)
	}
	return nil
}

func runsOf(cs map[string]*contender) map[string][]usage {
	all := map[string][]usage{}
	for name, c := range cs {
		all[name] = c.runs
	}
	return all
}

func contenders(runs map[string][]usage) map[string]*contender {
	all := map[string]*contender{}
	for name, r := range runs {
		all[name] = &contender{name, r}
	}
	return all
}
