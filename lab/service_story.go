//go:build lab

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// exposureLimit is how open to the rest of the system the unit may be, in the
// words of systemd-analyze security.
const exposureLimit = 3.5

// serviceConfig is beside the packaged configuration. The health check is in the
// lab's hand: it waits while there is /run/lab-hold, and fails with /run/lab-sick.
const serviceConfig = `[device]
product_key = %q
device_name = %q
device_secret = %q
device_secret_file = ""

[cloud]
url = "mqtt://127.0.0.1:%s"

[[module]]
name = "default"
installer = "ab"
version_file = "/etc/lab-version"

[[module]]
name = "otad"
installer = "none"
version_command = ["/bin/sh", "-c", "otad version | cut -d ' ' -f 2"]

[slots]
size = "2MiB"

[health]
timeout = "3m"
commands = [["/bin/sh", "-c", "while [ -e /run/lab-hold ]; do sleep 0.1; done; test ! -e /run/lab-sick"]]

[trust]
keys = "/etc/otad/keys"
require = "manifest"

[log]
level = "debug"
`

// scene is a part of the story, and a row of the table.
type scene struct {
	name, broken string
	play         func(context.Context, *debian) (up, reported string, err error)
}

var scenes = []scene{
	{"service", "nothing: the package is installed, configured and enabled", installed},
	{"service-hang", "the agent hangs (SIGSTOP)", hung},
	{"service-upgrade", "nothing: the package is upgraded", upgraded},
	{"service-trial", "the package is upgraded while a system is on trial; then that system is sick", onTrial},
	{"service-bad", "the package is upgraded to an agent that does not start", badAgent},
	{"service-remove", "the package is removed, installed again, purged", removed},
}

func runService(ctx context.Context, l *lab, _ scenario) (rows []row, err error) {
	c, err := l.openCloud(ctx)
	if err != nil {
		return nil, err
	}
	d, err := l.newDebian(ctx)
	if d != nil {
		defer d.off()
	}
	if err != nil {
		return nil, err
	}
	if d.id, err = c.register(ctx, "service"); err != nil {
		return nil, err
	}
	if err := d.debFiles(ctx); err != nil {
		return nil, err
	}
	if err := d.follow(); err != nil {
		return nil, err
	}
	for _, s := range scenes {
		began := time.Now()
		r := row{name: s.name, broken: s.broken}
		if r.up, r.reported, err = s.play(ctx, d); err != nil {
			r.up, r.reported, r.failed = "-", err.Error(), true
		}
		r.seconds = time.Since(began).Seconds()
		rows = append(rows, r)
		if r.failed { // the next one begins where this one should have ended
			break
		}
	}
	return rows, nil
}

// installed is the way from nothing to a device that is in the cloud.
func installed(ctx context.Context, d *debian) (up, reported string, err error) {
	if _, err := d.do(ctx, "dpkg -i "+deb(debOld)); err != nil {
		return "", "", err
	}
	// The template is not started.
	if err := d.refused(ctx, "systemctl is-enabled otad otad-mark-good", "disabled\ndisabled"); err != nil {
		return "", "", err
	}
	if err := d.refused(ctx, "systemctl is-active otad", "inactive"); err != nil {
		return "", "", err
	}
	if err := d.bundle(ctx, "5.0.0"); err != nil {
		return "", "", err
	}
	if err := d.write("etc/lab-version", "4.0.0\n"); err != nil {
		return "", "", err
	}
	config := fmt.Sprintf(serviceConfig, d.id.product, d.id.name, d.id.secret, d.lab.cloud.port)
	if err := d.write("etc/otad/config.d/10-lab.toml", config); err != nil {
		return "", "", err
	}
	// Type=notify: "enable --now" returns when the agent has said that it works.
	for _, script := range []string{"otad config check", "systemctl enable --now otad", "systemctl reload otad", "systemctl is-active otad",
		"systemctl is-enabled otad-mark-good", "systemctl start boot-complete.target", "systemctl is-active otad-mark-good boot-complete.target"} {
		if _, err := d.do(ctx, script); err != nil {
			return "", "", err
		}
	}
	exposure, err := d.exposure(ctx)
	if err != nil {
		return "", "", err
	}
	if reported, err = d.reported(ctx, "otad", debOld); err != nil {
		return "", "", err
	}
	if _, err := d.do(ctx, "otad doctor"); err != nil {
		return "", "", err
	}
	return fmt.Sprintf("not started before it was configured; then active, kept by mark-good, exposure %.1f", exposure), reported, nil
}

func (d *debian) exposure(ctx context.Context) (float64, error) {
	out, err := d.do(ctx, "systemd-analyze security --no-pager otad.service | tail -n 1")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(out, "otad.service: ")
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseFloat(number, 64)
	if err == nil && n > exposureLimit {
		err = fmt.Errorf("the unit's exposure is %.1f, the limit is %.1f", n, exposureLimit)
	}
	return n, err
}

// hung stops the agent's process, which then says nothing to systemd any more.
func hung(ctx context.Context, d *debian) (up, reported string, err error) {
	if err := d.write("etc/systemd/system/otad.service.d/lab.conf", "[Service]\nWatchdogSec=2\n"); err != nil {
		return "", "", err
	}
	if _, err := d.do(ctx, "systemctl daemon-reload && systemctl restart otad"); err != nil {
		return "", "", err
	}
	before, err := d.pid(ctx)
	if err != nil {
		return "", "", err
	}
	if _, err := d.do(ctx, "kill -STOP "+before); err != nil {
		return "", "", err
	}
	for _, line := range []string{`Watchdog timeout`, `Scheduled restart job`, `^Started otad\.service`} {
		if _, err := d.journal.wait(ctx, line, ""); err != nil {
			return "", "", err
		}
	}
	after, err := d.pid(ctx)
	if err == nil && after == before {
		err = errors.New("the process is still the one that was stopped")
	}
	if err != nil {
		return "", "", err
	}
	if err := d.write("etc/systemd/system/otad.service.d/lab.conf", ""); err != nil {
		return "", "", err
	}
	if _, err := d.do(ctx, "systemctl daemon-reload && systemctl restart otad"); err != nil {
		return "", "", err
	}
	reported, err = d.reported(ctx, "otad", debOld)
	return "ended by systemd's watchdog after 2 s, and started again", reported, err
}

// state is what must be the same after the package was touched.
func (d *debian) state(ctx context.Context) (string, error) {
	return d.do(ctx, "ls -id /var/lib/otad && cat /var/lib/otad/lab-mark /etc/otad/config.d/10-lab.toml && tail -n 1 /etc/otad/config.toml && ls /var/lib/otad/record.0")
}

// keeps runs a command that must not change the state.
func (d *debian) keeps(ctx context.Context, script string) error {
	before, err := d.state(ctx)
	if err != nil {
		return err
	}
	if _, err := d.do(ctx, script); err != nil {
		return err
	}
	after, err := d.state(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("%s: the state is not the same:\n%s\nbefore:\n%s", script, after, before)
	}
	return err
}

func upgraded(ctx context.Context, d *debian) (up, reported string, err error) {
	// The owner has changed the configuration, and something lies in the state.
	if _, err := d.do(ctx, "echo '# the owner' >> /etc/otad/config.toml; echo mark > /var/lib/otad/lab-mark"); err != nil {
		return "", "", err
	}
	before, err := d.pid(ctx)
	if err != nil {
		return "", "", err
	}
	if err := d.keeps(ctx, "dpkg -i "+deb(debNew)); err != nil {
		return "", "", err
	}
	after, err := d.pid(ctx)
	if err == nil && after == before {
		err = errors.New("the agent was not restarted")
	}
	if err == nil {
		_, err = d.do(ctx, "systemctl is-active otad && test ! -e /usr/bin/otad.previous")
	}
	if err != nil {
		return "", "", err
	}
	reported, err = d.reported(ctx, "otad", debNew)
	return "the new agent is active; record, slots and configuration are kept", reported, err
}

// onTrial upgrades the package at the worst moment, and then lets the trial fail.
func onTrial(ctx context.Context, d *debian) (up, reported string, err error) {
	if _, err := d.do(ctx, "touch /run/lab-hold; systemctl stop boot-complete.target otad-mark-good; otad install --no-wait /debs/system.tar"); err != nil {
		return "", "", err
	}
	if _, err := d.journal.wait(ctx, `msg=reboot|ends to be started again`, ""); err != nil {
		return "", "", err
	}
	// The container is not restarted: what would be another system is this one.
	if err := d.write("etc/lab-version", "5.0.0\n"); err != nil {
		return "", "", err
	}
	if _, err := d.journal.wait(ctx, `^Started otad\.service`, ""); err != nil {
		return "", "", err
	}
	if _, err := d.do(ctx, `otad status -o json | grep '"stage": *"prove"'`); err != nil {
		return "", "", err
	}
	if err := d.refused(ctx, "dpkg -i "+deb(debOld), "a new system is on trial"); err != nil {
		return "", "", err
	}
	if out, err := d.do(ctx, "otad version"); err != nil || !strings.Contains(out, debNew) {
		return "", "", fmt.Errorf("the agent was replaced by %q (%v)", out, err)
	}
	// boot-complete.target is waited for, and the check fails meanwhile.
	if _, err := d.do(ctx, "systemctl start --no-block boot-complete.target; touch /run/lab-sick; rm /run/lab-hold"); err != nil {
		return "", "", err
	}
	if _, err := d.journal.wait(ctx, `^Started otad\.service`, ""); err != nil {
		return "", "", err
	}
	if err := d.write("etc/lab-version", "4.0.0\n"); err != nil {
		return "", "", err
	}
	if _, err := d.do(ctx, "rm /run/lab-sick; systemctl is-failed otad-mark-good && ! systemctl is-active boot-complete.target && systemctl restart otad"); err != nil {
		return "", "", err
	}
	reported, err = d.reported(ctx, "default", "4.0.0")
	return "the upgrade is refused; the sick system is left, and boot-complete.target is not reached", reported, err
}

// badAgent is W12 for the package: the old agent stays until the new one is proved.
func badAgent(ctx context.Context, d *debian) (up, reported string, err error) {
	if err := d.refused(ctx, "dpkg -i "+deb(debBroken), "the new version does not start, the old one goes on"); err != nil {
		return "", "", err
	}
	if err := d.refused(ctx, "dpkg --configure otad", "the new version does not start, the old one goes on"); err != nil {
		return "", "", err
	}
	for _, script := range []string{"systemctl is-active otad", "otad version | grep " + debNew, "test -e /usr/bin/otad.failed"} {
		if _, err := d.do(ctx, script); err != nil {
			return "", "", err
		}
	}
	if reported, err = d.reported(ctx, "otad", debNew); err != nil {
		return "", "", err
	}
	_, err = d.do(ctx, "dpkg -i "+deb(debNew)+" && systemctl is-active otad && test ! -e /usr/bin/otad.failed")
	return "the old agent goes on, and dpkg says so", reported, err
}

func removed(ctx context.Context, d *debian) (up, reported string, err error) {
	if err := d.keeps(ctx, "dpkg -r otad"); err != nil {
		return "", "", err
	}
	if err := d.refused(ctx, "systemctl is-active otad", "inactive"); err != nil {
		return "", "", err
	}
	// Nothing waits for a unit that is gone.
	if _, err := d.do(ctx, "systemctl restart boot-complete.target"); err != nil {
		return "", "", err
	}
	if err := d.keeps(ctx, "dpkg -i "+deb(debNew)+" && systemctl is-active otad && systemctl is-enabled otad-mark-good"); err != nil {
		return "", "", err
	}
	if reported, err = d.reported(ctx, "otad", debNew); err != nil {
		return "", "", err
	}
	_, err = d.do(ctx, "dpkg -P otad && test ! -e /usr/bin/otad && test -e /var/lib/otad/record.0 && cat /var/lib/otad/lab-mark && test -e /etc/otad/config.d/10-lab.toml")
	return "record and slots are kept each time, on purge too; enabled again", reported, err
}
