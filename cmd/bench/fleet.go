package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fleetSections are what is measured of the fleet, for a page of its own.
var fleetSections = []section{
	{"device", (*bench).fleetDevice},
	{"cycle", (*bench).fleetCycle},
	{"push", (*bench).fleetPush},
	{"restart", (*bench).fleetRestart},
	{"town", (*bench).fleetTown},
}

// Goals of a fleet.
const (
	deviceMemory    = 6.0 // KiB
	deviceShare     = 1. / 6
	deviceMemoryTLS = 16.0 // KiB
	deviceCPU       = 0.5
	cycleCPU        = 1.0 // ms, of both ends
	cycleRate       = 1200.
	cycleShare      = 0.65 // with SQLite, of that in memory
	pushError       = 1.0  // percent
	pushLate        = 50.0 // ms
	restartLimit    = 2000 // twice 1,000 a second
	eighteenMemory  = 1.2 * 1024
	hundredMemory   = 3. * 1024
)

const fleetPackage = "simulator/fleet"

// fleetTest compiles the benchmarks of the fleet once.
func (b *bench) fleetTest(ctx context.Context) (string, error) {
	program := filepath.Join(b.dir, "fleet.test")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, module+"/"+fleetPackage).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c %s: %w: %s", fleetPackage, err, tail(string(out)))
	}
	return program, nil
}

// fleetBench runs one benchmark of the fleet once, in a process of its own, and gives
// its figures.
func (b *bench) fleetBench(ctx context.Context, name string) (map[string]series, error) {
	program, err := b.fleetTest(ctx)
	if err != nil {
		return nil, err
	}
	var exact []string
	for part := range strings.SplitSeq(name, "/") {
		exact = append(exact, "^"+part+"$")
	}
	cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", strings.Join(exact, "/"), "-test.benchtime", "1x", "-test.timeout", "15m")
	cmd.Env = append(os.Environ(), "OTASIM_PROGRAM="+filepath.Join(b.bin, "otasim"))
	var text strings.Builder
	cmd.Stdout = &text // the cloud's log goes nowhere
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, tail(text.String()))
	}
	found := parseBench(text.String())
	if len(found) == 0 {
		return nil, fmt.Errorf("%s gave no figures: %s", name, tail(text.String()))
	}
	return found, nil
}

// fleetTurns runs benchmarks in turns.
func (b *bench) fleetTurns(ctx context.Context, runs int, names ...string) ([]map[string]series, error) {
	all := make([]map[string]series, len(names))
	for run := range runs {
		for i, name := range names {
			b.screen.step("%s, %d of %d", name, run+1, runs)
			found, err := b.fleetBench(ctx, name)
			if err != nil {
				return nil, err
			}
			if all[i] == nil {
				all[i] = map[string]series{}
			}
			for unit, s := range found {
				all[i][unit] = append(all[i][unit], s...)
			}
		}
	}
	return all, nil
}

func fleetCommand(name string) string {
	return "OTASIM_PROGRAM=bin/otasim go test -run '^$' -bench '" + name + "' -benchtime 1x ./" + fleetPackage
}

func (b *bench) fleetDevice(ctx context.Context) ([]table, error) {
	all, err := b.fleetTurns(ctx, b.runs, "BenchmarkConnect/small", "BenchmarkConnect/paho", "BenchmarkConnect/small-tls", "BenchmarkConnect/paho-tls")
	if err != nil {
		return nil, err
	}
	t := table{
		title: "What a device costs",
		about: []string{
			"4,000 devices connect to an `otasim serve` of its own process, from loopback addresses, at most 256 under way at a time: HMAC, CONNECT, CONNACK, and a report of " +
				"the version with QoS 1. Then they stay. Small is a device of the fleet, with its OTA state; paho is a client of paho.mqtt.golang in its place, " +
				"tuned (no ordering, no reconnecting), which has no OTA state at all.",
			"CPU is that of this process, until all have reported. Memory is what VmRSS has grown by after garbage was collected; the kernel's is not in it.",
		},
		commands: []string{fleetCommand("Connect")},
		head:     []string{"", "KiB/device", "goroutines", "CPU us/connection", "CPU, ratio to paho", "memory, ratio to paho"},
	}
	for i, name := range []string{"small", "paho", "small, TLS 1.3", "paho, TLS 1.3"} {
		peer, own := all[i|1], all[i]
		cpu, mem := "1", "1"
		if i&1 == 0 {
			cpu, mem = ratioOf(own["cpu-us/device"], peer["cpu-us/device"]), ratioOf(own["rss-KiB/device"], peer["rss-KiB/device"])
		}
		t.rows = append(t.rows, []string{name, spreadOf(own["rss-KiB/device"]), figure(own["goroutines/device"].spread().median),
			spreadOf(own["cpu-us/device"]), cpu, mem})
	}
	t.goals = []goal{
		{"memory of a plain device", deviceMemory, all[0]["rss-KiB/device"].spread().max, " KiB", false},
		{"memory of a plain device, ratio to paho", deviceShare, ratio(all[0]["rss-KiB/device"], all[1]["rss-KiB/device"]), "", false},
		{"memory of a device over TLS", deviceMemoryTLS, all[2]["rss-KiB/device"].spread().max, " KiB", false},
		{"CPU of connecting, ratio to paho", deviceCPU, ratio(all[0]["cpu-us/device"], all[1]["cpu-us/device"]), "", false},
	}
	return []table{t}, nil
}

func (b *bench) fleetCycle(ctx context.Context) ([]table, error) {
	all, err := b.fleetTurns(ctx, b.runs, "BenchmarkCycle/memory", "BenchmarkCycle/sqlite")
	if err != nil {
		return nil, err
	}
	t := table{
		title: "Whole updates",
		about: []string{
			"6,000 devices that are online get one batch with a package of 64 KiB: notice, download over HTTP, SHA-256, five reports of progress, restart (a new connection), " +
				"version. CPU is that of the fleet's and the cloud's process together. Both are on this machine, and all of it goes through the rules and a store: one in " +
				"memory (`store.Memory`, which checks revisions as SQLite does), or SQLite on a disk, with an fsync for each batch of changes. Packages are files in both.",
		},
		commands: []string{fleetCommand("Cycle")},
		head:     []string{"", "updates/s", "CPU ms/update", "of it the fleet", "of it the cloud"},
		goals: []goal{
			{"CPU of an update, both ends, store in memory", cycleCPU, all[0]["cpu-ms/cycle"].spread().median, " ms", false},
			{"updates a second, store in memory", cycleRate, all[0]["cycles/s"].spread().median, "", true},
			{"updates a second with SQLite, ratio to memory", cycleShare, ratio(all[1]["cycles/s"], all[0]["cycles/s"]), "", true},
		},
	}
	for i, name := range []string{"in memory", "SQLite on disk"} {
		t.rows = append(t.rows, []string{name, spreadOf(all[i]["cycles/s"]), spreadOf(all[i]["cpu-ms/cycle"]),
			spreadOf(all[i]["fleet-cpu-ms/cycle"]), spreadOf(all[i]["cloud-cpu-ms/cycle"])})
	}
	return []table{t}, nil
}

func (b *bench) fleetPush(ctx context.Context) ([]table, error) {
	all, err := b.fleetTurns(ctx, 1, "BenchmarkPush")
	if err != nil {
		return nil, err
	}
	t := table{
		title: "Push rates",
		about: []string{
			"Three batches at once, for devices that are online, of 10, 100 and 1,000 notices a minute, for 100 s. The cloud spaces notices evenly and a " +
				"little wider than the rate asks for, so that no 60 seconds have more. Lateness is that of a notice at its device behind its place: " +
				"the places are as far apart as the notices on average, and begin so that none is early.",
		},
		commands: []string{fleetCommand("Push")},
		head:     []string{"notices a minute", "achieved, % of it", "most in any 60 s", "lateness, p99 ms"},
	}
	for _, rate := range []string{"10", "100", "1000"} {
		f := func(what string) float64 { return all[0][what+"@"+rate].spread().median }
		t.rows = append(t.rows, []string{rate, figure(f("rate-%")), figure(f("most-in-60s")), figure(f("lateness-p99-ms"))})
		t.goals = append(t.goals,
			goal{rate + " a minute: percent away from it", pushError, max(100-f("rate-%"), f("rate-%")-100), " %", false},
			goal{rate + " a minute: most in any 60 s", atof(rate), f("most-in-60s"), "", false},
			goal{rate + " a minute: lateness, 99th percentile", pushLate, f("lateness-p99-ms"), " ms", false})
	}
	return []table{t}, nil
}

func atof(s string) (f float64) {
	_, _ = fmt.Sscan(s, &f) // a constant of ours
	return f
}

func (b *bench) fleetRestart(ctx context.Context) ([]table, error) {
	all, err := b.fleetTurns(ctx, 1, "BenchmarkRestart", "BenchmarkKillNine")
	if err != nil {
		return nil, err
	}
	f := func(i int, what string) float64 { return all[i][what].spread().median }
	return []table{{
		title: "kill -9 of the cloud",
		about: []string{
			"10,000 devices are online when the cloud's process is killed and started again. Each comes back after a random part of a window of 10 s, " +
				"which is 1,000 connections a second (N27).",
			"In the second row 5,000 devices are being updated when it is killed. In the end the cloud says that all of them are updated.",
		},
		commands: []string{fleetCommand("Restart"), fleetCommand("KillNine")},
		head:     []string{"", ""},
		rows: [][]string{
			{"devices that came back", figure(f(0, "back"))},
			{"seconds until all were back", figure(f(0, "s-until-all-are-back"))},
			{"connections in the busiest second", figure(f(0, "connects-in-the-busiest-second"))},
			{"updated before the kill, of 5,000", figure(f(1, "updated-before-the-kill"))},
			{"updated in the end", figure(f(1, "updated"))},
		},
		goals: []goal{
			{"devices back after a restart", 10_000, f(0, "back"), "", true},
			{"connections in the busiest second after it", restartLimit, f(0, "connects-in-the-busiest-second"), "", false},
			{"updated in spite of kill -9", 5000, f(1, "updated"), "", true},
		},
	}}, nil
}

func (b *bench) fleetTown(ctx context.Context) ([]table, error) {
	all, err := b.fleetTurns(ctx, 1, "BenchmarkEighteenThousand", "BenchmarkHundredThousand")
	if err != nil {
		return nil, err
	}
	f := func(i int, what string) float64 { return all[i][what].spread().median }
	return []table{{
		title: "Large fleets",
		about: []string{
			"18,000 devices are online at once with one cloud, in two shards (a process may have 20,000 files here), and are updated with a package of 64 KiB. The cloud serves 1,000 downloads at once " +
				"(`--max-downloads`) and answers those above 503 with Retry-After; the fleet wants up to 1,200. " +
				"Memory is the sum of VmRSS of the three processes, at its most.",
			"100,000 devices in the same process as the cloud, its broker, its rules and its SQLite, over connections in memory, with a package of 8 KiB over MQTT, at 90,000 notices a minute. " +
				"Memory is that of the one process, both ends.",
		},
		commands: []string{fleetCommand("EighteenThousand"), fleetCommand("HundredThousand")},
		head:     []string{"devices", "updated", "seconds to update all", "MiB of both ends", "answers 503"},
		rows: [][]string{
			{"18,000", figure(f(0, "updated")), figure(f(0, "s-to-update-all")), figure(f(0, "MiB-of-both-ends")), fmt.Sprint(f(0, "told-to-wait"))},
			{"100,000", figure(f(1, "updated")), figure(f(1, "s-to-update-all")), figure(f(1, "MiB-of-both-ends")), "over MQTT"},
		},
		goals: []goal{
			{"online at once", 18_000, f(0, "online-at-once"), "", true},
			{"updated, of 18,000", 18_000, f(0, "updated"), "", true},
			{"memory of both ends, 18,000 devices", eighteenMemory, f(0, "MiB-of-both-ends"), " MiB", false},
			{"updated, of 100,000", 100_000, f(1, "updated"), "", true},
			{"memory of both ends, 100,000 devices", hundredMemory, f(1, "MiB-of-both-ends"), " MiB", false},
		},
	}}, nil
}
