package broker

import (
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// hook is what mochi asks. Packets that mean something here are dealt with as
// soon as they are read, and mochi is left with a packet that means nothing: its
// own routing, subscriptions and access check are never entered.
type hook struct{ mqtt.HookBase }

// ID implements mqtt.Hook.
func (*hook) ID() string { return "leapslot" }

// Provides implements mqtt.Hook.
func (*hook) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnPacketRead || b == mqtt.OnSessionEstablished
}

// OnConnectAuthenticate implements mqtt.Hook. Broker.enter has asked already, and
// there is no other way in.
func (*hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	_, ok := cl.Net.Conn.(*session)
	return ok
}

// OnSessionEstablished implements mqtt.Hook: CONNACK was sent, nothing was read.
func (*hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	s := cl.Net.Conn.(*session)
	if s.established(cl) {
		s.broker.count.connections.Add(1)
		s.broker.config.Sink.Online(s.device)
	}
}

// OnPacketRead implements mqtt.Hook. packets.ErrRejectPacket ends the connection.
func (*hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	s := cl.Net.Conn.(*session)
	ok := true
	switch pk.FixedHeader.Type {
	case packets.Connect, packets.Pingreq, packets.Disconnect:
		return pk, nil // a second CONNECT is mochi's to refuse
	case packets.Puback:
		s.broker.count.acked.Add(1)
	case packets.Publish:
		ok = s.publish(cl, pk)
	case packets.Subscribe:
		ok = s.subscribe(cl, pk)
	case packets.Unsubscribe:
		ok = s.unsubscribe(cl, pk)
	default:
		ok = false // QoS 2, MQTT 5, or what only a server sends
	}
	if !ok {
		return pk, packets.ErrRejectPacket
	}
	return nothing(), nil
}

// nothing is a packet that mochi reads without a consequence: the acknowledgement
// of a message that it did not send.
func nothing() packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}}
}

// publish deals with a message from the device: false ends the connection. MQTT
// 3.1.1 knows no refusal of a message; one that is not allowed is dropped when
// its QoS is 0, and otherwise ends the connection in place of a PUBACK that would
// be a lie.
func (s *session) publish(cl *mqtt.Client, pk packets.Packet) bool {
	qos := pk.FixedHeader.Qos
	if qos > 1 || qos == 1 && pk.PacketID == 0 || pk.TopicName == "" || strings.ContainsAny(pk.TopicName, "+#\x00") {
		s.deny("publish", pk.TopicName, "QoS 2, no packet id, or no topic name")
		return false
	}
	if !s.wait() {
		return false
	}
	count := &s.broker.count
	kind, d, ok := ota.ParseTopic(pk.TopicName)
	switch {
	case len(pk.Payload) > ota.MaxMessageLen:
		s.deny("publish", pk.TopicName, "the message is too long")
		return qos == 0
	case ok && d == s.device && kind.Up():
		count.uplinks.Add(1)
		s.broker.config.Sink.Uplink(d, kind, pk.Payload)
	case !ok && ownTopic(pk.TopicName, s.device):
		count.ignored.Add(1) // telemetry and the like, which the same firmware sends
	default:
		s.deny("publish", pk.TopicName, "not a topic that the device may publish on")
		return qos == 0
	}
	if qos == 0 {
		return true
	}
	return cl.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID}) == nil
}

// wait holds the connection while the device is above its rate; false when the
// session ended meanwhile.
func (s *session) wait() bool {
	d := s.pace.take(time.Now())
	if d == 0 {
		return true
	}
	s.broker.count.delayed.Add(1)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ended:
		return false
	}
}

// suback128 is what SUBACK answers for a filter that is refused.
const suback128 = 0x80

func (s *session) subscribe(cl *mqtt.Client, pk packets.Packet) bool {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return false
	}
	codes := make([]byte, len(pk.Filters))
	for i, f := range pk.Filters {
		codes[i] = min(f.Qos, 1)
		if !s.addTopic(f.Filter) {
			codes[i] = suback128
		}
	}
	return cl.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID, ReasonCodes: codes,
	}) == nil
}

func (s *session) addTopic(filter string) bool {
	if !ownFilter(filter, s.device) {
		s.deny("subscribe", filter, "matches topics of others, or is malformed")
		return false
	}
	for _, t := range s.topics {
		if t == filter {
			return true
		}
	}
	if len(s.topics) >= MaxSubscriptions {
		s.deny("subscribe", filter, "more subscriptions than allowed")
		return false
	}
	s.topics = append(s.topics, filter)
	return true
}

func (s *session) unsubscribe(cl *mqtt.Client, pk packets.Packet) bool {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return false
	}
	for _, f := range pk.Filters {
		for i, t := range s.topics {
			if t == f.Filter {
				s.topics = append(s.topics[:i], s.topics[i+1:]...)
				break
			}
		}
	}
	return cl.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID,
	}) == nil
}

// deny counts what was refused, and logs the 1st, 2nd, 4th, 8th... of a
// connection, so that a device in a loop does not fill the log.
func (s *session) deny(what, topic, why string) {
	s.broker.count.denied.Add(1)
	s.denied++
	if s.denied&(s.denied-1) == 0 {
		s.broker.log.Warn(what+" refused", "device", s.device.String(), "topic", clip(topic), "why", why, "times", s.denied)
	}
}
