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
	peersUpTo  = 200 << 20 // bsdiff takes 17 bytes for each of a larger one
	zstdUpTo   = 40 << 20
	applyRuns  = 7 // how often each patch is applied, at least
)

// deltaMain is bench delta.
func deltaMain(args []string) error {
	f := flag.NewFlagSet("bench "+deltaCommand, flag.ContinueOnError)
	bin := f.String("bin", "bin", "folder with otapack")
	cache := f.String("cache", "build/bench-delta", "folder that packages are kept in")
	out := f.String("out", "docs/benchmarks-delta.md", "file that the page is written to")
	only := f.String("only", "", "measure only the pairs named so, with commas between")
	keep := f.String("keep", "", "file that results are kept in: what is in it is not measured again, so that pairs can be measured one by one")
	note := f.String("note", "", "what else a reader of the page has to know, about results that were kept")
	runs := f.Int("runs", 3, "how often each program is measured on images below 20 MiB")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, deltaLimit)
	defer cancel()
	for _, p := range []string{timeProgram, "bsdiff", "bspatch", "xdelta3", "zstd", "dd", "openssl", "apt-get", "dpkg-deb", "tar", mke2fsProgram} {
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
	b.screen.lines = true // some steps take minutes
	defer b.screen.clear()
	d := &deltas{bench: b, machine: thisMachine(ctx), note: *note}
	d.machine.programs = packages(ctx, "bsdiff", "xdelta3", "zstd", "libbz2-1.0", "e2fsprogs")
	if err := d.load(*keep); err != nil {
		return err
	}
	return d.measure(ctx, *cache, *only, func() error {
		if err := d.save(*keep); err != nil {
			return err
		}
		return write(*out, d.page())
	})
}

// deltas is one run of bench delta.
type deltas struct {
	*bench
	machine machine
	pairs   []*measuredPair
	flat    []flatSize
	note    string
}

// measuredPair is what was found out about a pair.
type measuredPair struct {
	pair
	size     int64
	sizes    map[string]int64 // of patches, by way
	makes    map[string]*contender
	apply    map[string]*contender
	profiles map[string][]profileRow // of native apply, and of a slow --best
	change   float64                 // native patch to new image
}

func newMeasuredPair(p pair) *measuredPair {
	return &measuredPair{pair: p, sizes: map[string]int64{}, makes: map[string]*contender{}, apply: map[string]*contender{}, profiles: map[string][]profileRow{}}
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
	{wayBest, false, 0, ours("--best")},
	{wayNative, false, 0, ours("--format", "native")},
	{wayNativeBest, false, 0, ours("--format", "native", "--best")},
	{wayXdelta, true, peersUpTo, func(_ *deltas, p *measuredPair, patch string) command {
		return cmd("xdelta3", "-q", "-f", "-9", "-S", "lzma", "-B", fmt.Sprint(max(p.size, 16<<20)), "-e", "-s", p.old, p.new, patch)
	}},
	{wayZstd, true, zstdUpTo, func(_ *deltas, p *measuredPair, patch string) command {
		return cmd("zstd", "-q", "-f", "-19", "--long=27", "--patch-from="+p.old, p.new, "-o", patch)
	}},
}

// measure measures every pair, and writes the page anew after each: what was
// measured until the run is ended is worth keeping.
func (d *deltas) measure(ctx context.Context, cache, only string, page func() error) error {
	pairs, err := d.fetchPairs(ctx, cache)
	if err != nil {
		return err
	}
	wanted := func(name string) bool { return only == "" || slices.Contains(strings.Split(only, ","), name) }
	done := false
	for _, p := range pairs {
		if !wanted(p.name) || slices.ContainsFunc(d.pairs, func(m *measuredPair) bool { return m.name == p.name }) {
			continue
		}
		m, err := d.measurePair(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		d.pairs = append(d.pairs, m)
		done = true
		if err := page(); err != nil {
			return err
		}
	}
	if wanted(flatName) && len(d.flat) == 0 {
		d.screen.section(flatName)
		if err := d.measureFlat(ctx); err != nil {
			return fmt.Errorf("%s: %w", flatName, err)
		}
		done = true
	}
	if !done && len(d.pairs) == 0 {
		return errors.New("-only names no pair")
	}
	return page()
}

func (d *deltas) measurePair(ctx context.Context, p pair) (*measuredPair, error) {
	info, err := os.Stat(p.new)
	if err != nil {
		return nil, err
	}
	m := newMeasuredPair(p)
	m.size = info.Size()
	d.screen.section(p.name)
	if err := d.generate(ctx, m); err != nil {
		return nil, err
	}
	return m, d.applyAll(ctx, m)
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
	best, peer := p.makes[wayBest], p.makes[wayBsdiff]
	if best == nil || peer == nil || ratio(best.cpu(), peer.cpu()) <= bestCPU {
		return nil
	}
	d.screen.step("profile of %s", wayBest)
	rows, err := profileOf(ctx, d.dir, func() error { return makeOnce(ctx, p.pair) })
	p.profiles[wayBest] = rows
	return err
}

// Ways to apply.
const (
	appliedOurs   = "`otapack apply`, BSDIFF40"
	appliedPeer   = "`bspatch`"
	appliedNative = "`otapack apply --trust-old`, native"
	appliedBoth   = "`otapack apply`, native"
	appliedFloor  = "`dd` and `openssl dgst -sha256`"
)

// applyAll applies patches in turns: ours by bspatch, bsdiff's by ours, and a
// native one. Every result is compared with the new image.
func (d *deltas) applyAll(ctx context.Context, p *measuredPair) error {
	tool, out := filepath.Join(d.bin, "otapack"), filepath.Join(d.dir, "applied")
	for way, c := range map[string]command{
		wayBsdiff:     cmd(tool, "apply", p.old, d.patchOf(p, wayBsdiff), out),
		wayBest:       cmd("bspatch", p.old, out, d.patchOf(p, wayBest)),
		wayNativeBest: cmd(tool, "apply", p.old, d.patchOf(p, wayNativeBest), out),
	} {
		if p.sizes[way] == 0 {
			continue // not run on images as large as this
		}
		d.screen.step("%s applies the patch of %s", filepath.Base(c.path), way)
		if _, err := d.bench.makes(ctx, out, p.new, c); err != nil {
			return fmt.Errorf("applying the patch of %s: %w", way, err)
		}
	}
	classic, native := d.patchOf(p, wayDefault), d.patchOf(p, wayNative)
	ways := []contender{{name: appliedPeer}, {name: appliedOurs}, {name: appliedNative}, {name: appliedBoth}, {name: appliedFloor}}
	makes := func(args ...string) func(int) (usage, error) {
		return func(int) (usage, error) { return d.makes(ctx, out, p.new, cmd(args[0], args[1:]...)) }
	}
	often := *d.bench // that takes no time, and has the smallest figures
	often.runs = max(d.runs, applyRuns)
	err := often.turns(ways, []func(int) (usage, error){
		makes("bspatch", p.old, out, classic),
		makes(tool, "apply", p.old, classic, out),
		makes(tool, "apply", "--trust-old", p.old, native, out),
		makes(tool, "apply", p.old, native, out),
		func(int) (usage, error) { return d.floor(ctx, p.new, out) },
	})
	for i := range ways {
		p.apply[ways[i].name] = &ways[i]
	}
	if err != nil {
		return err
	}
	d.screen.step("profile of %s", appliedNative)
	times := max(1, int(1<<30/p.size))
	p.profiles[appliedNative], err = profileOf(ctx, d.dir, func() error {
		for range times {
			if err := applyOnce(p.old, native, out); err != nil {
				return err
			}
		}
		return os.Remove(out)
	})
	for _, w := range deltaWays {
		os.Remove(d.patchOf(p, w.name))
	}
	return err
}

// floor is what copying an image and computing its digest costs, without any
// patch: less than that no program takes.
func (d *deltas) floor(ctx context.Context, image, out string) (usage, error) {
	u, err := d.makes(ctx, out, image, cmd("dd", "if="+image, "of="+out, "bs=128K", "status=none"))
	if err != nil {
		return u, err
	}
	sum, err := d.bench.measure(ctx, cmd("openssl", "dgst", "-sha256", image))
	return u.plus(sum), err
}
