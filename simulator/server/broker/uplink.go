package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// errEnd ends a connection: it was said why where it matters, or there is nothing
// to say.
var errEnd = errors.New("the connection ends")

// handle deals with a packet; an error ends the connection.
func (s *session) handle(pk *packets.Packet) error {
	ok := false
	switch pk.FixedHeader.Type {
	case packets.Publish:
		ok = s.publish(pk)
	case packets.Puback:
		s.acked()
		s.broker.count.acked.Add(1)
		ok = true
	case packets.Pingreq:
		ok = s.answer(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}})
	case packets.Subscribe:
		ok = s.subscribe(pk)
	case packets.Unsubscribe:
		ok = s.unsubscribe(pk)
	case packets.Disconnect:
		s.because(Goodbye)
	default: // a second CONNECT, QoS 2, MQTT 5, or what only a server sends
		s.broker.warn("connection ended", "device", s.device.String(), "why", fmt.Sprintf("it sent a packet of type %d", pk.FixedHeader.Type))
	}
	if !ok {
		return errEnd
	}
	return nil
}

// answer writes a packet to the device that has just sent one, and may wait for
// it. The writer of the queue takes turns with it.
func (s *session) answer(pk packets.Packet) bool { return s.wire.write(pk) == nil }

// publish deals with a message from the device: false ends the connection. MQTT
// 3.1.1 knows no refusal of a message; one that is not allowed is dropped when
// its QoS is 0, and otherwise ends the connection in place of a PUBACK that would
// be a lie.
func (s *session) publish(pk *packets.Packet) bool {
	qos := pk.FixedHeader.Qos
	if qos > 1 || qos == 1 && pk.PacketID == 0 || pk.TopicName == "" || strings.ContainsAny(pk.TopicName, "+#\x00") {
		s.deny("publish", pk.TopicName, "QoS 2, no packet id, or no topic name")
		return false
	}
	count := &s.broker.count
	kind, d, ok := ota.ParseTopic(pk.TopicName)
	own := !ok && s.owns(pk.TopicName)
	if !own {
		if u := s.publisher(kind, d, pk); u != nil {
			return s.subPublish(u, kind, pk)
		}
	}
	if !s.wait(&s.pace) {
		return false
	}
	switch {
	case len(pk.Payload) > ota.MaxMessageLen:
		s.deny("publish", pk.TopicName, "the message is too long")
		return qos == 0
	case ok && d == s.device && kind.Session() && s.broker.config.Gateways != nil:
		count.uplinks.Add(1)
		s.broker.saw(d, kind, qos, pk.Payload)
		if !s.combine(kind, pk.Payload) {
			return false
		}
	case ok && d == s.device && kind.Up():
		count.uplinks.Add(1)
		s.broker.saw(d, kind, qos, pk.Payload)
		s.broker.config.Sink.Uplink(d, kind, pk.Payload)
	case own:
		count.ignored.Add(1) // telemetry and the like, which the same firmware sends
	default:
		s.deny("publish", pk.TopicName, "not a topic that the device may publish on")
		return qos == 0
	}
	if qos == 0 {
		return true
	}
	return s.ack(pk.PacketID)
}

// wait holds the connection while the device is above its rate; false when the
// session ended meanwhile.
func (s *session) wait(p *pace) bool {
	d := p.take(time.Now())
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

func (s *session) subscribe(pk *packets.Packet) bool {
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
	return s.answer(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID, ReasonCodes: codes,
	})
}

func (s *session) addTopic(filter string) bool {
	topics := s.topicsOf(filter)
	if topics == nil {
		s.deny("subscribe", filter, "matches topics of others, or is malformed")
		return false
	}
	for _, t := range *topics {
		if t == filter {
			return true
		}
	}
	if len(*topics) >= MaxSubscriptions {
		s.deny("subscribe", filter, "more subscriptions than allowed")
		return false
	}
	*topics = append(*topics, filter)
	return true
}

// topicsOf gives the list that a filter belongs on: the device's, or that of one of
// its sub-devices; nil: it is not allowed.
func (s *session) topicsOf(filter string) *[]string {
	if ownFilter(filter, s.device) {
		return &s.topics
	}
	d := ownerOf(filter)
	if u := s.sub(d); u != nil && ownFilter(filter, d) {
		return &u.topics
	}
	return nil
}

func (s *session) unsubscribe(pk *packets.Packet) bool {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return false
	}
	for _, f := range pk.Filters {
		if topics := s.topicsOf(f.Filter); topics != nil {
			*topics = slices.DeleteFunc(*topics, func(t string) bool { return t == f.Filter })
		}
	}
	return s.answer(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID,
	})
}

// deny counts what was refused, and logs the 1st, 2nd, 4th, 8th... of a
// connection, so that a device in a loop does not fill the log.
func (s *session) deny(what, topic, why string) {
	s.broker.count.denied.Add(1)
	s.denied++
	if s.denied&(s.denied-1) == 0 {
		s.broker.warn(what+" refused", "device", s.device.String(), "topic", clip(topic), "why", why, "times", s.denied)
	}
}

// owns is ownTopic, and knows the last one again: firmware has one or two for
// telemetry.
func (s *session) owns(topic string) bool {
	if topic == s.telemetry {
		return true
	}
	if !ownTopic(topic, s.device) {
		return false
	}
	s.telemetry = strings.Clone(topic) // it is a part of the packet
	return true
}
