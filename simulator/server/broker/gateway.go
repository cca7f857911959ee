package broker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// Gateways knows which sub-devices may come in over which gateway's connection
// (protocol section 1).
type Gateways interface {
	// Admit checks a sub-device's login: nil, a *ota.GatewayError that the gateway is
	// told, or any other error, for which it is told to try later. A device that may
	// have sub-devices must never be one: two that took each other in would wait for
	// each other. Called by many goroutines at once.
	Admit(ctx context.Context, gateway ota.Device, l ota.SubLogin) error
	// SubLimits gives how many sub-devices may be logged in over the gateway's
	// connection, and how many one request may name.
	SubLimits(ctx context.Context, gateway ota.Device) (online, batch int, err error)
}

// maxRoom bounds how many times MaxQueuedBytes a gateway's queue may hold.
const maxRoom = 8

// qosOf: what gateways get of their own is sent once, everything else until it is
// acknowledged.
func qosOf(kind ota.TopicKind) byte {
	if kind == ota.TopicError || kind > ota.TopicDownloadReply && kind.Down() {
		return 0
	}
	return 1
}

// carrier gives the session that brings messages to the device: its own or its
// gateway's.
func (b *Broker) carrier(d ota.Device) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sessions[d]; s != nil {
		return s
	}
	if u := b.subs[d]; u != nil && u.online && !u.over {
		return u.gateway
	}
	return nil
}

// sub gives the sub-device if it is logged in over this connection.
func (s *session) sub(d ota.Device) *sub {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if u := s.subs[d]; u != nil && !u.over {
		return u
	}
	return nil
}

// publisher gives the sub-device that a message is of and that may send it; nil: it is
// none of a sub-device that is logged in here. The kind is 0 for a topic that is none of
// OTA.
func (s *session) publisher(kind ota.TopicKind, d ota.Device, pk *packets.Packet) *sub {
	if kind == 0 {
		d = ownerOf(pk.TopicName)
	}
	if d == s.device || kind != 0 && (!kind.Up() || kind.Gateway()) || len(pk.Payload) > ota.MaxMessageLen {
		return nil
	}
	return s.sub(d)
}

// subPublish takes in a message of a sub-device; false ends the connection. One
// sub-device that floods must not hold up the others behind it: above its rate its
// messages of QoS 0 are left out.
func (s *session) subPublish(u *sub, kind ota.TopicKind, pk *packets.Packet) bool {
	count := &s.broker.count
	if pk.FixedHeader.Qos == 0 {
		if u.pace.take(time.Now()) > 0 {
			u.pace.level++ // what is left out takes no place
			count.limited.Add(1)
			return true
		}
	} else if !s.wait(&u.pace) {
		return false
	}
	u.turn.Lock()
	taken := u.isOnline()
	switch {
	case taken && kind == 0:
		count.ignored.Add(1)
	case taken:
		count.uplinks.Add(1)
		s.broker.saw(u.device, kind, pk.FixedHeader.Qos, pk.Payload)
		s.broker.config.Sink.Uplink(u.device, kind, pk.Payload)
		taken = u.isOnline() // or it was kicked because the message could not be stored
	}
	u.turn.Unlock()
	if pk.FixedHeader.Qos == 0 || !taken {
		return true
	}
	return s.ack(pk.PacketID)
}

func (u *sub) isOnline() bool {
	u.gateway.broker.mu.Lock()
	defer u.gateway.broker.mu.Unlock()
	return u.online && !u.over
}

// combine answers a login or logout of sub-devices; false: the answer could not be
// written. The gateway has the answer before a sub-device is online, so that it knows
// whom the first notice is for.
func (s *session) combine(kind ota.TopicKind, payload []byte) bool {
	r, err := ota.DecodeGatewayRequest(kind, payload)
	reply := ota.GatewayReply{ID: r.ID, Code: ota.GatewayOK, Message: "success"}
	var in []*sub
	switch {
	case err != nil:
		err = &ota.GatewayError{Code: ota.GatewayBad, Message: err.Error()}
	case kind == ota.TopicLogin || kind == ota.TopicBatchLogin:
		in, err = s.login(r.Subs)
	default:
		err = s.logout(r.Subs)
	}
	var no *ota.GatewayError
	if errors.As(err, &no) {
		reply.Code, reply.Message = no.Code, no.Message
		if no.Device != (ota.Device{}) {
			reply.Subs = []ota.Device{no.Device}
		}
		s.broker.count.denied.Add(1)
		s.broker.warn("sub-devices refused", "gateway", s.device.String(), "code", int(no.Code), "device", no.Device.String(), "why", no.Message)
	} else {
		for _, l := range r.Subs {
			reply.Subs = append(reply.Subs, l.Device)
		}
	}
	text := reply.Encode(kind)
	s.broker.sent(s.device, kind.GatewayReply(), 0, text)
	ok := s.answer(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: kind.GatewayReply().Of(s.device), Payload: text,
	})
	for _, u := range in {
		u.begin()
	}
	return ok
}

// login lets sub-devices in, all of them or none: the live service does so too. An
// error is a *ota.GatewayError.
func (s *session) login(subs []ota.SubLogin) ([]*sub, error) {
	b, now := s.broker, time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), ConnectTimeout)
	defer cancel()
	limit, err := s.limits(ctx, len(subs))
	if err != nil {
		return nil, err
	}
	added := map[ota.Device]bool{}
	for _, l := range subs {
		d := l.Device
		if added[d] || d == s.device {
			return nil, &ota.GatewayError{Code: ota.GatewayBad, Message: "a device twice, or the gateway itself", Device: d}
		}
		added[d] = true
		err := b.config.Gateways.Admit(ctx, s.device, l)
		var no *ota.GatewayError
		if err != nil && !errors.As(err, &no) {
			b.warn("a sub-device could not be looked up", "device", d.String(), "why", err.Error())
			no = &ota.GatewayError{Code: ota.GatewayBusy, Message: "try again later"}
		}
		if no != nil {
			no.Device = d
			return nil, no
		}
	}
	for d := range added {
		if s.sub(d) != nil {
			delete(added, d) // it takes its own place
		}
	}
	if s.loggedIn()+len(added) > limit {
		return nil, &ota.GatewayError{Code: ota.GatewayFull, Message: "a gateway has at most " + strconv.Itoa(limit) + " sub-devices logged in"}
	}
	for _, l := range subs {
		if !b.door.allow(l.Device, now) {
			return nil, &ota.GatewayError{Code: ota.GatewayBusy, Message: "more than " + strconv.Itoa(b.config.ConnectsPerMinute) + " logins in a minute", Device: l.Device}
		}
	}
	var in []*sub
	for _, l := range subs {
		in = append(in, s.place(l.Device))
	}
	return in, nil
}

// limits refuses a request for too many sub-devices, and gives how many may be logged
// in.
func (s *session) limits(ctx context.Context, named int) (int, error) {
	online, batch, err := s.broker.config.Gateways.SubLimits(ctx, s.device)
	if err != nil {
		s.broker.warn("a gateway could not be looked up", "gateway", s.device.String(), "why", err.Error())
		return 0, &ota.GatewayError{Code: ota.GatewayBusy, Message: "try again later"}
	}
	if named > batch {
		return 0, &ota.GatewayError{Code: ota.GatewayBad, Message: "more than " + strconv.Itoa(batch) + " sub-devices in one request"}
	}
	return online, nil
}

// loggedIn is how many sub-devices are.
func (s *session) loggedIn() int {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return len(s.subs)
}

// logout ends sub-devices' sessions, all of them or none, and returns when the sink
// has had their Offline.
func (s *session) logout(subs []ota.SubLogin) error {
	ctx, cancel := context.WithTimeout(context.Background(), ConnectTimeout)
	defer cancel()
	if _, err := s.limits(ctx, len(subs)); err != nil {
		return err
	}
	var out []*sub
	for _, l := range subs {
		u := s.sub(l.Device)
		if u == nil {
			return &ota.GatewayError{Code: ota.GatewayNoSession, Message: "it is not logged in here", Device: l.Device}
		}
		out = append(out, u)
	}
	for _, u := range out {
		s.broker.endSub(u, ota.GatewayOK)
		<-u.done
	}
	return nil
}
