package main

import (
	"context"
	"fmt"
	"io"
)

const (
	maxShown = 10
	// Memory is flat when the last life of the server needs no more than this part more
	// than the first, and this many bytes: the garbage collector breathes.
	maxGrowth = 0.5
	slack     = 64 << 20
)

// report is what came of it.
type report struct {
	plan   plan
	cloud  *cloud
	fleet  *fleet
	jobs   []job
	states map[string]int // of tasks
	left   int            // tasks that have not ended
	lost   int
	size   int64    // of the database
	wrong  []string // what is not explained
}

// look judges every task and every device.
func (r *report) look(ctx context.Context, devices []*device) error {
	byName := make(map[string]*device, len(devices))
	for _, d := range devices {
		byName[d.Device.Name] = d
	}
	for i, j := range r.jobs {
		tasks, err := r.cloud.tasks(ctx, j.id)
		if err != nil {
			return err
		}
		if len(tasks) == 0 {
			r.wrong = append(r.wrong, "batch "+j.id+" has no task")
		}
		seen := map[string]bool{}
		for _, t := range tasks {
			r.states[t.TaskStatus]++
			if seen[t.DeviceName] {
				r.wrong = append(r.wrong, fmt.Sprintf("batch %s has two tasks of %s", j.id, t.DeviceName))
			}
			seen[t.DeviceName] = true
			if why := explain(t, j, byName[t.DeviceName], i == len(r.jobs)-1); why != "" {
				r.wrong = append(r.wrong, fmt.Sprintf("batch %s, device %s: %s", j.id, t.DeviceName, why))
			}
		}
	}
	for _, d := range devices {
		stored, err := r.cloud.stored(ctx, d.Device)
		if err != nil {
			return err
		}
		if why := lost(d, stored); why != "" {
			r.lost++
			r.wrong = append(r.wrong, d.Device.Name+": "+why)
		}
	}
	return nil
}

// print prints the table, and says how many things are wrong.
func (r *report) print(out io.Writer) int {
	var lives []int64
	for _, life := range r.cloud.resident {
		if p := peak(life); p > 0 {
			lives = append(lives, p)
		}
	}
	var first, last int64
	if len(lives) > 0 {
		first, last = lives[0], lives[len(lives)-1]
	}
	if float64(last) > float64(first)*(1+maxGrowth)+slack {
		r.wrong = append(r.wrong, fmt.Sprintf("the server's memory has grown from %d to %d MiB", first>>20, last>>20))
	}
	if len(r.jobs) == 0 {
		r.wrong = append(r.wrong, "no batch was made")
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-38s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("duration", "%v", r.plan.duration)
	row("devices", "%d", r.plan.devices)
	row("kill -9", "%d", r.cloud.kills)
	row("longest start", "%d ms", r.cloud.longest.Milliseconds())
	row("connections", "%d", r.fleet.connects.Load())
	row("messages acknowledged", "%d", r.fleet.messages.Load())
	row("batches", "%d", len(r.jobs))
	for _, s := range []string{"SUCCEEDED", "FAILED", "CANCELED"} {
		row("tasks "+s, "%d", r.states[s])
	}
	row("tasks that have not ended", "%d", r.left)
	row("acknowledged reports lost", "%d", r.lost)
	row("memory, peak of the first and last life", "%d, %d MiB", first>>20, last>>20)
	row("database", "%d MiB", r.size>>20)
	row("not explained", "%d", len(r.wrong))
	for i, w := range r.wrong {
		if i == maxShown {
			fmt.Fprintf(out, "  and %d more\n", len(r.wrong)-maxShown)
			break
		}
		fmt.Fprintln(out, "  "+w)
	}
	return len(r.wrong)
}
