package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// deltaSuites are where the packages come from: they have several versions of
// one package at the same time.
var deltaSuites = []string{"debian bookworm", "debian bookworm-updates", "debian-security bookworm-security"}

// deltaPackages have the images. The kernel's name carries its version.
var deltaPackages = []string{"libssl3", "python3.11-minimal", "containerd", "libc6", "systemd", "libsystemd-shared", "perl-base"}

const kernelPattern = `^linux-image-6\.1\.0-[0-9]+-cloud-arm64-unsigned$`

// fetchPairs makes two versions of each image out of Debian's packages for
// arm64, in a root of apt's own. What is in the cache is not fetched again.
func (d *deltas) fetchPairs(ctx context.Context, cache string) ([]pair, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, err
	}
	done := filepath.Join(cache, "done")
	if _, err := os.Stat(done); errors.Is(err, os.ErrNotExist) {
		d.screen.section("fetching packages")
		if err := d.fetch(ctx, cache); err != nil {
			return nil, err
		}
		if err := os.WriteFile(done, nil, 0o644); err != nil {
			return nil, err
		}
	}
	about, err := os.ReadFile(filepath.Join(cache, "versions"))
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, name := range []string{"libcrypto", "python", "containerd", "kernel", "modules", "rootfs"} {
		at := filepath.Join(cache, name)
		pairs = append(pairs, pair{name: name, about: string(about), old: at + ".old", new: at + ".new"})
	}
	return pairs, nil
}

func (d *deltas) fetch(ctx context.Context, cache string) error {
	env, err := privateApt(ctx, cache)
	if err != nil {
		return err
	}
	run := func(dir, name string, args ...string) (string, error) {
		c := exec.CommandContext(ctx, name, args...)
		c.Dir, c.Env = dir, env
		out, err := c.Output()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
		}
		return string(out), nil
	}
	names := deltaPackages
	all, err := run(cache, "apt-cache", "pkgnames", "linux-image-6.1.0-")
	if err != nil {
		return err
	}
	kernels := newest(regexp.MustCompile("(?m)"+kernelPattern).FindAllString(all, -1))
	if len(kernels) < 2 {
		return errors.New("there are no two kernels to compare")
	}
	wanted := map[string][]string{"old": {kernels[1]}, "new": {kernels[0]}}
	for _, name := range names {
		table, err := run(cache, "apt-cache", "madison", name)
		if err != nil {
			return err
		}
		versions := versionsOf(table)
		wanted["new"] = append(wanted["new"], name+"="+versions[0])
		wanted["old"] = append(wanted["old"], name+"="+versions[len(versions)-1])
	}
	for side, packages := range wanted {
		debs, root := filepath.Join(cache, side+".debs"), filepath.Join(cache, side+".root")
		if err := os.MkdirAll(debs, 0o755); err != nil {
			return err
		}
		if _, err := run(debs, "apt-get", append([]string{"download", "-q"}, packages...)...); err != nil {
			return err
		}
		found, _ := filepath.Glob(debs + "/*.deb")
		for _, deb := range found {
			if _, err := run(cache, "dpkg-deb", "-x", deb, root); err != nil {
				return err
			}
		}
		if err := d.images(ctx, cache, side, root); err != nil {
			return err
		}
	}
	said := "From " + strings.Join(wanted["old"], ", ") + " to " + strings.Join(wanted["new"], ", ") + "."
	return os.WriteFile(filepath.Join(cache, "versions"), []byte(said), 0o644)
}

// newest sorts names by the number in them, the highest first.
func newest(names []string) []string {
	for i := range names {
		for j := i; j > 0 && (len(names[j]) > len(names[j-1]) || len(names[j]) == len(names[j-1]) && names[j] > names[j-1]); j-- {
			names[j], names[j-1] = names[j-1], names[j]
		}
	}
	return names
}

// versionsOf reads the table of apt-cache madison, the newest first.
func versionsOf(table string) (versions []string) {
	for line := range strings.Lines(table) {
		if f := strings.Split(line, "|"); len(f) > 1 {
			versions = append(versions, strings.TrimSpace(f[1]))
		}
	}
	if len(versions) == 0 {
		versions = []string{""}
	}
	return versions
}

// images takes the images of one side out of its root.
func (d *deltas) images(ctx context.Context, cache, side, root string) error {
	for name, pattern := range map[string]string{
		"libcrypto": "usr/lib/*/libcrypto.so.3", "python": "usr/bin/python3.11", "containerd": "usr/bin/containerd", "kernel": "boot/vmlinuz-*",
	} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		if len(found) != 1 {
			return fmt.Errorf("%s: %d files are called %s", side, len(found), pattern)
		}
		if err := quiet(exec.CommandContext(ctx, "cp", found[0], filepath.Join(cache, name+"."+side))); err != nil {
			return err
		}
	}
	modules, _ := filepath.Glob(filepath.Join(root, "lib/modules/*"))
	if len(modules) != 1 {
		return fmt.Errorf("%s: %d folders of modules", side, len(modules))
	}
	if err := quiet(exec.CommandContext(ctx, "tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner",
		"-C", modules[0], "-cf", filepath.Join(cache, "modules."+side), ".")); err != nil {
		return err
	}
	if err := quiet(exec.CommandContext(ctx, "find", root, "-exec", "touch", "-h", "-d", "@"+epoch, "{}", "+")); err != nil {
		return err
	}
	mke2fs := exec.CommandContext(ctx, mke2fsProgram, "-q", "-F", "-t", "ext4", "-d", root, "-U", uuid, "-E", "hash_seed="+uuid,
		"-m", "0", "-O", "^has_journal", filepath.Join(cache, "rootfs."+side), "320M")
	mke2fs.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+epoch)
	return quiet(mke2fs)
}

// privateApt makes a root for apt in dir, with Debian's packages for arm64, and
// gives the environment that it is used with. The host's dpkg is not touched.
func privateApt(ctx context.Context, dir string) ([]string, error) {
	apt := filepath.Join(dir, "apt")
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "etc/sources.list.d", "etc/preferences.d", "etc/apt.conf.d"} {
		if err := os.MkdirAll(filepath.Join(apt, sub), 0o755); err != nil {
			return nil, err
		}
	}
	conf := fmt.Sprintf("Dir %q;\nDir::State %q;\nDir::State::status %q;\nDir::Cache %q;\nDir::Etc %q;\nAPT::Architecture \"arm64\";\n"+
		"APT::Architectures { \"arm64\"; };\nAcquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n",
		apt, apt+"/state", apt+"/status", apt+"/cache", apt+"/etc")
	sources := ""
	for _, s := range deltaSuites {
		where, suite, _ := strings.Cut(s, " ")
		sources += fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/%s %s main\n", where, suite)
	}
	for path, text := range map[string]string{"apt.conf": conf, "status": "", "etc/sources.list": sources} {
		if err := os.WriteFile(filepath.Join(apt, path), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	env := append(os.Environ(), "APT_CONFIG="+filepath.Join(apt, "apt.conf"))
	c := exec.CommandContext(ctx, "apt-get", "update", "-q")
	c.Env = env
	return env, quiet(c)
}
