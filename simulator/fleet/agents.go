package fleet

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/agent/link"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/verify"
)

// realAgent is a device that package agent plays, over its own link, on a machine in
// memory. It belongs to the goroutine that plays it, but what Cloud's methods change.
type realAgent struct {
	f *Fleet
	m *Member
	b *trait

	place   int // among the real agents
	machine memoryBoot
	slots   [2]platform.Slot
	store   memoryStore
	boots   int

	trouble trouble

	mu                      sync.Mutex
	state                   report.State
	version, target         string
	noticedAt               time.Time
	ended                   report.Outcome
	over, noticed, answered bool
	counted, before         bool
}

// run plays the device until ctx ends: each boot has a link and an agent of its own, as
// a process has.
func (a *realAgent) run(ctx context.Context, due time.Time) {
	a.machine = memoryBoot{kept: "a"}
	a.slots = [2]platform.Slot{&memorySlot{name: "a", refuses: a.refuses}, &memorySlot{name: "b", refuses: a.refuses}}
	a.version = a.f.scenario.Version
	for ctx.Err() == nil {
		a.move(report.Connecting)
		a.machine.powerOn()
		a.boots++
		err := a.boot(ctx, due)
		if !errors.Is(err, agent.ErrReboot) {
			if ctx.Err() == nil {
				a.f.log.Error("a real agent ended", "device", a.m.Device, "err", err)
				a.f.rec.Note("a real agent ended: " + err.Error())
			}
			return
		}
		a.move(report.Rebooting)
		due = time.Now().Add(time.Duration(a.b.Reboot))
		if !sleep(ctx, time.Duration(a.b.Reboot)) {
			return
		}
	}
}

func (a *realAgent) boot(ctx context.Context, due time.Time) error {
	scheme := "mqtt://"
	if a.f.target.tls != nil {
		scheme = "mqtts://"
	}
	l, err := link.New(link.Config{URL: scheme + a.f.target.addr, Credentials: ota.Credentials{Device: a.m.Device, Secret: a.m.Secret},
		CA: a.f.cfg.CA, Proxy: "direct", Dial: a.dial(due)})
	if err != nil {
		return err
	}
	options := fetch.Options{Proxy: "direct", UserAgent: "leapslot-fleet", TLS: a.f.target.tls, Dial: a.dialPackage, RateLimit: int64(a.b.Bandwidth)}
	if a.b.Fail == int(ota.StepDownloadFailed) {
		options.Dial, options.Retries = a.dialInVain, -1
	}
	downloads, err := fetch.New(options)
	if err != nil {
		return err
	}
	trust := &verify.Trust{Require: verify.RequireDigest}
	if a.f.key != nil {
		if trust, err = verify.NewTrust(verify.RequireDigestSign, verify.KeySet{Keys: []verify.Key{{Public: a.f.key}}, Threshold: 1}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cloud := &heard{Link: l, a: a, events: make(chan ota.Event, 64), due: due}
	ag, err := agent.New(agent.Config{
		Modules: []agent.Module{{Name: ota.DefaultModule, Version: a.f.scenario.Version}},
		Cloud:   cloud, Downloads: downloads, Slots: a.slots, Boot: &a.machine, Power: memoryPower{},
		Store: &a.store, Spool: &memorySpool{}, Trust: trust, Product: a.m.ProductKey,
		BootID: strconv.Itoa(a.boots), Health: a.health, Log: a.f.log.With("agent", a.m.Name),
	})
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() { _ = l.Run(ctx) })
	running.Go(func() { cloud.listen(ctx) })
	err = ag.Run(ctx)
	cancel()
	running.Wait()
	return err
}

// dial makes the connections to the broker, from an address as the other devices have.
func (a *realAgent) dial(time.Time) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		a.f.rec.Add(report.Connects, 1)
		c, err := a.dialPackage(ctx, network, addr)
		if err != nil {
			a.f.rec.Add(report.ConnectFailures, 1)
		}
		return c, err
	}
}

func (a *realAgent) dialPackage(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if a.f.target.Local() && !loopback(host) {
		return nil, errors.New("the package is on another machine than the broker, and this fleet stays on this one")
	}
	return dialer(a.f.source(a.place, host), wireTimeout).DialContext(ctx, network, addr)
}

func (a *realAgent) move(to report.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if to != a.state {
		a.f.rec.Move(a.state, to)
		a.state = to
	}
}

// heard is the agent's link, with somebody who listens.
type heard struct {
	*link.Link
	a      *realAgent
	events chan ota.Event
	due    time.Time
}

// Events gives what the link gives.
func (h *heard) Events() <-chan ota.Event { return h.events }

func (h *heard) listen(ctx context.Context) {
	for {
		select {
		case e := <-h.Link.Events():
			if n, isNew := h.a.received(e, h.due); n != nil {
				e.Payload = h.a.announced(e.Payload, n, isNew)
			}
			select {
			case h.events <- e:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// Send counts what the cloud has acknowledged.
func (h *heard) Send(ctx context.Context, kind ota.TopicKind, payload []byte) error {
	h.a.said(kind, payload)
	err := h.Link.Send(ctx, kind, payload)
	if err == nil {
		h.a.delivered(kind, payload)
	}
	return err
}

// Post counts what is sent.
func (h *heard) Post(kind ota.TopicKind, payload []byte) {
	h.a.said(kind, payload)
	h.Link.Post(kind, payload)
}

func (a *realAgent) said(kind ota.TopicKind, payload []byte) {
	rec := a.f.rec
	rec.Add(report.Messages, 1)
	switch kind {
	case ota.TopicProgress:
		rec.Add(report.Progress, 1)
	case ota.TopicInform:
		rec.Add(report.Versions, 1)
	}
	a.f.touched()
	a.f.watched(a.m.Device, true, kind, payload)
}

// received takes note of what the cloud sends. It gives the notice, when it is one, and
// whether it is new.
func (a *realAgent) received(e ota.Event, due time.Time) (notice *ota.Notice, isNew bool) {
	rec := a.f.rec
	if e.Kind == 0 {
		rec.Add(report.Connected, 1)
		rec.Observe(report.Connect, time.Since(due))
		if a.before {
			rec.Add(report.Reconnects, 1)
		}
		a.before = true
		if a.shown() == report.Connecting {
			a.move(report.Online)
		}
		return nil, false
	}
	rec.Add(report.Received, 1)
	a.f.watched(a.m.Device, false, e.Kind, e.Payload)
	n, _, err := ota.DecodeNotice(e.Payload)
	if err != nil {
		return nil, false
	}
	c := report.NoticesPushed
	if e.Kind == ota.TopicGetReply {
		c = report.NoticesPulled
	}
	rec.Add(c, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case n.Version == a.target || n.Version == a.version:
		if c == report.NoticesPushed {
			rec.Add(report.DuplicateNotices, 1)
		}
		return &n, false
	case a.over && a.ended != report.Succeeded:
		rec.Add(report.Retries, 1)
	}
	a.noticed, a.target, a.noticedAt = true, n.Version, time.Now()
	return &n, true
}

func (a *realAgent) shown() report.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// delivered takes note of what the cloud has acknowledged: the end of an update is a
// failure, or the report of the version that was announced.
func (a *realAgent) delivered(kind ota.TopicKind, payload []byte) {
	switch kind {
	case ota.TopicProgress:
		if p, err := ota.DecodeProgress(payload); err == nil && p.Step.Failed() {
			a.end(report.OutcomeOf(int(p.Step)), report.Failed)
		}
	case ota.TopicInform:
		i, err := ota.DecodeInform(payload)
		if err != nil {
			return
		}
		a.mu.Lock()
		done := a.target != "" && i.Version == a.target
		a.version = i.Version
		a.mu.Unlock()
		if done {
			a.f.rec.Observe(report.NoticeToSuccess, time.Since(a.noticedAt))
			a.end(report.Succeeded, report.Updated)
		}
	}
}

func (a *realAgent) end(o report.Outcome, show report.State) {
	a.move(show)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		a.b.Taken(a.ended)
	}
	if !a.counted && (o == report.Succeeded || a.b.FailTimes == 0) { // else the cloud is to try again
		a.counted = true
		a.f.unsettled.Add(-1)
	}
	a.over, a.answered, a.ended, a.target = true, true, o, ""
	a.b.Ended(o)
	a.f.touched()
}
