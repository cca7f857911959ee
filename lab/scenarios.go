//go:build lab

package main

import "context"

// scenario is one story of the lab, and makes one row of the table or several.
type scenario struct {
	name   string
	broken string   // what is cut or broken in it
	rows   []string // the names of its rows, or what they begin with; none is its own name
	core   bool     // belongs to the quarter of an hour that is always run
	run    func(context.Context, *lab, scenario) ([]row, error)
}

func scenarios() []scenario {
	var all []scenario
	for _, room := range [][]scenario{updates(), cuts(), service(), scripts(), flash(), machines()} {
		all = append(all, room...)
	}
	for i := range all {
		if all[i].rows == nil {
			all[i].rows = []string{all[i].name}
		}
	}
	return all
}
