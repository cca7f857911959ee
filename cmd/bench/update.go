package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	updateSize     = 256 << 20
	updateLimit    = 2 * time.Minute // an agent that refuses or fails does not end
	exitReboot     = 4               // otad asks its supervisor to start it again
	updateCPUGoal  = 1.5
	updatePeakGoal = 24 // MB
)

// update measures one full update of a real agent beside a download with the
// usual tools, from the same server.
func (b *bench) update(ctx context.Context) ([]table, error) {
	image := filepath.Join(b.dir, "full.img")
	b.screen.step("makes the image")
	if err := makeFullImage(image, updateSize); err != nil {
		return nil, err
	}
	c, err := b.openCloud(ctx, "update-cloud")
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	pkg, url, err := c.offer(ctx, image, nextVersion)
	if err != nil {
		return nil, err
	}
	slot := filepath.Join(b.dir, "slot.img")
	ways := []contender{
		{name: "`otad run`, the whole update"},
		{name: "`curl \\| tee \\| sha256sum`"},
		{name: "`curl \\| tee \\| openssl dgst -sha256`"},
		{name: "`curl \\| tee \\| sha256sum`, then synced and read back"},
	}
	do := []func(int) (usage, error){
		func(i int) (usage, error) { return b.updateOnce(ctx, c, pkg, image, fmt.Sprintf("update-%d", i+1)) },
		func(int) (usage, error) { return b.curlOnce(ctx, url, slot, image, sha256sum()) },
		func(int) (usage, error) { return b.curlOnce(ctx, url, slot, image, cmd("openssl", "dgst", "-sha256")) },
		func(int) (usage, error) { return b.curlTwice(ctx, url, slot, image) },
	}
	if err := b.turns(ways, do); err != nil {
		return nil, fmt.Errorf("%w (otasim: %s)", err, tail(c.log.String()))
	}
	return []table{updateTable(ways)}, os.Remove(image)
}

// turns runs the ways of doing a job one after the other, again and again. What
// an earlier one left to be written is written first, so that nobody waits for
// it in another's time.
func (b *bench) turns(ways []contender, do []func(run int) (usage, error)) error {
	for i := range b.runs {
		for k := range ways {
			b.screen.step("run %d of %d: %s", i+1, b.runs, ways[k].name)
			unix.Sync()
			u, err := do[k](i)
			if err != nil {
				return fmt.Errorf("%s: %w", ways[k].name, err)
			}
			ways[k].runs = append(ways[k].runs, u)
		}
	}
	return nil
}

// updateOnce is one life of otad: it connects, is told of the package, and ends
// to be started again from the other slot. Wall is counted from the batch on.
func (b *bench) updateOnce(ctx context.Context, c *cloud, pkg, image, name string) (usage, error) {
	d, err := b.newDevice(ctx, c, name)
	if err != nil {
		return usage{}, err
	}
	agent := cmd(filepath.Join(b.bin, "otad"), "run", "-c", d.config)
	agent.exit = exitReboot
	ctx, cancel := context.WithTimeout(ctx, updateLimit)
	defer cancel()
	p, err := b.start(ctx, agent)
	if err != nil {
		return usage{}, err
	}
	if err := c.hears(ctx, d.name, firstVersion); err != nil {
		cancel()
		p.wait()
		return usage{}, fmt.Errorf("%w: %s", err, tail(p.stderr.String()))
	}
	told := time.Now()
	if err := c.announce(ctx, pkg, d.name); err != nil {
		cancel()
		p.wait()
		return usage{}, err
	}
	u, err := p.wait()
	if err != nil {
		return usage{}, err
	}
	u.Wall = time.Since(told)
	if err := same(image, d.spare); err != nil {
		return usage{}, err
	}
	return u, os.RemoveAll(d.dir)
}

// sha256sum is the usual tool; it does not use the CPU's own SHA instructions.
func sha256sum(files ...string) command { return cmd("sha256sum", files...) }

// curlOnce downloads into a slot and digests on the way, and no more.
func (b *bench) curlOnce(ctx context.Context, url, slot, image string, digest command) (usage, error) {
	u, err := b.pipeline(ctx, cmd("curl", "-sf", url), cmd("tee", slot), digest)
	if err != nil {
		return u, err
	}
	if err := same(image, slot); err != nil {
		return u, err
	}
	return u, os.Remove(slot)
}

// curlTwice also does what an agent has to do before it may switch: the slot is
// on the disk, and what the disk holds is read and digested.
func (b *bench) curlTwice(ctx context.Context, url, slot, image string) (usage, error) {
	u, err := b.pipeline(ctx, cmd("curl", "-sf", url), cmd("tee", slot), sha256sum())
	if err != nil {
		return u, err
	}
	for _, c := range []command{
		cmd("sync", slot), cmd("dd", "if="+slot, "iflag=nocache", "count=0", "status=none"), sha256sum(slot),
	} {
		more, err := b.measure(ctx, c)
		if err != nil {
			return u, err
		}
		u = usage{u.CPU + more.CPU, u.Wall + more.Wall, max(u.Peak, more.Peak)}
	}
	if err := same(image, slot); err != nil {
		return u, err
	}
	return u, os.Remove(slot)
}

func updateTable(ways []contender) table {
	t := table{
		title: "A full update of 256 MiB",
		about: []string{
			"The image is half pseudo-random and half zero, in turns of 1 MiB, and goes over loopback HTTP into a slot that is a " +
				"new file. `otasim serve`, another process, announces it in a static batch and serves it; curl gets the signed URL of " +
				"the same file from the same server. The server's CPU is in no figure.",
			"For `otad` everything from its start to its exit with code 4, the reboot, is counted: start, sign-in, version report, the " +
				"notice, download, SHA-256 on the way, a checkpoint with fsync of slot and record each 4 MiB, sync, reading the slot back " +
				"from the disk with a second SHA-256, the switch, and the progress reports. MB/s begins with the batch.",
			"The peer of the goal, the second line, neither syncs nor reads back; the kernel writes its pages in nobody's time. " +
				"sha256sum of coreutils does not use the CPU's SHA instructions, where Go does; openssl, in the third line, does too. On a CPU without " +
				"them the agent's two digests cost more, and the ratio is another. The last line does the work that the agent does (sync, " +
				"drop the cache, sha256sum), without its checkpoints. Peak memory of a pipeline is the sum of its programs.",
		},
		commands: []string{"otad run -c CONFIG", "curl -sf URL | tee SLOT | sha256sum", "curl -sf URL | tee SLOT | openssl dgst -sha256",
			"curl -sf URL | tee SLOT | sha256sum; sync SLOT; dd if=SLOT iflag=nocache count=0; sha256sum SLOT"},
		head: []string{"", "CPU s", "otad's CPU to this", "peak MB", "MB/s"},
		goals: []goal{
			{"CPU of a full update, ratio to `curl \\| tee \\| sha256sum`", updateCPUGoal, ratio(ways[0].cpu(), ways[1].cpu()), "", false},
			{"peak memory of a full update", updatePeakGoal, ways[0].peak().spread().max, " MB", false},
		},
	}
	for i, w := range ways {
		r := "1"
		if i > 0 {
			r = ratioOf(ways[0].cpu(), w.cpu())
		}
		t.rows = append(t.rows, []string{w.name, spreadOf(w.cpu()), r, spreadOf(w.peak()), spreadOf(w.rate(updateSize))})
	}
	return t
}
