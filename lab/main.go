//go:build lab

// Command lab updates a real device: a board that QEMU emulates, with Debian's
// boot loaders and kernels, two slots in real partitions, and the power button
// in the lab's hand.
//
// The guest's own otad talks over the emulated network to an otasim on this
// machine. Nothing in between is a double: the boot loader counts, the kernel
// panics, the disk keeps what it was given, and what the table calls "reported"
// is what the cloud's API says afterwards.
//
// The lab waits for lines of the console, each with a ceiling, and never for
// time; the one exception is the power cut, which happens at a moment of its
// own choice after a line. It installs the programs it needs (scripts/need.sh)
// and fetches what the guest is made of from Debian's mirror (lab/debs.sh) into
// build/lab, where it is found again by the next run.
//
//	go run -tags lab ./lab                    the core, about 15 minutes
//	go run -tags lab ./lab -full              everything
//	go run -tags lab ./lab -run panic         one scenario; -list shows their names
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/leapslot/ota/platform/durable"
)

func main() {
	full := flag.Bool("full", false, "all scenarios, and 20 power cuts in place of 5")
	list := flag.Bool("list", false, "list the scenarios and end")
	only := flag.String("run", "", "only the scenarios whose name matches this expression")
	out := flag.String("out", "", "write the rows into the table of this Markdown file")
	dir := flag.String("dir", "build/lab", "where everything is made and kept")
	verbose := flag.Bool("v", false, "show the consoles")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := choose(*only, *full)
	switch {
	case err != nil:
	case *list:
		for _, s := range chosen {
			fmt.Printf("%-22s %s\n", s.name, s.broken)
		}
		return
	default:
		err = run(ctx, &lab{dir: *dir, full: *full, verbose: *verbose}, chosen, *out)
	}
	if err != nil {
		fmt.Printf("lab: failed: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("lab: ok")
}

// choose gives the scenarios to run. One that is named runs whether or not it
// belongs to the core.
func choose(only string, full bool) (chosen []scenario, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	for _, s := range scenarios() {
		if match.MatchString(s.name) && (s.core || full || only != "") {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no scenario is called like %q (see -list -full)", only)
	}
	return chosen, nil
}

// run walks the scenarios one after the other: there is one machine, and never
// more than one guest. A scenario that fails does not keep the others from
// running, but the lab fails.
func run(ctx context.Context, l *lab, chosen []scenario, out string) (err error) {
	if !exists("lab/debs.sh") {
		return errors.New("the lab is run in the root of the sources")
	}
	if l.dir, err = filepath.Abs(l.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	lock, err := durable.Lock(l.dir)
	if err != nil {
		return fmt.Errorf("%s: %w (another lab runs there)", l.dir, err)
	}
	defer lock.Unlock()
	defer l.close()
	var t table
	for _, s := range chosen {
		fmt.Printf("%-22s %s\n", s.name, s.broken)
		began := time.Now()
		rows, err := s.run(ctx, l, s)
		if err != nil {
			rows = append(rows, row{up: "-", reported: err.Error(), failed: true})
		}
		for i := range rows {
			rows[i].fill(s, began)
			fmt.Printf("%-22s up: %s; reported: %s [%.0f s]\n", "", rows[i].up, rows[i].reported, rows[i].seconds)
		}
		t = append(t, rows...)
		if ctx.Err() != nil { // what was done is worth a row, the scenario that was interrupted is not
			t = t[:len(t)-len(rows)]
			break
		}
	}
	t.print(os.Stdout)
	if out != "" {
		if err := t.write(out); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n := t.failures(); n > 0 {
		return fmt.Errorf("%d of %d rows are not as they should be", n, len(t))
	}
	return nil
}
