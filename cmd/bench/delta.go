package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// deltaCommand is the first argument that measures patches on real images:
//
//	bench delta -bin bin -cache build/bench-delta -out docs/benchmarks-delta.md
const deltaCommand = "delta"

const (
	deltaLimit = 90 * time.Minute
	slowFrom   = 20 << 20  // images from this size on are diffed once only
	largeFrom  = 60 << 20  // "60 MB and more" of the goals
	peersUpTo  = 200 << 20 // larger ones would keep bsdiff for half an hour
	zstdUpTo   = 40 << 20
)

// deltaMain is bench delta.
func deltaMain(args []string) error {
	f := flag.NewFlagSet("bench "+deltaCommand, flag.ContinueOnError)
	bin := f.String("bin", "bin", "folder with otapack")
	cache := f.String("cache", "build/bench-delta", "folder that packages are kept in")
	out := f.String("out", "docs/benchmarks-delta.md", "file that the page is written to")
	only := f.String("only", "", "measure only the pairs named so, with commas between")
	runs := f.Int("runs", 3, "how often each program is measured on images below 20 MiB, and each patch applied")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, deltaLimit)
	defer cancel()
	for _, p := range []string{timeProgram, "bsdiff", "bspatch", "xdelta3", "zstd", "apt-get", "dpkg-deb", "tar", mke2fsProgram} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%w (install it; make bench-delta does)", err)
		}
	}
	folder, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "leapslot-bench-delta-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{bin: folder, dir: dir, runs: *runs, screen: newScreen()}
	defer b.screen.clear()
	d := &deltas{bench: b, machine: thisMachine(ctx)}
	d.machine.programs = packages(ctx, "bsdiff", "xdelta3", "zstd", "libbz2-1.0", "e2fsprogs")
	return d.measure(ctx, *cache, *only, func() error { return write(*out, d.page()) })
}

// deltas is one run of bench delta.
type deltas struct {
	*bench
	machine machine
	pairs   []*measuredPair
}

// measuredPair is what was found out about a pair.
type measuredPair struct {
	pair
	size   int64
	sizes  map[string]int64 // of patches, by way
	makes  map[string]*contender
	apply  map[string]*contender
	change float64 // native patch to new image
}

// deltaWay is one way to make a patch.
type deltaWay struct {
	name string
	peer bool
	upTo int64 // largest image
	make func(d *deltas, p *measuredPair, patch string) command
}

func ours(args ...string) func(d *deltas, p *measuredPair, patch string) command {
	return func(d *deltas, p *measuredPair, patch string) command {
		return cmd(filepath.Join(d.bin, "otapack"), slices.Concat([]string{"diff", p.old, p.new, patch}, args)...)
	}
}

const (
	wayBsdiff     = "`bsdiff`"
	wayDefault    = "`otapack diff`"
	wayBest       = "`otapack diff --best`"
	wayNative     = "`otapack diff --format native`"
	wayNativeBest = "`otapack diff --format native --best`"
	wayXdelta     = "`xdelta3 -9 -S lzma`"
	wayZstd       = "`zstd -19 --patch-from`"
)

var deltaWays = []deltaWay{
	{wayBsdiff, true, peersUpTo, func(_ *deltas, p *measuredPair, patch string) command { return cmd("bsdiff", p.old, p.new, patch) }},
	{wayDefault, false, 0, ours()},
	{wayBest, false, peersUpTo, ours("--best")},
	{wayNative, false, 0, ours("--format", "native")},
	{wayNativeBest, false, peersUpTo, ours("--format", "native", "--best")},
	{wayXdelta, true, peersUpTo, func(_ *deltas, p *measuredPair, patch string) command {
		return cmd("xdelta3", "-q", "-f", "-9", "-S", "lzma", "-B", fmt.Sprint(max(p.size, 16<<20)), "-e", "-s", p.old, p.new, patch)
	}},
	{wayZstd, true, zstdUpTo, func(_ *deltas, p *measuredPair, patch string) command {
		return cmd("zstd", "-q", "-f", "-19", "--long=27", "--patch-from="+p.old, p.new, "-o", patch)
	}},
}

// measure measures every pair, and writes the page anew after each: the whole run
// takes half an hour, and what was measured until it is ended is worth keeping.
func (d *deltas) measure(ctx context.Context, cache, only string, page func() error) error {
	pairs, err := d.fetchPairs(ctx, cache)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		info, err := os.Stat(p.new)
		if err != nil {
			return err
		}
		m := &measuredPair{pair: p, size: info.Size(), sizes: map[string]int64{}, makes: map[string]*contender{}, apply: map[string]*contender{}}
		d.screen.section(p.name)
		if err := d.generate(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := d.applyAll(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		d.pairs = append(d.pairs, m)
		if err := page(); err != nil {
			return err
		}
	}
	if len(d.pairs) == 0 {
		return errors.New("-only names no pair")
	}
	return nil
}

func (d *deltas) patchOf(p *measuredPair, way string) string {
	i := slices.IndexFunc(deltaWays, func(w deltaWay) bool { return w.name == way })
	return filepath.Join(d.dir, fmt.Sprintf("%s.%d.patch", p.name, i))
}

// generate makes a patch in each way, in turns.
func (d *deltas) generate(ctx context.Context, p *measuredPair) error {
	runs := d.runs
	if p.size >= slowFrom {
		runs = 1
	}
	for i := range runs {
		for _, w := range deltaWays {
			if w.upTo > 0 && p.size > w.upTo {
				continue
			}
			d.screen.step("run %d of %d: %s", i+1, runs, w.name)
			patch := d.patchOf(p, w.name)
			u, err := d.bench.measure(ctx, w.make(d, p, patch))
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			info, err := os.Stat(patch)
			if err != nil {
				return err
			}
			p.sizes[w.name] = info.Size()
			if p.makes[w.name] == nil {
				p.makes[w.name] = &contender{name: w.name}
			}
			p.makes[w.name].runs = append(p.makes[w.name].runs, u)
		}
	}
	p.change = float64(p.sizes[wayNative]) / float64(p.size)
	return nil
}

// Ways to apply.
const (
	appliedOurs   = "`otapack apply`, BSDIFF40"
	appliedPeer   = "`bspatch`"
	appliedNative = "`otapack apply`, native"
)

// applyAll applies patches in turns: ours by bspatch, bsdiff's by ours, and a
// native one. Every result is compared with the new image.
func (d *deltas) applyAll(ctx context.Context, p *measuredPair) error {
	tool, out := filepath.Join(d.bin, "otapack"), filepath.Join(d.dir, "applied")
	if theirs := d.patchOf(p, wayBsdiff); p.sizes[wayBsdiff] > 0 {
		if _, err := d.bench.makes(ctx, out, p.new, cmd(tool, "apply", p.old, theirs, out)); err != nil {
			return fmt.Errorf("otapack apply of bsdiff's patch: %w", err)
		}
	}
	if best := d.patchOf(p, wayBest); p.sizes[wayBest] > 0 {
		if _, err := d.bench.makes(ctx, out, p.new, cmd("bspatch", p.old, out, best)); err != nil {
			return fmt.Errorf("bspatch of our best patch: %w", err)
		}
	}
	ways := []contender{{name: appliedOurs}, {name: appliedPeer}, {name: appliedNative}}
	classic, native := d.patchOf(p, wayDefault), d.patchOf(p, wayNative)
	err := d.turns(ways, []func(int) (usage, error){
		func(int) (usage, error) { return d.makes(ctx, out, p.new, cmd(tool, "apply", p.old, classic, out)) },
		func(int) (usage, error) { return d.makes(ctx, out, p.new, cmd("bspatch", p.old, out, classic)) },
		func(int) (usage, error) { return d.makes(ctx, out, p.new, cmd(tool, "apply", p.old, native, out)) },
	})
	for i := range ways {
		p.apply[ways[i].name] = &ways[i]
	}
	for _, w := range deltaWays {
		os.Remove(d.patchOf(p, w.name))
	}
	return err
}
