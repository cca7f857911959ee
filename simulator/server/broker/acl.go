package broker

import (
	"strings"

	"github.com/leapslot/ota"
)

// What a device may say and hear. Both questions are answered for one device and
// by whole levels of a topic: no prefix of a name is ever taken for the name.

// namesAt gives the index of the level where a topic or filter has its product
// key, followed by the device name; the levels are those of strings.Split, the
// first being empty. 0: it has none.
//
//	/sys/{pk}/{dn}/...   /ota/device/x/{pk}/{dn}   /ext/x/{pk}/{dn}/...
//	/shadow/x/{pk}/{dn}  /{pk}/{dn}/user/...
func namesAt(levels []string) int {
	at := 1
	if len(levels) > 1 {
		switch levels[1] {
		case "sys":
			at = 2
		case "ext", "shadow":
			at = 3
		case "ota":
			at = 4
		}
	}
	if len(levels) < at+2 || levels[0] != "" {
		return 0
	}
	return at
}

// split takes a topic or filter apart; nil when it is outside of the limits.
func split(topic string) []string {
	if len(topic) > ota.MaxTopicLen || strings.Count(topic, "/") > ota.MaxTopicSlashes || strings.ContainsRune(topic, 0) {
		return nil
	}
	return strings.Split(topic, "/")
}

// ownTopic reports whether a topic belongs to the device, be it one of the
// topics of OTA or another that firmware publishes on.
func ownTopic(topic string, d ota.Device) bool {
	levels := split(topic)
	at := namesAt(levels)
	return at > 0 && levels[at] == d.ProductKey && levels[at+1] == d.Name
}

// ownerOf gives the device whose names stand in a topic or filter.
func ownerOf(topic string) ota.Device {
	levels := split(topic)
	at := namesAt(levels)
	if at == 0 {
		return ota.Device{}
	}
	return ota.Device{ProductKey: levels[at], Name: levels[at+1]}
}

// ownFilter reports whether a device may subscribe to a filter: one that matches
// nothing but its own topics, or the form with + for both of its names and no
// other wildcard, which C SDKs use. A subscription grants nothing: what is
// delivered is what is pushed to the device, so that the second form, too,
// brings it its own messages only.
func ownFilter(filter string, d ota.Device) bool {
	levels := split(filter)
	at := namesAt(levels)
	if at == 0 || !wellFormed(levels) {
		return false
	}
	if levels[at] == "+" && levels[at+1] == "+" {
		return at > 1 && literal(levels[:at]) && literal(levels[at+2:])
	}
	return levels[at] == d.ProductKey && levels[at+1] == d.Name
}

func literal(levels []string) bool {
	for _, l := range levels {
		if strings.ContainsAny(l, "+#") {
			return false
		}
	}
	return true
}

// wellFormed reports whether wildcards stand alone in their levels, and # last.
func wellFormed(levels []string) bool {
	for i, l := range levels {
		if l == "+" || l == "#" && i == len(levels)-1 {
			continue
		}
		if strings.ContainsAny(l, "+#") {
			return false
		}
	}
	return true
}
