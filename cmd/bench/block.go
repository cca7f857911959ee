package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	blockSize     = 1 << 30
	blockLimit    = 3 * time.Minute
	blockCPUGoal  = 1.3
	blockRateGoal = 0.9
	blockPeakGoal = 24 // MB
)

// block measures a full image on its way into a block device, without a network: a
// signed bundle is verified, written and read back by a real agent.
func (b *bench) block(ctx context.Context) ([]table, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("loop devices want root")
	}
	dir := filepath.Join(b.dir, "block")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	image := filepath.Join(dir, "rootfs.img")
	b.screen.step("makes the image of %d MiB", blockSize>>20)
	if err := makeFullImage(image, blockSize); err != nil {
		return nil, err
	}
	bundle, err := b.makeBundle(ctx, dir, image)
	if err != nil {
		return nil, err
	}
	a, endA, err := b.loop(ctx, filepath.Join(dir, "a.img"))
	if err != nil {
		return nil, err
	}
	defer endA()
	spare, endB, err := b.loop(ctx, filepath.Join(dir, "b.img"))
	if err != nil {
		return nil, err
	}
	defer endB()
	ways := []contender{{name: "`otad run`, from a bundle"}, {name: "`dd`, then `sha256sum`"}, {name: "`dd oflag=direct`, then `sha256sum` of the device past the cache"}}
	do := []func(int) (usage, error){
		func(i int) (usage, error) {
			return b.installOnce(ctx, filepath.Join(dir, fmt.Sprint("device-", i)), bundle, a, spare, image)
		},
		func(int) (usage, error) {
			return b.ddOnce(ctx, image, spare, cmd("dd", "if="+image, "of="+spare, "bs=1M", "conv=fsync", "status=none"), sha256sum(image))
		},
		func(int) (usage, error) {
			return b.ddOnce(ctx, image, spare, cmd("dd", "if="+image, "of="+spare, "bs=1M", "oflag=direct", "conv=fsync", "status=none"),
				cmd("dd", "if="+spare, "iflag=nocache", "count=0", "status=none"), sha256sum(spare))
		},
	}
	if err := b.turns(ways, do); err != nil {
		return nil, err
	}
	return []table{blockTable(ways)}, nil
}

// tool runs a program of ours or of the system whose cost does not count, and gives its
// output.
func (b *bench) tool(ctx context.Context, path string, args ...string) (string, error) {
	f, err := os.CreateTemp(b.dir, "out-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	c := cmd(path, args...)
	c.out = f
	_, err = b.measure(ctx, c)
	f.Close()
	out, readErr := os.ReadFile(f.Name())
	return strings.TrimSpace(string(out)), errors.Join(err, readErr)
}

// makeBundle makes a key and a bundle signed with it.
func (b *bench) makeBundle(ctx context.Context, dir, image string) (string, error) {
	otapack, keys, bundle := filepath.Join(b.bin, "otapack"), filepath.Join(dir, "keys"), filepath.Join(dir, "rootfs.tar")
	if _, err := b.tool(ctx, otapack, "keygen", "--type", "ed25519", "--out", keys); err != nil {
		return "", err
	}
	udi, err := b.tool(ctx, otapack, "sign", image, "--key", filepath.Join(keys, "ed25519.key.pem"), "--product", "a1bench",
		"--module", "default", "--version", nextVersion)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(image+".udi", []byte(udi), 0o600); err != nil {
		return "", err
	}
	if err := os.Remove(filepath.Join(keys, "ed25519.key.pem")); err != nil { // a device has the public one alone
		return "", err
	}
	_, err = b.tool(ctx, otapack, "bundle", image, "-o", bundle)
	return bundle, err
}

// loop makes a block device of a file.
func (b *bench) loop(ctx context.Context, path string) (device string, end func(), err error) {
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(blockSize), f.Close())
	}
	if err != nil {
		return "", nil, err
	}
	if device, err = b.tool(ctx, "losetup", "--find", "--show", path); err != nil {
		return "", nil, err
	}
	return device, func() { b.tool(context.WithoutCancel(ctx), "losetup", "--detach", device) }, nil
}

// installOnce is one life of otad, which is given the bundle and ends to be started again
// from the other slot. Wall is counted from the order on.
func (b *bench) installOnce(ctx context.Context, dir, bundle, a, spare, image string) (usage, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usage{}, err
	}
	defer os.RemoveAll(dir)
	config := filepath.Join(dir, "config.toml")
	err := os.WriteFile(config, fmt.Appendf(nil, `
state_dir = "%[1]s/state"
[device]
product_key = "a1bench"
device_name = "block"
device_secret = "none"
[cloud]
url = "mqtt://127.0.0.1:1"
[[module]]
name = "default"
version = "%[2]s"
[slots]
kind = "block"
a = "%[3]s"
b = "%[4]s"
[trust]
keys = "%[5]s"
require = "manifest"
[api]
socket = "%[1]s/api.sock"
`, dir, firstVersion, a, spare, filepath.Join(filepath.Dir(bundle), "keys")), 0o600)
	if err != nil {
		return usage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, blockLimit)
	defer cancel()
	otad := filepath.Join(b.bin, "otad")
	run := cmd(otad, "run", "-c", config)
	run.exit = exitReboot
	p, err := b.start(ctx, run)
	if err != nil {
		return usage{}, err
	}
	for p.cmd.ProcessState == nil {
		if _, err = os.Stat(filepath.Join(dir, "api.sock")); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	told := time.Now()
	if _, err := b.tool(ctx, otad, "install", "--no-wait", "-c", config, bundle); err != nil {
		cancel()
		p.wait()
		return usage{}, fmt.Errorf("%w: %s", err, tail(p.stderr.String()))
	}
	u, err := p.wait()
	if err != nil {
		return usage{}, fmt.Errorf("%w: %s", err, tail(p.stderr.String()))
	}
	u.Wall = time.Since(told)
	return u, same(image, spare)
}

// ddOnce adds up the programs of one way.
func (b *bench) ddOnce(ctx context.Context, image, spare string, programs ...command) (sum usage, err error) {
	for _, c := range programs {
		u, err := b.measure(ctx, c)
		if err != nil {
			return sum, err
		}
		sum = usage{sum.CPU + u.CPU, sum.Wall + u.Wall, max(sum.Peak, u.Peak)}
	}
	return sum, same(image, spare)
}

func blockTable(ways []contender) table {
	rate := ratio(ways[0].rate(blockSize), ways[1].rate(blockSize))
	t := table{
		title: "A full image of 1 GiB into a block device",
		about: []string{
			"A signed bundle (Ed25519), half pseudo-random and half zero in turns of 1 MiB, is installed without a network into a loop device of a sparse file. " +
				"For `otad` everything from its start to its exit for the restart is counted: the manifest's signature, SHA-256 on the way, a checkpoint with fsync of device and " +
				"record each 4 MiB, reading the device back past the cache with a second SHA-256, trimming, and the switch. MB/s begins with the order to install.",
			"The peer of the goal, the second line, writes and syncs the same image, and digests the file; it does not read back. The third line does.",
			"Pieces that are all zeros are not written by `otad` but made by the device, where that can do it.",
		},
		commands: []string{"otad install --no-wait BUNDLE", "dd if=IMAGE of=LOOP bs=1M conv=fsync; sha256sum IMAGE",
			"dd if=IMAGE of=LOOP bs=1M oflag=direct conv=fsync; dd if=LOOP iflag=nocache count=0; sha256sum LOOP"},
		head: []string{"", "CPU s", "otad's CPU to this", "peak MB", "MB/s"},
		goals: []goal{
			{"CPU of 1 GiB into a block device, ratio to `dd` and `sha256sum`", blockCPUGoal, ratio(ways[0].cpu(), ways[1].cpu()), "", false},
			{"throughput of the same", blockRateGoal, rate, "", true},
			{"peak memory of the same", blockPeakGoal, ways[0].peak().spread().max, " MB", false},
		},
	}
	for i, w := range ways {
		r := "1"
		if i > 0 {
			r = ratioOf(ways[0].cpu(), w.cpu())
		}
		t.rows = append(t.rows, []string{w.name, spreadOf(w.cpu()), r, spreadOf(w.peak()), spreadOf(w.rate(blockSize))})
	}
	return t
}
