package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The images: what the factory installed, a full update, a patched one, and
// one whose application does not start.
const (
	imageSize  = 64 << 20
	factory    = "1.0.0"
	fullTo     = "2.0.0"
	patchTo    = "3.0.0"
	sickTo     = "4.0.0"
	uuid       = "7f2c9f0e-5d5e-4f0a-9d2b-0c6f7f1f2a31"
	epoch      = "1700000000" // of all files, so that only what differs differs
	slotFormat = "%s/slot-%s.img"
)

func (d *demo) image(version string) string { return filepath.Join(d.dir, "rootfs-"+version+".ext4") }

// makeImages builds the root file systems and the patch.
func (d *demo) makeImages(ctx context.Context, agents string) error {
	d.screen.chapter("Four root file systems (ext4, 64 MiB) with the armv7 agent inside, and a patch")
	for _, v := range []string{factory, fullTo, patchTo, sickTo} {
		health := "ok"
		if v == sickTo {
			health = "the application does not start"
		}
		if err := d.makeImage(ctx, filepath.Join(agents, v, "otad"), v, health); err != nil {
			return err
		}
	}
	patch := filepath.Join(d.dir, "patch.bin")
	if err := d.command(ctx, "otapack", "diff", d.image(fullTo), d.image(patchTo), patch); err != nil {
		return err
	}
	info, err := os.Stat(patch)
	if err != nil {
		return err
	}
	d.screen.line("patch %s to %s: %d bytes, %.1f %% of the image", fullTo, patchTo, info.Size(), float64(info.Size())*100/imageSize)
	return nil
}

func (d *demo) makeImage(ctx context.Context, agent, version, health string) error {
	root := filepath.Join(d.dir, "root-"+version)
	binary, err := os.ReadFile(agent)
	if err != nil {
		return fmt.Errorf("%w (make demo builds it)", err)
	}
	files := map[string]string{
		"usr/bin/otad":                   string(binary),
		"etc/version":                    version + "\n",
		"etc/health":                     health + "\n",
		"etc/otad/config.toml":           "state_dir = \"/data/otad\"\n",
		"etc/os-release":                 "NAME=demo\nVERSION_ID=" + version + "\n",
		"usr/lib/systemd/system/app.txt": strings.Repeat("unit of version "+version+"\n", 100),
	}
	if version == patchTo || version == sickTo { // these come with another tool
		tool, err := os.ReadFile(filepath.Join(filepath.Dir(agent), "otapack"))
		if err != nil {
			return fmt.Errorf("%w (make demo builds it)", err)
		}
		files["usr/bin/otapack"] = string(tool)
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			return err
		}
	}
	touch := exec.CommandContext(ctx, "find", root, "-exec", "touch", "-h", "-d", "@"+epoch, "{}", "+")
	if out, err := touch.CombinedOutput(); err != nil {
		return fmt.Errorf("find: %v: %s", err, out)
	}
	mke2fs := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-d", root, "-U", uuid, "-E", "hash_seed="+uuid,
		"-m", "0", "-O", "^has_journal", d.image(version), fmt.Sprintf("%dk", imageSize>>10))
	mke2fs.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+epoch)
	if out, err := mke2fs.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %v: %s", err, out)
	}
	d.screen.line("image %s", version)
	return os.RemoveAll(root)
}
