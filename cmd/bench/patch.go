package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const (
	applySize = 64 << 20
	diffSize  = 16 << 20 // bsdiff takes its time
)

// apply measures otapack apply beside the classic bspatch, on the same patch.
func (b *bench) apply(ctx context.Context) ([]table, error) {
	generated, err := b.makePair("apply", applySize)
	if err != nil {
		return nil, err
	}
	rootfs, err := b.makeRootfs(ctx)
	if err != nil {
		return nil, err
	}
	t := table{
		title: "Applying a patch",
		about: []string{"`otapack apply` beside the classic `bspatch`, both on the patch that `otapack diff` made. `otapack apply` also " +
			"syncs the new image and puts it in place whole; `bspatch` does neither.", generated.about, rootfs.about},
		commands: []string{"otapack apply OLD PATCH NEW", "bspatch OLD NEW PATCH"},
		head:     []string{"", "CPU s", "CPU, ratio to bspatch", "peak MB", "peak, ratio to bspatch", "wall s"},
	}
	for _, p := range []pair{generated, rootfs} {
		patch := p.old + ".patch"
		if _, err := b.measure(ctx, cmd(filepath.Join(b.bin, "otapack"), "diff", p.old, p.new, patch)); err != nil {
			return nil, err
		}
		info, err := os.Stat(patch)
		if err != nil {
			return nil, err
		}
		ways := []contender{{name: "`otapack apply`"}, {name: "`bspatch`"}}
		out := filepath.Join(b.dir, "applied")
		if err := b.turns(ways, []func(int) (usage, error){
			func(int) (usage, error) {
				return b.makes(ctx, out, p.new, cmd(filepath.Join(b.bin, "otapack"), "apply", p.old, patch, out))
			},
			func(int) (usage, error) { return b.makes(ctx, out, p.new, cmd("bspatch", p.old, out, patch)) },
		}); err != nil {
			return nil, err
		}
		t.addPeers(fmt.Sprintf("%s, patch of %.2f MB", p.name, float64(info.Size())/mb), ways)
	}
	return []table{t}, nil
}

// addPeers adds the rows of two ways, the second of which is the peer.
func (t *table) addPeers(what string, ways []contender) {
	us, peer := ways[0], ways[1]
	t.rows = append(t.rows,
		[]string{us.name + ": " + what, spreadOf(us.cpu()), ratioOf(us.cpu(), peer.cpu()), spreadOf(us.peak()), ratioOf(us.peak(), peer.peak()), spreadOf(us.wall())},
		[]string{peer.name, spreadOf(peer.cpu()), "1", spreadOf(peer.peak()), "1", spreadOf(peer.wall())})
}

// makes measures a program that has to make the file out the same as want.
func (b *bench) makes(ctx context.Context, out, want string, c command) (usage, error) {
	u, err := b.measure(ctx, c)
	if err != nil {
		return u, err
	}
	if err := same(want, out); err != nil {
		return u, err
	}
	return u, os.Remove(out)
}

// diff measures otapack diff beside the classic bsdiff. Each patch is applied by
// the other side's program and has to give the new image.
func (b *bench) diff(ctx context.Context) ([]table, error) {
	p, err := b.makePair("diff", diffSize)
	if err != nil {
		return nil, err
	}
	tool, out := filepath.Join(b.bin, "otapack"), filepath.Join(b.dir, "applied")
	ours, theirs := p.old+".ours", p.old+".theirs"
	ways := []contender{{name: "`otapack diff`"}, {name: "`bsdiff`"}}
	if err := b.turns(ways, []func(int) (usage, error){
		func(int) (usage, error) { return b.measure(ctx, cmd(tool, "diff", p.old, p.new, ours)) },
		func(int) (usage, error) { return b.measure(ctx, cmd("bsdiff", p.old, p.new, theirs)) },
	}); err != nil {
		return nil, err
	}
	if _, err := b.makes(ctx, out, p.new, cmd("bspatch", p.old, out, ours)); err != nil {
		return nil, fmt.Errorf("bspatch of our patch: %w", err)
	}
	if _, err := b.makes(ctx, out, p.new, cmd(tool, "apply", p.old, theirs, out)); err != nil {
		return nil, fmt.Errorf("otapack apply of bsdiff's patch: %w", err)
	}
	var sizes []string
	for _, f := range []string{ours, theirs} {
		info, err := os.Stat(f)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, fmt.Sprintf("%.2f", float64(info.Size())/mb))
	}
	t := table{
		title: "Making a patch",
		about: []string{"`otapack diff` beside the classic `bsdiff`, on a pair without long runs of zero, which `bsdiff` does not get through in useful time. " +
			"Each patch was applied by the other's program.", p.about},
		commands: []string{"otapack diff OLD NEW PATCH", "bsdiff OLD NEW PATCH"},
		head:     []string{"", "CPU s", "CPU, ratio to bsdiff", "peak MB", "peak, ratio to bsdiff", "wall s", "patch MB"},
	}
	t.addPeers(p.name, ways)
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], sizes[i])
	}
	return []table{t}, nil
}
