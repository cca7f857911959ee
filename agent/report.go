package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/leapslot/ota"
)

// now is the wall clock, for people to read; nothing is decided by it.
func (a *Agent) now() time.Time { return a.cfg.Clock().UTC().Truncate(time.Second) }

// Progress is posted at most once a second and when it has grown by 5 %; it is
// best effort. What a patch spends on its download and on its writing:
const (
	progressEvery = time.Second
	progressStep  = 5
	fullFetched   = 95
	patchFetched  = 50

	readBackPercent = 97
	restartPercent  = 99
)

// meter remembers what progress was posted.
type meter struct {
	sent    bool
	at      time.Time
	percent int // last posted
	now     int // as the status shows it
}

// percent is how far an update is when so many bytes of its package have come.
func (u *Update) percent(bytes int64) int {
	share := int64(fullFetched)
	if u.Notice.IsDiff {
		share = patchFetched
	}
	return int(bytes * share / max(u.Notice.TotalSize(), 1))
}

func (a *Agent) progress(u *Update, percent int) {
	a.alive()
	m := &a.meter
	if percent != m.now {
		m.now = percent
		a.publish()
	}
	if m.sent && (time.Since(m.at) < progressEvery || percent < m.percent+progressStep) {
		return
	}
	m.sent, m.at, m.percent = true, time.Now(), percent
	a.cfg.Cloud.Post(ota.TopicProgress, a.progressMessage(u.Notice.Module, ota.Step(percent), "").Payload)
}

func (a *Agent) id() string {
	a.nextID++
	return strconv.FormatInt(a.nextID, 10)
}

func (a *Agent) progressMessage(module string, step ota.Step, desc string) message {
	return message{Kind: ota.TopicProgress, Payload: ota.Progress{ID: a.id(), Module: module, Step: step, Desc: desc}.Encode()}
}

// owe adds a message that must reach the cloud. It is durable with the next save.
func (a *Agent) owe(m message) { a.rec.Owed = append(a.rec.Owed, m) }

// inform owes the version of a module, unless an update of it is unfinished: the
// source version would fail the task (P48), the new one would settle it too early.
func (a *Agent) inform(module, version string) {
	if u := a.rec.Update; u != nil && u.Notice.Module == module {
		return
	}
	for _, m := range a.rec.Owed {
		if m.Module == module && m.Version == version {
			return
		}
	}
	a.owe(message{Kind: ota.TopicInform, Module: module, Version: version,
		Payload: ota.Inform{ID: a.id(), Module: module, Version: version}.Encode()})
}

// informDue owes the version when this boot has not reported it yet.
func (a *Agent) informDue(module, version string) {
	if a.rec.Informed[module] != (inform{a.cfg.BootID, version}) {
		a.inform(module, version)
	}
}

func (a *Agent) informAll() {
	for _, m := range a.cfg.Modules {
		if v := a.versions[m.Name]; v != "" {
			a.informDue(m.Name, v)
		}
	}
}

// finish delivers what is owed. A notice that came before the end of an update
// had reached the cloud may be one that this end answers, sent again: so it is
// dropped, and the cloud is asked what it wants now.
func (a *Agent) finish(ctx context.Context) {
	for _, m := range a.rec.Owed {
		a.unsure = a.unsure || m.Kind == ota.TopicProgress
	}
	a.drain()
	a.skipInstalled()
	if !a.online || !a.flush(ctx) || !a.unsure {
		return
	}
	a.drain()
	for _, n := range a.queue {
		a.cfg.Cloud.Post(ota.TopicGet, ota.Get{ID: a.id(), Module: n.Module}.Encode())
	}
	a.queue, a.unsure = nil, false
}

// flush sends what is owed, in order, and reports whether all of it was
// acknowledged.
func (a *Agent) flush(ctx context.Context) bool {
	for len(a.rec.Owed) > 0 {
		m := a.rec.Owed[0]
		sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
		err := a.cfg.Cloud.Send(sendCtx, m.Kind, m.Payload)
		cancel()
		if err != nil {
			a.cfg.Log.Debug("not delivered yet", "err", err)
			return false
		}
		a.rec.Owed = a.rec.Owed[1:]
		if m.Version != "" {
			a.rec.setInformed(m.Module, inform{a.cfg.BootID, m.Version})
		}
		a.save() // unsaved, it may be sent twice
	}
	return true
}

// fresh asks the cloud to announce the package that is being fetched once more,
// with a URL or a stream that is good now.
func (a *Agent) fresh(ctx context.Context, u *Update) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a.cfg.Log.Info("the download has expired; asking for a fresh one")
	if err := a.cfg.Cloud.Send(ctx, ota.TopicGet, ota.Get{ID: a.id(), Module: u.Notice.Module}.Encode()); err != nil {
		return fmt.Errorf("the cloud cannot be asked for a fresh one: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cloud did not give a fresh one within %v", askTimeout)
		case ev := <-a.cfg.Cloud.Events():
			n, _, err := ota.DecodeNotice(ev.Payload)
			switch {
			case ev.Kind == ota.TopicGetReply && errors.Is(err, ota.ErrNothing):
				return errors.New("the cloud announces this upgrade no more")
			case err == nil && n.Same(u.Notice):
				u.Notice = n
				return nil
			}
			a.take(ev)
		}
	}
}
