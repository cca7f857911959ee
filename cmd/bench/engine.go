package main

import (
	"context"
	"fmt"
	"os/exec"
)

const (
	engineGoal  = 0.8
	engineBench = "BenchmarkEngineBesideRaw"
	enginePkg   = "simulator/server"
)

// engine measures the rules, their queue and their store beside SQLite alone.
func (b *bench) engine(ctx context.Context) ([]table, error) {
	b.screen.step("updates 20,000 devices, %d times", b.runs)
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+engineBench+"$", "-benchtime", "1x",
		"-count", fmt.Sprint(b.runs), module+"/"+enginePkg).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test %s: %w: %s", enginePkg, err, tail(string(out)))
	}
	found := parseBench(string(out))
	for _, unit := range []string{"engine-tasks/s", "raw-tasks/s", "engine-rows/s", "raw-rows/s", "engine-cpu-us/row", "raw-cpu-us/row", "rows/batch"} {
		if len(found[unit]) != b.runs {
			return nil, fmt.Errorf("%s says nothing of %s", engineBench, unit)
		}
	}
	return []table{engineTable(found)}, nil
}

func engineTable(found map[string]series) table {
	row := func(name, who string) []string {
		return []string{name, spreadOf(found[who+"-tasks/s"]), spreadOf(found[who+"-rows/s"]),
			ratioOf(found[who+"-tasks/s"], found["raw-tasks/s"]), spreadOf(found[who+"-cpu-us/row"])}
	}
	us, bare := row("engine and SQLite", "engine"), row("bare loop over SQLite", "raw")
	bare[3] = "1"
	return table{
		title: "Updates of tasks, stored",
		about: []string{
			"20,000 devices are updated through the engine, 1,000 at a time: online, notice, version, five reports of progress, new version. " +
				"A device waits until what it has said is stored. Their side, a goroutine each, is in the same process and in the figures.",
			fmt.Sprintf("The peer gets the same rows in the same batches (%s rows each) afterwards, as a loop over the same prepared statements "+
				"(`database/sql`, modernc.org/sqlite), in a copy of the same file, with the same tables and indexes and an fsync of each "+
				"batch (`synchronous=FULL`): no rules, no queue, nobody who waits, no JSON to make. In the end both files are compared row by row. A row is "+
				"one conditional UPDATE, of a task, a device or the batch.", figure(found["rows/batch"].spread().median)),
		},
		commands: []string{fmt.Sprintf("go test -run '^$' -bench '^%s$' -benchtime 1x -count %d ./%s", engineBench, len(found["raw-tasks/s"]), enginePkg)},
		head:     []string{"", "tasks/s", "rows/s", "tasks/s, ratio to the bare loop", "CPU us/row"},
		rows:     [][]string{us, bare},
		goals: []goal{{"updates of tasks a second, ratio to a bare loop over SQLite", engineGoal,
			ratio(found["engine-tasks/s"], found["raw-tasks/s"]), "", true}},
	}
}
