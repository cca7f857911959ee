//go:build lab

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The Debian package, under a real systemd: a Debian 12 in a container, which is
// started, and in which everything is done that a device's owner does. It uses
// this machine's network, so that the cloud is on its loopback too.

func service() []scenario {
	return []scenario{
		{name: "service", broken: "nothing: the Debian package under systemd", core: true, run: runService},
		{name: "unit", broken: "nothing: what otad.service may do, in a guest with flash, watchdog and EFI variables", run: runUnit},
	}
}

// debian is a running container.
type debian struct {
	lab     *lab
	root    string
	on      *guest // systemd-nspawn and its console
	journal *guest // of the unit
	leader  int    // the container's process 1, as this machine calls it
	id      identity
}

// debianPackages are beside what every Debian has.
const debianPackages = "systemd,systemd-sysv,dbus"

func (l *lab) newDebian(ctx context.Context) (d *debian, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("systemd-nspawn wants root")
	}
	if err := l.need(ctx, "mmdebstrap:mmdebstrap", "systemd-nspawn:systemd-container", "nsenter:util-linux"); err != nil {
		return nil, err
	}
	base, err := l.baseDebian(ctx)
	if err != nil {
		return nil, err
	}
	d = &debian{lab: l, root: l.path("service", "root")}
	if err := os.RemoveAll(d.root); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.root, 0o755); err != nil {
		return nil, err
	}
	if err := l.tool(ctx, "tar", "-xf", base, "-C", d.root, "--numeric-owner"); err != nil {
		return nil, err
	}
	return d, d.boot(ctx)
}

// baseDebian is the root of the container before anything was done in it. It is
// made once for all runs.
func (l *lab) baseDebian(ctx context.Context) (path string, err error) {
	path = l.path("service", "debian.tar")
	if exists(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	half := path + ".half"
	if err := l.tool(ctx, "mmdebstrap", "--format=tar", "--variant=minbase", "--include="+debianPackages, "bookworm", half); err != nil {
		return "", err
	}
	return path, os.Rename(half, path)
}

// boot starts systemd in the container and waits until it has started all.
func (d *debian) boot(ctx context.Context) (err error) {
	d.on, err = power(d.lab.path("service", "console.log"), d.lab.verbose, "systemd-nspawn", "--quiet", "--directory="+d.root, "--boot",
		"--machine=leapslot-lab", "--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off")
	if err != nil {
		return err
	}
	if _, err := d.on.wait(ctx, `Reached target .*multi-user\.target`, `Freezing execution|emergency\.target`); err != nil {
		return err
	}
	children, err := d.children()
	if err == nil && len(children) != 1 {
		err = fmt.Errorf("systemd-nspawn has the children %d, wanted is one", children)
	}
	if err != nil {
		return err
	}
	d.leader = children[0]
	return nil
}

// children are what systemd-nspawn has started: process 1 of the container.
func (d *debian) children() (pids []int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", d.on.cmd.Process.Pid))
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, err
}

// off takes the power from the container. All that runs in there ends with its
// process 1, also who holds the journal open.
func (d *debian) off() {
	if d.on == nil {
		return
	}
	pids, _ := d.children()
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	d.on.cut()
	if d.journal != nil {
		d.journal.cut()
	}
}

// inside is a command that runs in the container.
func (d *debian) inside(argv ...string) []string {
	return append([]string{findTool("nsenter"), "--target", strconv.Itoa(d.leader), "--all", "--root", "--wd", "--", "/usr/bin/env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_COLORS=0"}, argv...)
}

// do runs a shell command in the container and gives what it printed.
func (d *debian) do(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ceiling, fmt.Errorf("not done within %v", ceiling))
	defer cancel()
	argv := d.inside("/bin/sh", "-c", script)
	cmd := command(ctx, argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if d.lab.verbose {
		fmt.Printf("    $ %s\n    %s\n", script, strings.ReplaceAll(text, "\n", "\n    "))
	}
	if err != nil {
		return text, fmt.Errorf("%s: %w: %s", script, err, text)
	}
	return text, nil
}

// refused runs a command that must not succeed, and says why.
func (d *debian) refused(ctx context.Context, script, why string) error {
	out, err := d.do(ctx, script)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("%s: it succeeded: %s", script, out)
	case !errors.As(err, &exit) || !strings.Contains(out, why):
		return fmt.Errorf("%w (wanted is %q)", err, why)
	}
	return nil
}

// follow opens the unit's journal, from now on.
func (d *debian) follow() (err error) {
	d.journal, err = power(d.lab.path("service", "journal.log"), d.lab.verbose,
		d.inside("journalctl", "--follow", "--lines=0", "--output=cat", "--unit=otad.service")...)
	return err
}

// write puts a file into the container.
func (d *debian) write(name, content string) error {
	path := filepath.Join(d.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// pid is the agent's main process, as the container calls it.
func (d *debian) pid(ctx context.Context) (string, error) {
	pid, err := d.do(ctx, "systemctl show --property=MainPID --value otad.service")
	if err == nil && pid == "0" {
		err = errors.New("otad.service has no process")
	}
	return pid, err
}

// reported waits until the cloud shows the module at this version: the report of
// an agent that runs is on its way.
func (d *debian) reported(ctx context.Context, module, version string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ceiling, fmt.Errorf("the cloud does not show %s at %s within %v", module, version, ceiling))
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		var list struct {
			Data struct {
				SimpleOTAModuleInfo []struct{ ModuleName, ModuleVersion string }
			}
		}
		if err := d.lab.cloud.Call(ctx, &list, "ListOTAModuleVersionsByDevice", "ProductKey", d.id.product, "DeviceName", d.id.name,
			"PageSize", "10", "CurrentPage", "1"); err != nil {
			return "", err
		}
		for _, m := range list.Data.SimpleOTAModuleInfo {
			if m.ModuleName == module && m.ModuleVersion == version {
				return module + " " + version, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-again.C:
		}
	}
}
