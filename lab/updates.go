//go:build lab

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// story is one board and what is offered to it, step by step.
type story struct {
	name    string
	slow    bool    // not in the core
	machine machine // the zero value is the U-Boot board
	trust   func(context.Context, *lab, identity) (config string, files tree, err error)
	tpm     bool // its secret and its counter are in a TPM
	logged  bool // what is written is kept, to lose it afterwards
	steps   []step
}

// step is one update over the air, from the offer to its end.
type step struct {
	name    string // of its row, "" is the story's
	broken  string
	before  func(context.Context, *device) error // while the board is off
	system  system
	pack    packer // nil: the image itself
	version string // announced
	want    string // how the cloud's answer begins: "SUCCEEDED", "FAILED -1"
	slot    string // what runs in the end
	runs    string // which version of it
}

// packer makes the package of an image, and the parameters that it is registered with.
type packer func(ctx context.Context, d *device, s step, image string) (file string, params []string, err error)

// Lines of the console.
const (
	upLine        = `^LAB: up slot=(\S*) version=(\S+)`
	connectedLine = `msg="connected to the cloud"`
	endedLine     = `msg="update ended"`
	silentLine    = `^LAB: no agent|Press any key to continue`
	lostLine      = `^LAB: otad is not started again|^LAB: the root|^LAB: module|recovery is needed`
)

func (st story) scenario() scenario {
	sc := scenario{name: st.name, broken: st.steps[0].broken, core: !st.slow, run: st.play}
	for _, s := range st.steps {
		sc.rows = append(sc.rows, cmp.Or(s.name, st.name))
	}
	return sc
}

func (st story) play(ctx context.Context, l *lab, _ scenario) (rows []row, err error) {
	d, err := st.factory(ctx, l)
	if err != nil {
		return nil, err
	}
	defer d.cut()
	for i, s := range st.steps {
		began := time.Now()
		job, err := d.offer(ctx, s, i == 0)
		if err != nil {
			return rows, err
		}
		r, err := d.finish(ctx, job, s)
		if err != nil {
			return rows, err
		}
		r.name, r.broken, r.seconds = s.name, s.broken, time.Since(began).Seconds()
		rows = append(rows, r)
		if r.failed {
			break
		}
	}
	return rows, nil
}

// factory registers the story's device and makes its board.
func (st story) factory(ctx context.Context, l *lab) (*device, error) {
	c, err := l.openCloud(ctx)
	if err != nil {
		return nil, err
	}
	id, err := c.register(ctx, st.name)
	if err != nil {
		return nil, err
	}
	var config string
	var files tree
	if st.trust != nil {
		if config, files, err = st.trust(ctx, l, id); err != nil {
			return nil, err
		}
	}
	m := st.machine
	if m.arch == "" {
		m = uboot
	}
	d, err := l.newDevice(ctx, m, id, settings{trust: config, files: files, tpm: st.tpm})
	if err != nil || !st.logged {
		return d, err
	}
	d.logged = true
	return d, d.remember(ctx)
}

// offer switches the board on, waits until the cloud knows it, and offers it the
// update.
func (d *device) offer(ctx context.Context, s step, first bool) (job string, err error) {
	file, err := d.lab.image(ctx, d.machine, s.system)
	if err != nil {
		return "", err
	}
	var params []string
	if s.pack != nil {
		if file, params, err = s.pack(ctx, d, s, file); err != nil {
			return "", err
		}
	}
	if s.before != nil {
		if err := s.before(ctx, d); err != nil {
			return "", err
		}
	}
	if err := d.start(ctx, first); err != nil {
		return "", err
	}
	return d.lab.cloud.offer(ctx, d.id, file, s.version, params...)
}

// start switches the board on and waits until the cloud knows it.
func (d *device) start(ctx context.Context, first bool) error {
	if err := d.power(ctx); err != nil {
		return err
	}
	up := `^LAB: up slot=`
	if first {
		up += "a version=" + regexp.QuoteMeta(factoryVersion)
	}
	if _, err := d.on.wait(ctx, up, lostLine); err != nil {
		return err
	}
	if _, err := d.on.wait(ctx, connectedLine, lostLine); err != nil {
		return err
	}
	return d.lab.cloud.reported(ctx, d.id)
}

// follow waits until the update is over. A system without an agent does nothing
// by itself any more, so somebody switches it off and on again.
func (d *device) follow(ctx context.Context) error {
	for range maxCycles {
		l, err := d.on.wait(ctx, endedLine+"|"+silentLine, lostLine)
		if err != nil {
			return err
		}
		if strings.Contains(l.text, "update ended") {
			return nil
		}
		d.cut()
		if err := d.power(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("it was switched off and on %d times, and the old system is not back", maxCycles)
}

// maxCycles is more than any boot loader has attempts.
const maxCycles = 10

// finish waits for the end of an update, looks at what became of it, and
// switches the board off.
func (d *device) finish(ctx context.Context, job string, s step) (row, error) {
	if err := d.follow(ctx); err != nil {
		return row{}, err
	}
	end, err := d.lab.cloud.ended(ctx, job)
	if err != nil {
		return row{}, err
	}
	up, err := d.lastUp()
	if err != nil {
		return row{}, err
	}
	d.cut()
	kept, err := d.machine.kept(ctx, d)
	if err != nil {
		return row{}, err
	}
	r := row{up: up, reported: end.String()}
	want := fmt.Sprintf("slot %s, version %s", s.slot, s.runs)
	if !strings.HasPrefix(end.String(), s.want) || !strings.HasPrefix(up, want) || kept != s.slot {
		r.failed = true
		r.up += fmt.Sprintf(" (wanted: %s, %s; the boot loader keeps %s)", want, s.want, kept)
	}
	return r, nil
}

var upPattern = regexp.MustCompile(upLine)

// lastUp says which system the console showed last, and how often slots were
// started on trial to get there, since the last update was looked at.
func (d *device) lastUp() (string, error) {
	console, err := os.ReadFile(d.path("console.log"))
	if err != nil {
		return "", err
	}
	fresh := string(console[d.seen:])
	d.seen = len(console)
	var up []string
	trials := 0
	for _, text := range strings.Split(fresh, "\n") {
		if m := upPattern.FindStringSubmatch(text); m != nil {
			up = m
		}
		if strings.Contains(text, d.machine.trial) {
			trials++
		}
	}
	if up == nil {
		return "", errors.New("no system came up")
	}
	return fmt.Sprintf("slot %s, version %s, after %s on trial", up[1], up[2], plural(trials, "start")), nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
