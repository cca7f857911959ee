//go:build lab

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// The boot script alone: the environment and the slots are written from here
// while the board is off, as if otad had done it, and then the board has to
// come up in the right slot whatever is in the other one.

// trial is an environment with slot b on trial.
const trialEnv = "otad_slot=a\notad_trial=b\nupgrade_available=1\nbootcount=0\nbootlimit=3\n"

type bootCase struct {
	file, backup []byte // uboot.env and uboot.bak; nil is not there
	b            *system
	starts       int    // of slot b before slot a is back
	stays        bool   // slot b comes up well at once
	says         string // a line of the script that has to be there
}

func scripts() []scenario {
	script := func(name, broken string, c func(context.Context, *lab) (bootCase, error)) scenario {
		return scenario{name: "script-" + name, broken: broken, run: func(ctx context.Context, l *lab, s scenario) ([]row, error) {
			bc, err := c(ctx, l)
			if err != nil {
				return nil, err
			}
			return bc.run(ctx, l, s.name)
		}}
	}
	onTrial := func(b system, starts int) func(context.Context, *lab) (bootCase, error) {
		return func(ctx context.Context, l *lab) (bootCase, error) {
			env, err := l.mkenv(ctx, trialEnv)
			return bootCase{file: env, b: &b, starts: starts}, err
		}
	}
	return []scenario{
		script("good", "nothing: slot b is on trial and well", func(ctx context.Context, l *lab) (bootCase, error) {
			env, err := l.mkenv(ctx, trialEnv)
			b := healthy("2.0.0")
			return bootCase{file: env, b: &b, starts: 1, stays: true}, err
		}),
		script("garbage", "the kernel in slot b is not one", onTrial(system{version: "2.0.0", agent: "2.0.0", garbage: true}, 3)),
		script("panic", "the kernel in slot b panics", onTrial(system{version: "2.0.0", agent: "2.0.0", fault: "panic"}, 3)),
		script("empty", "slot b holds nothing", func(ctx context.Context, l *lab) (bootCase, error) {
			env, err := l.mkenv(ctx, trialEnv)
			return bootCase{file: env, starts: 3}, err
		}),
		script("copy", "uboot.env is torn, uboot.bak is whole and has slot b on trial", func(ctx context.Context, l *lab) (bootCase, error) {
			env, err := l.mkenv(ctx, trialEnv)
			if err != nil {
				return bootCase{}, err
			}
			torn := append(append([]byte(nil), env[:40]...), bytes.Repeat([]byte{0xff}, len(env)-40)...)
			b := healthy("2.0.0")
			return bootCase{file: torn, backup: env, b: &b, starts: 1, stays: true}, nil
		}),
		script("neither", "uboot.env and uboot.bak are both torn", func(context.Context, *lab) (bootCase, error) {
			torn := bytes.Repeat([]byte{0x5a}, 0x4000)
			return bootCase{file: torn, backup: torn, says: "cannot be read"}, nil
		}),
	}
}

// mkenv makes an environment with Debian's own tool.
func (l *lab) mkenv(ctx context.Context, text string, more ...string) ([]byte, error) {
	if err := l.need(ctx, "mkenvimage:u-boot-tools"); err != nil {
		return nil, err
	}
	in, out := l.path("mkenv.txt"), l.path("mkenv.bin")
	if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if err := l.tool(ctx, "mkenvimage", append(more, "-s", envSize, "-o", out, in)...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

func (c bootCase) run(ctx context.Context, l *lab, name string) ([]row, error) {
	cl, err := l.openCloud(ctx)
	if err != nil {
		return nil, err
	}
	id, err := cl.register(ctx, name)
	if err != nil {
		return nil, err
	}
	d, err := l.newDevice(ctx, uboot, id, settings{})
	if err != nil {
		return nil, err
	}
	defer d.cut()
	if err := c.prepare(ctx, d); err != nil {
		return nil, err
	}
	if err := d.power(ctx); err != nil {
		return nil, err
	}
	if c.says != "" {
		if _, err := d.on.wait(ctx, c.says, ""); err != nil {
			return nil, err
		}
	}
	want, end := "LAB: up slot=a version=1.0.0", "slot a"
	if c.stays {
		want, end = "LAB: up slot=b version=2.0.0", "slot b"
	}
	if _, err := d.on.wait(ctx, want, lostLine); err != nil {
		return nil, err
	}
	starts := d.on.count("otad: slot b on trial, start")
	r := row{up: fmt.Sprintf("%s, after %s of slot b", end, plural(starts, "start")), reported: "(no update: the boot script alone)", failed: starts != c.starts}
	return []row{r}, nil
}

// prepare writes the environment files and slot b.
func (c bootCase) prepare(ctx context.Context, d *device) error {
	for name, content := range map[string][]byte{"uboot.env": c.file, "uboot.bak": c.backup} {
		if content == nil {
			continue
		}
		file := filepath.Join(d.dir, name)
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
		if err := d.lab.tool(ctx, "mcopy", "-o", "-i", d.bootPartition(), file, "::"+name); err != nil {
			return err
		}
	}
	if c.b == nil {
		return nil
	}
	image, err := d.lab.image(ctx, uboot, *c.b)
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(d.path("disk.img"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	return place(disk, slotBAt*mib, image)
}
