// Command bench measures our programs beside their peers, as whole processes on
// real files and sockets, and writes what it found as a page of Markdown.
//
//	bench -bin bin -out docs/benchmarks.md [-only NAME] [-runs N]
//	bench -fleet -bin bin -out docs/benchmarks-fleet.md
//
// The promise: figures that are compared come from the same run, taken in turns
// (A B A B), so that whatever else the machine did happened to both; a goal that
// is missed is written down as missed and is no failure; what could not be
// measured is a failure, and then nothing is written. Every result is compared
// with what it should be before its cost counts.
//
// CPU is user and system time of wait4(2), and peak memory is ru_maxrss of the
// same call; what a server has used between two moments is read from the clock of
// its process, which counts the same. The kernel hands a process the peak of whoever started it, so each
// one is started by time(1), which is small, and not by this program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// limit bounds a whole run of bench.
const limit = 60 * time.Minute

// section is a part of a page.
type section struct {
	name    string
	measure func(*bench, context.Context) ([]table, error)
}

// sections are what can be measured, in the order of the page.
var sections = []section{
	{"idle", (*bench).idle},
	{"update", (*bench).update},
	{"block", (*bench).block},
	{"apply", (*bench).apply},
	{"diff", (*bench).diff},
	{"engine", (*bench).engine},
	{"connect", (*bench).connect},
	{"messages", (*bench).messages},
	{"micro", (*bench).micro},
}

// bench is one run: where the programs are and where it works.
type bench struct {
	bin    string // with otad, otasim and otapack
	dir    string // working folder, removed at the end
	runs   int
	screen *screen
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == swarmCommand {
		if err := swarmMain(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", swarmCommand, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == deltaCommand {
		if err := deltaMain(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", deltaCommand, err)
			os.Exit(1)
		}
		return
	}
	var names []string
	for _, s := range append(sections, fleetSections...) {
		names = append(names, s.name)
	}
	bin := flag.String("bin", "bin", "folder with otad, otasim and otapack")
	out := flag.String("out", "", "file that the page is written to (default stdout)")
	only := flag.String("only", "", "measure one of "+strings.Join(names, ", "))
	runs := flag.Int("runs", 5, "how often each program is measured, at least 3")
	fleet := flag.Bool("fleet", false, "measure the fleet, for a page of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	what, made := sections, "make bench"
	if *fleet {
		what, made = fleetSections, "make bench-fleet"
	}
	if err := run(ctx, *bin, *out, *only, *runs, made, what); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, out, only string, runs int, made string, what []section) error {
	if runs < 3 {
		return fmt.Errorf("-runs %d: a median wants 3 or more", runs)
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	if err := needs(ctx, bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "leapslot-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{bin: bin, dir: dir, runs: runs, screen: newScreen()}
	defer b.screen.clear()
	p := page{Made: made, Machine: thisMachine(ctx), Runs: runs}
	for _, s := range what {
		if only != "" && only != s.name {
			continue
		}
		b.screen.section(s.name)
		tables, err := s.measure(b, ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		p.Tables = append(p.Tables, tables...)
	}
	if len(p.Tables) == 0 {
		return fmt.Errorf("-only %s is not known (see -help)", only)
	}
	p.LoadAfter = loadAverage()
	b.screen.clear()
	return write(out, p.markdown())
}

// write puts the page where it belongs; it is there whole or not at all.
func write(out, text string) error {
	if out == "" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	part := out + ".part"
	if err := os.WriteFile(part, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(part, out)
}
