//go:build lab

package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// How many moments of an update the power is cut at.
const (
	coreCuts = 5
	fullCuts = 20
)

// moment is a point of an update: so long after the n-th line of this kind.
type moment struct {
	line  string // the line without what changes from run to run
	n     int    // 1 is the first
	after time.Duration
}

func (m moment) String() string {
	if m.n == 0 {
		return fmt.Sprintf("power cut %.1f s after the update was offered", m.after.Seconds())
	}
	nth := ""
	if m.n > 1 {
		nth = fmt.Sprintf(", time %d", m.n)
	}
	return fmt.Sprintf("power cut %.1f s after `%s`%s", m.after.Seconds(), strings.TrimPrefix(m.line, "level=DEBUG msg="), nth)
}

// cuts are the scenarios of lost power: the update is run once to see how it
// goes, and then again and again on a new board, each time with the power cut
// at another moment and switched on again.
func cuts() []scenario {
	var all []scenario
	for _, k := range []struct {
		name, what string
		core       bool
		loss       *loss
	}{
		{"cut", "", true, nil},
		{"lost", "; what was not flushed is lost", false, &loss{0}},
		{"torn", "; of what was not flushed, half of the writes are lost", false, &loss{0.5}},
	} {
		all = append(all, scenario{name: k.name, core: k.core, broken: "the power is cut in the middle of an update" + k.what,
			run: func(ctx context.Context, l *lab, s scenario) ([]row, error) {
				return runCuts(ctx, l, s, k.what, k.loss)
			}})
	}
	return all
}

// loss is what the disk forgets in a power cut: all that was not flushed but for
// this share.
type loss struct{ share float64 }

func runCuts(ctx context.Context, l *lab, s scenario, what string, lose *loss) ([]row, error) {
	st := story{name: s.name, steps: []step{good(s.broken, nil)}}
	lines, err := st.watch(ctx, l)
	if err != nil {
		return nil, err
	}
	n := coreCuts
	if l.full {
		n = fullCuts
	}
	var rows []row
	for i, m := range moments(lines, n) {
		st.name = fmt.Sprintf("%s-%d", s.name, i+1)
		began := time.Now()
		r, err := st.cutAt(ctx, l, m, lose, uint64(i))
		if err != nil {
			r = row{up: "-", reported: err.Error(), failed: true}
		}
		r.name, r.seconds = st.name, time.Since(began).Seconds()
		r.broken = m.String() + what
		rows = append(rows, r)
		fmt.Printf("%-22s %s; up: %s; reported: %s\n", r.name, r.broken, r.up, r.reported)
		if ctx.Err() != nil {
			break
		}
	}
	return rows, nil
}

// watch runs the update once, undisturbed, and gives the console from the offer
// to the end.
func (st story) watch(ctx context.Context, l *lab) ([]line, error) {
	d, job, err := st.begin(ctx, l)
	if err != nil {
		return nil, err
	}
	defer d.cut()
	mark := d.on.mark()
	if err := d.follow(ctx); err != nil {
		return nil, err
	}
	lines := d.on.between(mark)
	end, err := l.cloud.ended(ctx, job)
	if err == nil && end.TaskStatus != "SUCCEEDED" {
		err = fmt.Errorf("the undisturbed update ended as %s", end)
	}
	return lines, err
}

// begin makes a board, lets it connect, and offers it the update.
func (st story) begin(ctx context.Context, l *lab) (d *device, job string, err error) {
	if d, err = st.factory(ctx, l); err != nil {
		return nil, "", err
	}
	if job, err = d.offer(ctx, st.steps[0], true); err != nil {
		d.cut()
	}
	return d, job, err
}

// cutAt runs the update, cuts the power at the moment, and lets the board find
// its own way to the end.
func (st story) cutAt(ctx context.Context, l *lab, m moment, lose *loss, seed uint64) (row, error) {
	st.logged = lose != nil
	d, job, err := st.begin(ctx, l)
	if err != nil {
		return row{}, err
	}
	defer d.cut()
	for range m.n {
		if _, err := d.on.wait(ctx, `^(time=\S+ )?`+regexp.QuoteMeta(m.line)+"$", lostLine); err != nil {
			return row{}, err
		}
	}
	// The moment lies between two lines, so nothing can be waited for.
	select {
	case <-time.After(m.after):
	case <-ctx.Done():
		return row{}, context.Cause(ctx)
	}
	d.cut()
	lost := 0
	if lose != nil {
		if lost, err = d.lose(ctx, lose.share, seed); err != nil {
			return row{}, err
		}
		d.logged = false
	}
	if err := d.power(ctx); err != nil {
		return row{}, err
	}
	r, err := d.finish(ctx, job, st.steps[0])
	if lose != nil {
		r.up += ", " + plural(lost, "write") + " lost"
	}
	return r, err
}

// moments spreads n points evenly over the time that the lines took.
func moments(lines []line, n int) (ms []moment) {
	if len(lines) == 0 {
		return nil
	}
	first, whole := lines[0].at, lines[len(lines)-1].at.Sub(lines[0].at)
	for i := range n {
		at := first.Add(whole * time.Duration(2*i+1) / time.Duration(2*n))
		m := moment{after: at.Sub(first)}
		seen := map[string]int{}
		for _, l := range lines {
			if l.at.After(at) {
				break
			}
			if text, ok := stable(l.text); ok {
				seen[text]++
				m = moment{line: text, n: seen[text], after: at.Sub(l.at)}
			}
		}
		ms = append(ms, m)
	}
	return ms
}

// stable gives the part of a line that is the same in every run, and whether
// there is one.
func stable(text string) (string, bool) {
	if _, entry, ok := strings.Cut(text, " level=DEBUG msg=stage "); ok {
		return "level=DEBUG msg=stage " + entry, true
	}
	for _, begin := range []string{"LAB: up", "otad: ", "U-Boot 20", "Starting kernel"} {
		if strings.HasPrefix(text, begin) {
			return text, true
		}
	}
	return "", false
}
