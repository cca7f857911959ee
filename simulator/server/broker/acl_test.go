package broker

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leapslot/ota"
)

func TestOwnFilter(t *testing.T) {
	for _, f := range []string{"$share/g/ota/device/upgrade/a1/lamp", "$share/g//sys/a1/lamp/x", "", "/", "//", "/ota", "/a1/lamp#", "/sys/a1/lamp/#/x", "/sys/a1/lamp/x+", "/ota/device/upgrade/a1/lamp\x00", "/+/+/user/get", "/+/+"} {
		if ownFilter(f, lamp) {
			t.Errorf("%q was allowed", f)
		}
	}
}

// Whatever filter is allowed and names the device, it matches no topic of
// another device, by MQTT's own rules of matching.
func TestF6FilterMatchesOwnTopicsOnly(t *testing.T) {
	parts := []string{"", "sys", "ota", "device", "upgrade", "ext", "shadow", "a1", "lamp", "lamp2", "b2", "+", "#", "thing", "x"}
	rapid.Check(t, func(t *rapid.T) {
		levels := func(label string, parts []string) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 7).Draw(t, label), "/")
		}
		filter, topic := levels("filter", parts), levels("topic", append(parts[:11:11], parts[13:]...))
		d := ota.Device{ProductKey: "a1", Name: "lamp"}
		if !ownFilter(filter, d) || strings.Contains(filter, "/+/+") {
			return // the form of C SDKs grants nothing
		}
		if matches(strings.Split(filter, "/"), strings.Split(topic, "/")) && !ownTopic(topic, d) {
			if _, of, ok := ota.ParseTopic(topic); ok && of != d || namesAt(split(topic)) > 0 {
				t.Fatalf("%s was allowed and matches %s", filter, topic)
			}
		}
	})
}

func matches(filter, topic []string) bool {
	switch {
	case len(filter) == 0:
		return len(topic) == 0
	case filter[0] == "#":
		return true
	case len(topic) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == topic[0]) && matches(filter[1:], topic[1:])
}
