package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/leapslot/ota"
)

const (
	askRetry = 30 * time.Second // before a question is asked again that was not answered
	askPause = 2 * time.Second  // between two questions, so that nothing can spin
)

// fresh is what the package that is being fetched is announced with now: another URL
// or another stream.
type fresh struct {
	notice ota.Notice
	err    error
}

// pushed takes a notice of the cloud. One that comes while something is owed, or
// while a question is open, may be one that what is owed answers: it is left out, and
// the cloud is asked what it wants then.
func (g *Gateway) pushed(s *sub, payload []byte) {
	if s == g.updating || s.question != "" || s.rec.Owed != nil {
		s.unsure = true
		return
	}
	n, _, err := ota.DecodeNotice(payload)
	switch {
	case errors.Is(err, ota.ErrNothing):
	case err != nil:
		g.refuse(s, n, err)
	case n.Version == s.version && n.Module == ota.DefaultModule:
		g.cfg.Log.Info("already installed", "device", s.Device.Device, "version", n.Version)
		s.told = false // the report settles the cloud's task
	default:
		g.want(s, n)
	}
}

// want notes what the cloud wants now.
func (g *Gateway) want(s *sub, n ota.Notice) {
	if n.Module != ota.DefaultModule {
		g.refuse(s, n, errors.New("sub-devices of this gateway have no module of that name"))
		return
	}
	if u := s.rec.Update; u != nil {
		if u.Notice.Same(n) {
			u.Notice = n // with a URL that works
			if now := time.Now(); !now.Before(s.later) {
				s.resume, s.wanted = true, now
			}
			return
		}
		g.drop(s, "the cloud announces another package now")
	}
	if s.notice == nil {
		s.wanted = time.Now()
	}
	s.notice = &n
}

// drop gives up an update that is not wanted any more.
func (g *Gateway) drop(s *sub, why string) {
	g.cfg.Log.Info("update given up", "device", s.Device.Device, "to", s.rec.Update.Notice.Version, "why", why)
	s.rec.Update, s.resume, s.later = nil, false, time.Time{}
	g.set(s, func(st *Status) { st.Stage, st.To, st.Percent = "", "", 0 })
	if err := s.save(); err != nil {
		g.cfg.Log.Error("the record of a sub-device", "device", s.Device.Device, "err", err)
	}
	g.clear(s)
}

// refuse reports a notice that cannot be acted on. Without a module and a version it
// names no task, and is only logged.
func (g *Gateway) refuse(s *sub, n ota.Notice, err error) {
	g.cfg.Log.Warn("notice refused", "device", s.Device.Device, "module", n.Module, "version", n.Version, "err", err)
	if ota.CheckModule(n.Module) != nil || n.Version == "" {
		return
	}
	s.rec.Owed = &outcome{Module: n.Module, Step: ota.StepUpgradeFailed, Reason: "notice refused: " + err.Error()}
	if err := s.save(); err != nil {
		g.cfg.Log.Error("the record of a sub-device", "device", s.Device.Device, "err", err)
	}
}

// postponed reports whether an update waits for its time, or, after a start, for the
// cloud's word that it is still wanted.
func (g *Gateway) postponed(s *sub) bool {
	return s != g.updating && s.rec.Update != nil && !s.resume
}

// due reports whether there is something to tell or to ask the cloud.
func (g *Gateway) due(s *sub, now time.Time) bool {
	if s == g.updating {
		return s.fresh != nil
	}
	return s.rec.Owed != nil || s.unsure || g.toTell(s) || g.postponed(s) && !now.Before(s.later)
}

// toTell reports whether the version is to be reported: not while an update is
// unfinished, which the source version would fail and the new one settle too early
// (P48).
func (g *Gateway) toTell(s *sub) bool {
	return !s.told && s.version != "" && s.rec.Update == nil
}

// ask sends what is owed, and then asks what the cloud wants. The answer proves that
// all of it arrived: with QoS 0 nothing else does.
func (g *Gateway) ask(ctx context.Context, s *sub) {
	id, now := g.id(), time.Now()
	s.owes, s.telling = false, ""
	var out []ota.Event
	if s != g.updating {
		if o := s.rec.Owed; o != nil {
			s.owes = true
			out = append(out, ota.Event{Kind: ota.TopicProgress, Payload: ota.Progress{ID: g.id(), Module: o.Module, Step: o.Step, Desc: o.Reason}.Encode()})
		}
		if g.toTell(s) {
			s.telling = s.version
			out = append(out, ota.Event{Kind: ota.TopicInform, Payload: ota.Inform{ID: g.id(), Module: ota.DefaultModule, Version: s.version}.Encode()})
		}
	}
	out = append(out, ota.Event{Kind: ota.TopicGet, Payload: ota.Get{ID: id, Module: ota.DefaultModule}.Encode()})
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	for _, m := range out {
		if err := g.cfg.Cloud.Publish(ctx, s.Device.Device, m.Kind, m.Payload); err != nil {
			g.cfg.Log.Debug("not delivered yet", "device", s.Device.Device, "err", err)
			s.askAt = now.Add(askRetry)
			return
		}
	}
	s.question, s.askAt = id, now.Add(answerTime)
}

// replied deals with the answer to a question.
func (g *Gateway) replied(s *sub, payload []byte) {
	n, to, err := ota.DecodeNotice(payload)
	if s.question == "" || to != s.question {
		return // too late: it was asked again
	}
	s.question, s.askAt = "", time.Now().Add(askPause)
	if s == g.updating {
		g.answerFresh(s, n, err)
		return
	}
	s.unsure = false
	if s.owes {
		s.rec.Owed = nil
		if err := s.save(); err != nil { // unsaved, it may be sent twice
			g.cfg.Log.Error("the record of a sub-device", "device", s.Device.Device, "err", err)
		}
	}
	if s.telling != "" && s.telling == s.version {
		s.told = true
	}
	switch {
	case errors.Is(err, ota.ErrNothing):
		s.notice = nil
		if s.rec.Update != nil {
			g.drop(s, "the cloud announces it no more")
		}
	case err != nil:
		g.refuse(s, n, err)
	case n.Version == s.version && n.Module == ota.DefaultModule && s.rec.Update == nil:
		// The report is lost, or the cloud does not mind it: again, and not soon.
		s.told, s.askAt = false, time.Now().Add(askRetry)
	default:
		g.want(s, n)
	}
}

func (g *Gateway) answerFresh(s *sub, n ota.Notice, err error) {
	if s.fresh == nil {
		return
	}
	f := fresh{}
	switch {
	case err != nil:
		f.err = errors.New("the cloud announces this upgrade no more")
	case !s.busy.Same(n):
		f.err = errors.New("the cloud announces another package now")
	default:
		f.notice = n
	}
	s.fresh <- f // it has room for one
	s.fresh = nil
}
