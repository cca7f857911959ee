package main

import (
	"fmt"
	"slices"
	"strings"
)

// page is the page of bench delta.
func (d *deltas) page() string {
	var s strings.Builder
	s.WriteString(`# Benchmarks of patches

Made by ` + "`make bench-delta`" + ` (cmd/bench), which measures whole processes on images made from
Debian's packages for arm64. Do not edit: run it again.

* CPU is user and system time of wait4(2), peak memory ru_maxrss, as in [benchmarks.md](benchmarks.md).
  ` + "`otapack diff`" + ` and ` + "`bsdiff`" + ` differ in what counts there: ours maps the images, whose pages
  are in the figure as long as the kernel leaves them there.
* Programs are run in turns on the same files; compare ratios, not seconds. Images from 20 MiB on are
  diffed once by each program, since ` + "`bsdiff`" + ` takes its time, and smaller ones ` + fmt.Sprint(d.runs) + ` times; each patch is
  applied ` + fmt.Sprint(max(d.runs, applyRuns)) + ` times.
* Each patch of ` + "`bsdiff`" + ` was applied by ` + "`otapack`" + `, and our two of BSDIFF40 by ` + "`bspatch`" + `; all of them gave the
  new image, or there would be no page.
* The tunings of ` + "`otapack diff`" + ` were chosen by looking at libcrypto, python, containerd, modules and the kernel of this
  page and at two pairs that are not on it (kernels and modules of 6.1.0-53 and -55): on those, sizes are better than
  on images that were not looked at. Only rootfs was not looked at. The default tuning is that of seven tried which
  kept all pairs of this page below 1.03; on the modules of 6.1.0-53 to -55 it has 1.041. What LZMA looks for in
  native patches was chosen on libcrypto and the kernel.
* ` + "`bsdiff`" + `, ` + "`xdelta3`" + ` and ` + "`zstd`" + ` are left out of images from 200 MB on (` + "`zstd`" + ` of those from 40 MB on): ` + "`bsdiff`" + ` takes
  17 bytes of memory for each byte of the old image, which is 5.7 GB for rootfs.
* MB is 1,000,000 bytes.

`)
	m := d.machine
	table{head: []string{"machine", ""}, rows: [][]string{
		{"CPU", m.cpu}, {"cores", m.cores}, {"memory", m.memory}, {"kernel", m.kernel}, {"Go", m.goVersion}, {"programs", m.programs},
		{"date", m.date}, {"load average before", m.load}, {"load average after", loadAverage()},
	}}.writeRows(&s)
	if len(d.pairs) == 0 {
		d.flatTable().write(&s)
		return s.String()
	}
	s.WriteString("\n" + d.pairs[0].about + "\n")
	if d.note != "" {
		s.WriteString("\n" + d.note + "\n")
	}
	goals := table{title: "Goals", head: goalHead}
	for _, g := range d.goals() {
		goals.rows = append(goals.rows, g.row())
	}
	goals.write(&s)
	d.sizesTable().write(&s)
	d.costTable().write(&s)
	d.applyTable().write(&s)
	if len(d.flat) > 0 {
		d.flatTable().write(&s)
	}
	for _, t := range d.profileTables() {
		t.write(&s)
	}
	return s.String()
}

// ratios divides a figure of two ways, over the pairs that have both.
func (d *deltas) ratios(from int64, figure func(p *measuredPair, way string) (float64, bool), way, peer string) (all series) {
	for _, p := range d.pairs {
		a, ok := figure(p, way)
		b, ok2 := figure(p, peer)
		if ok && ok2 && p.size >= from {
			all = append(all, a/b)
		}
	}
	return all
}

func patchSize(p *measuredPair, way string) (float64, bool) {
	return float64(p.sizes[way]), p.sizes[way] > 0
}

func makeCPU(p *measuredPair, way string) (float64, bool) {
	c := p.makes[way]
	if c == nil {
		return 0, false
	}
	return c.cpu().spread().median, true
}

func applyCPU(p *measuredPair, way string) (float64, bool) {
	c := p.apply[way]
	return c.cpu().spread().median, true
}

// goals are those of the issue. A group without pairs has none.
func (d *deltas) goals() (all []goal) {
	add := func(what string, limit float64, s series, pick func(spread) float64) {
		if len(s) > 0 {
			all = append(all, goal{what: what, limit: limit, measured: pick(s.spread())})
		}
	}
	median, most := func(s spread) float64 { return s.median }, func(s spread) float64 { return s.max }
	add("generate CPU, default, ratio to bsdiff, median", 1.0/6, d.ratios(0, makeCPU, wayDefault, wayBsdiff), median)
	add("the same, images of 60 MiB and more, each", 1.0/12, d.ratios(largeFrom, makeCPU, wayDefault, wayBsdiff), most)
	add("generate CPU, best, ratio to bsdiff, each", bestCPU, d.ratios(0, makeCPU, wayBest, wayBsdiff), most)
	var defaultRSS, bestRSS, classicPeak, nativePeak series
	for _, p := range d.pairs {
		defaultRSS = append(defaultRSS, p.makes[wayDefault].peak().spread().max*mb/float64(p.size))
		if best := p.makes[wayBest]; best != nil {
			bestRSS = append(bestRSS, best.peak().spread().max*mb/(6*float64(p.size)+64<<20))
		}
		classicPeak = append(classicPeak, p.apply[appliedOurs].peak().spread().max)
		nativePeak = append(nativePeak, p.apply[appliedBoth].peak().spread().max)
	}
	for _, f := range d.flat {
		classicPeak = append(classicPeak, float64(f.Classic.Peak)/mb)
		nativePeak = append(nativePeak, float64(f.Native.Peak)/mb)
	}
	add("generate peak, best, ratio to 5 x old + new + 64 MiB, each", 1, bestRSS, most)
	add("generate peak, default, ratio to the image, largest image", 3, defaultRSS[len(defaultRSS)-1:], most)
	add("BSDIFF40 size, best, ratio to bsdiff, median", 0.93, d.ratios(0, patchSize, wayBest, wayBsdiff), median)
	add("the same, each", 1, d.ratios(0, patchSize, wayBest, wayBsdiff), most)
	add("BSDIFF40 size, default, ratio to bsdiff, each", 1.03, d.ratios(0, patchSize, wayDefault, wayBsdiff), most)
	add("native size, best, ratio to bsdiff, median", 0.85, d.ratios(0, patchSize, wayNativeBest, wayBsdiff), median)
	add("BSDIFF40 apply, CPU, ratio to bspatch, median", 1, d.ratios(0, applyCPU, appliedOurs, appliedPeer), median)
	add("BSDIFF40 apply, peak MB, each, 1 MB to 4.4 GB", 16*1.048576, classicPeak, most)
	near, far := d.nativeRatios()
	add("native apply, CPU, ratio to bspatch, patch below 2 % of the image, median", nearCPU, near, median)
	add("native apply, CPU, ratio to bspatch, other patches, median", farCPU, far, median)
	add("native apply, peak MB, each, 1 MB to 4.4 GB", 12*1.048576, nativePeak, most)
	var speed series
	for _, p := range d.pairs {
		speed = append(speed, float64(p.size)/mb/p.apply[appliedNative].cpu().spread().median)
	}
	return append(all, goal{what: "native apply, MB a second of CPU, median", limit: 300, measured: speed.spread().median, atLeast: true})
}

// Goals of CPU time, as ratios to the peer.
const (
	bestCPU = 1.0 / 2
	nearCPU = 1.0 / 4 // applying a patch below nearChange of the image
	farCPU  = 1.0 / 2

	nearChange = 0.02
)

// nativeRatios tells images that are nearly the same from others.
func (d *deltas) nativeRatios() (near, far series) {
	for _, p := range d.pairs {
		a, _ := applyCPU(p, appliedNative)
		b, _ := applyCPU(p, appliedPeer)
		if p.change < nearChange {
			near = append(near, a/b)
		} else {
			far = append(far, a/b)
		}
	}
	return near, far
}

// names are the pairs, with their sizes.
func (d *deltas) names() (names []string) {
	for _, p := range d.pairs {
		names = append(names, fmt.Sprintf("%s, %.1f MB", p.name, float64(p.size)/mb))
	}
	return names
}

func (d *deltas) sizesTable() table {
	t := table{title: "Size of the patch", about: []string{"In bytes, and the ratio to `bsdiff`."}, head: slices.Concat([]string{""}, d.names())}
	for _, w := range deltaWays {
		row := []string{w.name}
		for _, p := range d.pairs {
			cell := "not run"
			if size := p.sizes[w.name]; size > 0 {
				cell = fmt.Sprint(size)
				if peer := p.sizes[wayBsdiff]; peer > 0 {
					cell += fmt.Sprintf(" (%.3f)", float64(size)/float64(peer))
				}
			}
			row = append(row, cell)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (d *deltas) costTable() table {
	t := table{title: "Making it", about: []string{"CPU seconds (ratio to `bsdiff`), peak MB."}, head: slices.Concat([]string{""}, d.names())}
	for _, w := range deltaWays {
		row := []string{w.name}
		for _, p := range d.pairs {
			cell := "not run"
			if c := p.makes[w.name]; c != nil {
				cell = figure(c.cpu().spread().median)
				if peer := p.makes[wayBsdiff]; peer != nil {
					cell += fmt.Sprintf(" (%s)", figure(ratio(c.cpu(), peer.cpu())))
				}
				cell += ", " + figure(c.peak().spread().max) + " MB"
			}
			row = append(row, cell)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func (d *deltas) applyTable() table {
	t := table{title: "Applying it", about: []string{"CPU seconds (ratio to `bspatch`), peak MB. The patches are those of `otapack diff` without --best. " +
		"`otapack apply` also syncs the new image and puts it in place whole, and computes the SHA-256 of what a native patch makes; `bspatch` does none of that. " +
		"Without --trust-old, which the goals are about, it reads the old image once more before, for its SHA-256. " +
		"The last row is a floor: copying the new image, and computing its SHA-256, without any patch."},
		commands: []string{"otapack apply [--trust-old] OLD PATCH NEW", "bspatch OLD NEW PATCH", "dd if=NEW of=OUT bs=128K", "openssl dgst -sha256 NEW"}, head: slices.Concat([]string{""}, d.names())}
	for _, way := range []string{appliedPeer, appliedOurs, appliedNative, appliedBoth, appliedFloor} {
		row := []string{way}
		for _, p := range d.pairs {
			c := p.apply[way]
			row = append(row, fmt.Sprintf("%s (%s), %s MB", figure(c.cpu().spread().median), figure(ratio(c.cpu(), p.apply[appliedPeer].cpu())), figure(c.peak().spread().max)))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// profileTables shows where the time goes where a goal of CPU time was missed.
func (d *deltas) profileTables() (all []table) {
	for _, p := range d.pairs {
		for _, way := range []string{appliedNative, wayBest} {
			goal, is := bestCPU, 0.0
			if way == appliedNative {
				if goal = farCPU; p.change < nearChange {
					goal = nearCPU
				}
				is = ratio(p.apply[way].cpu(), p.apply[appliedPeer].cpu())
			} else if p.makes[wayBsdiff] != nil {
				is = ratio(p.makes[way].cpu(), p.makes[wayBsdiff].cpu())
			}
			if is <= goal || len(p.profiles[way]) == 0 {
				continue
			}
			t := table{title: "Why not less: " + way + ", " + p.name, about: []string{fmt.Sprintf("%s of the peer's CPU time, and %s was the goal. "+
				"The same calls in a process of the bench, in this run, by runtime/pprof: part of the samples in a function, and in what it calls as well.", figure(is), figure(goal))},
				head: []string{"function", "itself", "with what it calls"}}
			for _, r := range p.profiles[way] {
				t.rows = append(t.rows, []string{"`" + r.Name + "`", r.Flat, r.Cum})
			}
			all = append(all, t)
		}
	}
	return all
}
