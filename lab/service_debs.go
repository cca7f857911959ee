//go:build lab

package main

import (
	"context"
	"os"
	"path/filepath"
)

// Versions of the package: the last one does not start.
const (
	debOld    = "1.0.0"
	debNew    = "2.0.0"
	debBroken = "3.0.0"
)

// brokenAgent stands for an agent with a mistake in it.
const brokenAgent = `#!/bin/sh
echo 'otad: run: it is broken' >&2
exit 1
`

// debFiles makes the packages as make dist does, in the container's folder /debs.
func (d *debian) debFiles(ctx context.Context) error {
	l := d.lab
	nfpm := l.path("bin", "nfpm")
	build := command(ctx, "go", "build", "-o", nfpm, "github.com/goreleaser/nfpm/v2/cmd/nfpm")
	build.Dir = "tools"
	if err := output(build); err != nil {
		return err
	}
	if err := l.tool(ctx, "make", "-s", "man"); err != nil {
		return err
	}
	for _, version := range []string{debOld, debNew, debBroken} {
		agent := l.path("service", "broken")
		if err := os.WriteFile(agent, []byte(brokenAgent), 0o755); err != nil {
			return err
		}
		if version != debBroken {
			var err error
			if agent, err = l.build(ctx, "otad", hostArch, version); err != nil {
				return err
			}
		}
		if err := l.tool(ctx, "packaging/build.sh", "v"+version, nfpm, filepath.Join(d.root, "debs"), hostArch+"="+agent); err != nil {
			return err
		}
	}
	return nil
}

// deb is the path of a package in the container.
func deb(version string) string { return "/debs/otad_" + version + "_" + hostArch + ".deb" }

// bundle makes a system that can be installed from a medium, in the container's
// folder /debs, and the key that signed it.
func (d *debian) bundle(ctx context.Context, version string) error {
	l := d.lab
	if err := l.signingKey(ctx); err != nil {
		return err
	}
	otapack, err := l.build(ctx, "otapack", hostArch, "lab")
	if err != nil {
		return err
	}
	public, err := os.ReadFile(l.path("keys", "ed25519.pub.pem"))
	if err != nil {
		return err
	}
	if err := d.write("etc/otad/keys/product.pem", string(public)); err != nil {
		return err
	}
	image := l.path("service", "system.img")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o644); err != nil {
		return err
	}
	udi, err := command(ctx, otapack, "sign", image, "--key", l.path("keys", "ed25519.key.pem"), "--product", d.id.product,
		"--module", "default", "--version", version).Output()
	if err != nil {
		return err
	}
	if err := os.WriteFile(image+".udi", udi, 0o644); err != nil {
		return err
	}
	return l.tool(ctx, otapack, "bundle", image, "-o", filepath.Join(d.root, "debs", "system.tar"))
}
