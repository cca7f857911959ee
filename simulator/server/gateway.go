package server

import (
	"context"
	"errors"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// What gateways say (protocol section 1). The broker asks who may come in over a
// gateway's connection; the topology comes as the gateway's messages.

// Admit implements broker.Gateways.
func (g *gate) Admit(ctx context.Context, gateway ota.Device, l ota.SubLogin) error {
	_, err := g.engine.Do(ctx, simulator.AdmitSubDevice{Gateway: gateway, Login: l})
	return err
}

// SubLimits implements broker.Gateways. A device that is no gateway gets those of one,
// and is refused for each sub-device with the reason.
func (g *gate) SubLimits(ctx context.Context, gateway ota.Device) (online, batch int, err error) {
	v, err := g.engine.Do(ctx, simulator.FindSubLimits{Gateway: gateway})
	var no *ota.GatewayError
	if errors.As(err, &no) {
		return simulator.MaxSubDevices, simulator.MaxSubBatch, nil
	}
	if err != nil {
		return 0, 0, err
	}
	limits := v.(simulator.SubLimits)
	return limits.Devices, limits.Batch, nil
}

// topology answers a gateway's request. When the engine is gone there is no answer, and
// the gateway asks the next one.
func (g *gate) topology(gateway ota.Device, kind ota.TopicKind, payload []byte) {
	r, err := ota.DecodeGatewayRequest(kind, payload)
	reply := ota.GatewayReply{ID: r.ID, Code: ota.GatewayOK, Message: "success"}
	if err != nil {
		err = &ota.GatewayError{Code: ota.GatewayBad, Message: err.Error()}
	} else {
		reply.Subs, err = g.doTopology(gateway, kind, r.Subs)
	}
	result := "good"
	if err != nil {
		no := &ota.GatewayError{Code: ota.GatewayBusy, Message: "try again later"}
		if !errors.As(err, &no) {
			g.log.Warn("a gateway's request was not carried out", "gateway", gateway.String(), "why", err.Error())
		}
		result, reply.Code, reply.Message, reply.Subs = "bad", no.Code, no.Message, nil
		if no.Device != (ota.Device{}) {
			reply.Subs = []ota.Device{no.Device}
		}
	}
	g.metrics.uplinks.WithLabelValues("topology", result).Inc()
	if err := g.broker.Push(gateway, kind.GatewayReply(), reply.Encode(kind)); err != nil {
		g.log.Debug("a gateway was not answered", "gateway", gateway.String(), "why", err.Error())
	}
}

// doTopology carries a request out, and ends the sessions that it leaves without a
// topology.
func (g *gate) doTopology(gateway ota.Device, kind ota.TopicKind, subs []ota.SubLogin) ([]ota.Device, error) {
	cmd, gone := simulator.Command(simulator.FindSubDevices{Gateway: gateway}), ota.GatewayOK
	switch kind {
	case ota.TopicTopoAdd:
		cmd, gone = simulator.AddSubDevices{Gateway: gateway, Subs: subs}, ota.GatewayReplaced
	case ota.TopicTopoDelete:
		c := simulator.RemoveSubDevices{Gateway: gateway}
		for _, l := range subs {
			c.Subs = append(c.Subs, l.Device)
		}
		cmd = c
	}
	v, err := g.engine.Do(context.Background(), cmd)
	if err != nil {
		return nil, err
	}
	devices := v.([]ota.Device)
	if kind == ota.TopicTopoGet {
		return devices, nil
	}
	for _, d := range devices {
		g.broker.KickSub(d, gone)
	}
	return nil, nil
}
