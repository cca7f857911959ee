//go:build lab

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// update is one update over the air, from the offer to its end.
type update struct {
	to      string // the announced version
	want    string // how the cloud's answer begins: "SUCCEEDED", "FAILED -1"
	slot    string // what runs in the end
	version string
}

// Lines of the console.
const (
	upLine        = `^LAB: up slot=(\S*) version=(\S+)`
	connectedLine = `msg="connected to the cloud"`
	endedLine     = `msg="update ended"`
	silentLine    = `^LAB: no agent`
	lostLine      = `^LAB: otad is not started again|^LAB: the root|^LAB: module|recovery is needed`
)

// factoryStart switches a new board on and waits until the cloud knows it.
func (d *device) factoryStart(ctx context.Context) error {
	if err := d.power(); err != nil {
		return err
	}
	if _, err := d.on.wait(ctx, `^LAB: up slot=a version=`+regexp.QuoteMeta(factoryVersion), lostLine); err != nil {
		return err
	}
	_, err := d.on.wait(ctx, connectedLine, lostLine)
	return err
}

// follow waits until the update is over. A system without an agent does nothing
// by itself any more, so somebody switches it off and on again.
func (d *device) follow(ctx context.Context) error {
	for {
		l, err := d.on.wait(ctx, endedLine+"|"+silentLine, lostLine)
		if err != nil {
			return err
		}
		if !strings.Contains(l.text, "no agent") {
			return nil
		}
		d.cut()
		if err := d.power(); err != nil {
			return err
		}
	}
}

// finish waits for the end of an update and looks at what became of it.
func (d *device) finish(ctx context.Context, job string, u update) (row, error) {
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
	env, err := d.environment(ctx)
	if err != nil {
		return row{}, err
	}
	r := row{up: up, reported: end.String()}
	want := fmt.Sprintf("slot %s, version %s", u.slot, u.version)
	r.failed = !strings.HasPrefix(end.String(), u.want) || !strings.HasPrefix(up, want) ||
		!strings.Contains(env, "otad_slot="+u.slot) || strings.Contains(env, "upgrade_available=1")
	if r.failed {
		r.up += " (wanted: " + want + ", " + u.want + "; environment: " + env + ")"
	}
	return r, nil
}

var upPattern = regexp.MustCompile(upLine)

// lastUp says which system the console showed last, and how often slots were
// started on trial to get there.
func (d *device) lastUp() (string, error) {
	console, err := d.console()
	if err != nil {
		return "", err
	}
	var up []string
	trials := 0
	for _, text := range strings.Split(console, "\n") {
		if m := upPattern.FindStringSubmatch(text); m != nil {
			up = m
		}
		if strings.Contains(text, " on trial, start ") {
			trials++
		}
	}
	if up == nil {
		return "", errors.New("no system came up")
	}
	return fmt.Sprintf("slot %s, version %s, after %d starts on trial", up[1], up[2], trials), nil
}

// story is a scenario of one board and one update.
type story struct {
	name, broken string
	slow         bool // not in the core
	system       system
	trust        func(context.Context, *lab, identity) (config string, files tree, err error)
	more         []string // parameters of the package
	update       update
}

func (st story) scenario() scenario {
	return scenario{name: st.name, broken: st.broken, core: !st.slow, run: func(ctx context.Context, l *lab, s scenario) ([]row, error) {
		r, err := st.play(ctx, l)
		if err != nil {
			return nil, err
		}
		return []row{r}, nil
	}}
}

func (st story) play(ctx context.Context, l *lab) (row, error) {
	d, err := st.factory(ctx, l)
	if err != nil {
		return row{}, err
	}
	defer d.cut()
	image, err := l.image(ctx, board, st.system)
	if err != nil {
		return row{}, err
	}
	began := time.Now()
	if err := d.factoryStart(ctx); err != nil {
		return row{}, err
	}
	job, err := l.cloud.offer(ctx, d.id, image, st.update.to, st.more...)
	if err != nil {
		return row{}, err
	}
	r, err := d.finish(ctx, job, st.update)
	r.seconds = time.Since(began).Seconds()
	return r, err
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
	return l.newDevice(ctx, id, config, files)
}

const goodVersion = "2.0.0"

func updates() []scenario {
	good := update{to: goodVersion, want: "SUCCEEDED", slot: "b", version: goodVersion}
	fails := func(code string) update {
		return update{to: goodVersion, want: "FAILED " + code, slot: "a", version: factoryVersion}
	}
	var all []scenario
	for _, st := range []story{
		{name: "full", broken: "nothing: a full image, signed with the product's key", system: healthy(goodVersion), trust: productKey, update: good},
		{name: "kernel", broken: "the kernel of the new system is not one", system: system{version: goodVersion, agent: goodVersion, garbage: true}, update: fails("-1")},
		{name: "panic", broken: "the new kernel panics", system: system{version: goodVersion, agent: goodVersion, fault: "panic"}, update: fails("-1")},
		{name: "mute", broken: "the new system boots but has no agent: it never commits", system: system{version: goodVersion}, update: fails("-1")},
		{name: "network", broken: "the new system has no network", system: system{version: goodVersion, agent: goodVersion, fault: "network"}, update: fails("-1")},
		{name: "signature", broken: "the package is signed with another key", system: healthy(goodVersion), trust: otherKey, update: fails("-3")},
	} {
		all = append(all, st.scenario())
	}
	return all
}
