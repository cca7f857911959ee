package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	rootfsSize = 64 << 20
	uuid       = "7f2c9f0e-5d5e-4f0a-9d2b-0c6f7f1f2a31"
	epoch      = "1700000000" // of all files, so that only what differs differs
)

// makeRootfs builds two root file systems with two builds of the agent inside;
// the second has otapack as well.
func (b *bench) makeRootfs(ctx context.Context) (pair, error) {
	p := pair{name: "ext4, 64 MiB", old: filepath.Join(b.dir, "rootfs.old"), new: filepath.Join(b.dir, "rootfs.new"),
		about: "The ext4 images are root file systems with the armv7 agent inside, built as two versions; the second has otapack " +
			"as well. Most of them is zero."}
	if err := b.makeExt4(ctx, p.old, firstVersion, "otad"); err != nil {
		return p, err
	}
	return p, b.makeExt4(ctx, p.new, nextVersion, "otad", "otapack")
}

// makeExt4 builds programs for armv7 and makes a file system with them inside,
// the same each time.
func (b *bench) makeExt4(ctx context.Context, image, version string, programs ...string) error {
	root := image + ".root"
	for _, p := range programs {
		b.screen.step("builds %s %s for armv7", p, version)
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version,
			"-o", filepath.Join(root, "usr/bin", p), module+"/cmd/"+p)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7")
		if err := quiet(build); err != nil {
			return err
		}
	}
	touch := exec.CommandContext(ctx, "find", root, "-exec", "touch", "-h", "-d", "@"+epoch, "{}", "+")
	if err := quiet(touch); err != nil {
		return err
	}
	mke2fs := exec.CommandContext(ctx, mke2fsProgram, "-q", "-t", "ext4", "-d", root, "-U", uuid, "-E", "hash_seed="+uuid,
		"-m", "0", "-O", "^has_journal", image, fmt.Sprintf("%dk", rootfsSize>>10))
	mke2fs.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+epoch)
	if err := quiet(mke2fs); err != nil {
		return err
	}
	return os.RemoveAll(root)
}

// mke2fsProgram is not in the PATH of a user on Debian.
const mke2fsProgram = "/usr/sbin/mke2fs"
