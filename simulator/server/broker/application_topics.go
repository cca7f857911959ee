package broker

import (
	"context"
	"slices"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// eventShapes are the topics of events (protocol section 9, at the end).
func eventShapes() [3][]string {
	return [3][]string{
		{"", "+", "+", "ota", "upgrade"},
		{"", "+", "+", "ota", "version", "post"},
		{"", "+", "+", "+", "ota", "job", "status"},
	}
}

// eventFilter takes a filter for events apart; nil: it is none. The level "ota" has to
// stand in it as a word, and # after it only: filters of devices' topics do not.
func eventFilter(filter string) []string {
	levels := split(filter)
	if !wellFormed(levels) {
		return nil
	}
	for _, shape := range eventShapes() {
		if fits(levels, shape) {
			return levels
		}
	}
	return nil
}

func fits(filter, shape []string) bool {
	word := slices.Index(shape, "ota")
	for i, want := range shape {
		switch {
		case i >= len(filter):
			return false
		case filter[i] == "#":
			return i > word
		case want == "+":
			if filter[i] == "" {
				return false
			}
		case filter[i] != want && (filter[i] != "+" || i <= word):
			return false
		}
	}
	return len(filter) == len(shape)
}

// topicFits reports whether a well-formed filter matches a topic.
func topicFits(filter, topic []string) bool {
	for i, f := range filter {
		if f == "#" {
			return true
		}
		if i >= len(topic) || f != "+" && f != topic[i] {
			return false
		}
	}
	return len(filter) == len(topic)
}

func (a *application) subscribe(pk *packets.Packet) bool {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return false
	}
	codes := make([]byte, len(pk.Filters))
	for i, f := range pk.Filters {
		if !a.wait(&a.pace) { // each may cost a look at the products
			return false
		}
		codes[i] = min(f.Qos, 1)
		if why := a.add(f.Filter, codes[i]); why != "" {
			codes[i] = suback128
			a.refuse("subscribe", f.Filter, why)
		}
	}
	return a.answer(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID, ReasonCodes: codes,
	})
}

// add takes a filter, again with another QoS, or says why not. What it names of another
// account is not found; what + stands for is the account's, since no more is delivered.
func (a *application) add(filter string, qos byte) (why string) {
	filter = strings.Clone(filter) // it is a part of the packet
	levels := eventFilter(filter)
	if levels == nil {
		return "not a topic of events"
	}
	ctx, cancel := context.WithTimeout(context.Background(), ConnectTimeout)
	defer cancel()
	if p := levels[1]; p != "+" && !a.broker.config.Applications.Owns(ctx, a.key.Account, p) {
		return "the account has no such product"
	}
	a.filterMu.Lock()
	defer a.filterMu.Unlock()
	at := slices.IndexFunc(a.filters, func(s subscription) bool { return s.filter == filter })
	switch {
	case at >= 0:
		a.filters[at].qos = qos
	case len(a.filters) >= MaxSubscriptions:
		return "more subscriptions than allowed"
	default:
		a.filters = append(a.filters, subscription{filter, levels, qos})
	}
	return ""
}

func (a *application) unsubscribe(pk *packets.Packet) bool {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return false
	}
	a.filterMu.Lock()
	for _, f := range pk.Filters {
		a.filters = slices.DeleteFunc(a.filters, func(s subscription) bool { return s.filter == f.Filter })
	}
	a.filterMu.Unlock()
	return a.answer(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsuback}, PacketID: pk.PacketID,
	})
}

// refuse is deny for an application.
func (a *application) refuse(what, topic, why string) {
	a.broker.count.denied.Add(1)
	a.denied++
	if a.denied&(a.denied-1) == 0 {
		a.broker.warn(what+" refused", "key", a.key.ID, "topic", clip(topic), "why", why, "times", a.denied)
	}
}
