package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/leapslot/ota"
)

// Timing of sessions. Each pause before a login is a random part of a window that
// doubles with each failure.
const (
	MinBackoff = 4 * time.Second // the first window
	MaxBackoff = 2 * time.Minute
	MinRefused = 30 * time.Second // the first window after a refusal that will hardly change; half of it is waited at least
	MaxRefused = 10 * time.Minute
	Stable     = time.Minute // a session that lasted so long starts the windows anew

	answerTime  = 15 * time.Second // that the cloud has for an answer
	publishTime = 10 * time.Second // that the connection has for a message
	maxAsking   = 8                // logins without an answer yet
)

// login asks for a sub-device's session. The topology is asked for only when the
// cloud says that it is missing.
func (g *Gateway) login(ctx context.Context, s *sub, kind ota.TopicKind) {
	id := g.id()
	r := ota.GatewayRequest{ID: id, Subs: []ota.SubLogin{ota.NewSubLogin(s.Device.Device, s.Secret)}}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	if err := g.cfg.Cloud.Publish(ctx, g.cfg.Gateway, kind, r.Encode(kind)); err != nil {
		g.cfg.Log.Debug("sub-device not logged in", "device", s.Device.Device, "err", err)
		s.out(time.Now(), false)
		return
	}
	s.request, s.due = id, time.Now().Add(answerTime)
	g.asking[id] = s
}

// answered deals with the reply to a login or to a request for topology.
func (g *Gateway) answered(ctx context.Context, kind ota.TopicKind, payload []byte) {
	r, err := ota.DecodeGatewayReply(payload)
	s := g.asking[r.ID]
	if s == nil {
		return // too late, or of another
	}
	delete(g.asking, r.ID)
	s.request = ""
	switch {
	case err == nil && r.Code == ota.GatewayOK && kind == ota.TopicTopoAddReply:
		g.login(ctx, s, ota.TopicLogin)
	case err == nil && r.Code == ota.GatewayOK:
		s.in, s.since = true, time.Now()
		g.cfg.Log.Info("sub-device logged in", "device", s.Device.Device)
		g.show(s)
	case r.Code == ota.GatewayNoTopology && kind == ota.TopicLoginReply:
		g.login(ctx, s, ota.TopicTopoAdd)
	default:
		if err == nil {
			err = &ota.GatewayError{Code: r.Code, Message: r.Message}
		}
		s.why = err
		s.out(time.Now(), refusal(r.Code))
		g.cfg.Log.Warn("sub-device refused", "device", s.Device.Device, "err", err, "next_attempt_in", time.Until(s.due).Round(time.Second))
		g.show(s)
	}
}

// thrownOut deals with what the gateway is told on its error topic.
func (g *Gateway) thrownOut(payload []byte) {
	r, err := ota.DecodeGatewayReply(payload)
	if err != nil {
		g.cfg.Log.Warn("an error of the cloud cannot be read", "err", err)
		return
	}
	for _, d := range r.Subs {
		s := g.subs[d]
		if s == nil {
			continue
		}
		s.why = &ota.GatewayError{Code: r.Code, Message: r.Message, Device: d}
		if s.in && time.Since(s.since) >= Stable {
			s.failures = 0
		}
		delete(g.asking, s.request)
		s.out(time.Now(), refusal(r.Code))
		g.cfg.Log.Warn("sub-device thrown out", "device", d, "why", s.why, "next_attempt_in", time.Until(s.due).Round(time.Second))
		g.show(s)
	}
}

// refusal reports whether a code means that the next attempt will hardly do better.
func refusal(c ota.GatewayCode) bool {
	switch c {
	case ota.GatewayFull, ota.GatewayBad, ota.GatewayDeleted, ota.GatewayDisabled, ota.GatewayNoDevice, ota.GatewaySignature, ota.GatewayNoTopology:
		return true
	}
	return false
}

var errNoAnswer = errors.New("the cloud did not answer the login")

// expire gives up on an answer that does not come.
func (g *Gateway) expire(s *sub, now time.Time) {
	delete(g.asking, s.request)
	s.why = errNoAnswer
	s.out(now, false)
	g.show(s)
}

// reconnected: the sessions of the old connection are gone.
func (g *Gateway) reconnected() {
	g.up = true
	clear(g.asking)
	for _, s := range g.order {
		s.endSession()
		s.due, s.failures = time.Time{}, 0
		g.show(s)
	}
}

func (s *sub) endSession() { s.in, s.request, s.question = false, "", "" }

// out ends the session, if there was one, and says when the next one is tried.
func (s *sub) out(now time.Time, refused bool) {
	s.endSession()
	s.failures++
	s.due = now.Add(pause(s.failures, refused))
}

// pause is a random part of the window for so many failures in a row: full jitter,
// or at least half of a longer window after a refusal.
func pause(failures int, refused bool) time.Duration {
	window, most := MinBackoff, MaxBackoff
	if refused {
		window, most = MinRefused, MaxRefused
	}
	for i := 1; i < failures && window < most; i++ {
		window *= 2
	}
	window = min(window, most)
	if refused {
		return window/2 + rand.N(window/2)
	}
	return rand.N(window)
}
