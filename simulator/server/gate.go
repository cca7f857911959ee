package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
)

// gate is what the broker sees of the engine: a directory of devices, and a sink for
// what they do. Each call returns when what happened is stored, so that a device's
// message is acknowledged only then; it holds that device alone.
type gate struct {
	engine  *Engine
	broker  *broker.Broker
	blocks  *blocks
	record  *scribe // nil: no history is kept
	log     *slog.Logger
	metrics *metrics
}

// happen takes in what a device did. When that could not be stored because the engine
// is gone, the device loses its connection before its message is acknowledged, so
// that it sends it again to the next engine.
func (g *gate) happen(d ota.Device, ev simulator.Event) {
	if g.engine.happen(ev) != nil {
		g.broker.Kick(d)
	}
}

// Secret implements broker.Directory.
func (g *gate) Secret(ctx context.Context, d ota.Device) (string, error) {
	dev, err := g.engine.device(ctx, d)
	var refused *simulator.Error
	switch {
	case errors.As(err, &refused):
		return "", fmt.Errorf("%s: %w", d, broker.ErrUnknown)
	case err != nil:
		return "", err
	case dev.Disabled:
		return "", fmt.Errorf("%s: %w", d, broker.ErrDisabled)
	}
	return dev.Secret, nil
}

// Online implements broker.Sink.
func (g *gate) Online(d ota.Device) { g.happen(d, simulator.Online{Device: d}) }

// Offline implements broker.Sink.
func (g *gate) Offline(d ota.Device) {
	g.blocks.forget(d)
	_ = g.engine.happen(simulator.Offline{Device: d})
}

// Uplink implements broker.Sink. A message that cannot be read is counted and
// dropped: a broken device is not told, and nobody else notices.
func (g *gate) Uplink(d ota.Device, kind ota.TopicKind, payload []byte) {
	if kind.Gateway() {
		g.topology(d, kind, payload)
		return
	}
	if kind == ota.TopicDownload {
		g.blocks.serve(d, payload)
		return
	}
	ev, err := decode(d, kind, payload)
	if err != nil {
		g.metrics.uplinks.WithLabelValues(kindName(kind), "bad").Inc()
		g.log.Debug("a message was dropped", "device", d.String(), "topic", kindName(kind), "why", err.Error())
		return
	}
	g.metrics.uplinks.WithLabelValues(kindName(kind), "good").Inc()
	g.happen(d, ev)
}

var errNoEvent = errors.New("this topic brings no event")

func decode(d ota.Device, kind ota.TopicKind, payload []byte) (simulator.Event, error) {
	switch kind {
	case ota.TopicInform:
		m, err := ota.DecodeInform(payload)
		return simulator.Informed{Device: d, Module: m.Module, Version: m.Version}, err
	case ota.TopicProgress:
		m, err := ota.DecodeProgress(payload)
		return simulator.Progressed{Device: d, Module: m.Module, Step: m.Step, Desc: m.Desc}, err
	case ota.TopicGet:
		m, err := ota.DecodeGet(payload)
		return simulator.Asked{Device: d, Module: m.Module, Reply: simulator.Reply{Topic: ota.TopicGetReply, ID: m.ID}}, err
	case ota.TopicRequest:
		m, err := ota.DecodeRequest(payload)
		return simulator.Asked{Device: d, Reply: simulator.Reply{Topic: ota.TopicRequest, ID: m.ID}}, err
	}
	return nil, errNoEvent
}

// kindName names the topics that devices publish on, for metrics and logs.
func kindName(k ota.TopicKind) string {
	switch k {
	case ota.TopicInform:
		return "inform"
	case ota.TopicProgress:
		return "progress"
	case ota.TopicGet:
		return "get"
	case ota.TopicRequest:
		return "request"
	case ota.TopicDownload:
		return "download"
	}
	return "other"
}
