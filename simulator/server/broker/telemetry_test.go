package broker

import (
	"fmt"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// A device that was allowed its own telemetry is not allowed that of others, however
// often it asks, and its acknowledgements are whole beside what is pushed to it.
func TestF6TelemetryOfOthers(t *testing.T) {
	const rounds = 20
	c := newCity(lamp, other)
	b, addr := start(t, c)
	heard, opt := inbox()
	cl := dial(t, addr, lamp, opt, func(o *paho.ClientOptions) { o.SetOrderMatters(true) })
	c.await(t, "online lamp")
	for i := range rounds {
		if err := b.Push(lamp, ota.TopicUpgrade, fmt.Appendf(nil, "push %d", i)); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"/sys/a1/lamp/thing/event/property/post", "/sys/a1/lamp/thing/event/property/post", "/a1/lamp/user/hello"} {
			if err := settle(cl.Publish(topic, 1, false, "21.5")); err != nil {
				t.Fatal(err)
			}
		}
		if err := settle(cl.Publish("/sys/a1/lamp2/thing/event/property/post", 0, false, "21.5")); err != nil {
			t.Fatal(err)
		}
	}
	if err := settle(cl.Publish(ota.TopicInform.Of(lamp), 1, false, "last")); err != nil {
		t.Fatal(err)
	}
	for i := range rounds {
		if m := receive(t, heard); string(m.Payload()) != fmt.Sprintf("push %d", i) {
			t.Fatalf("got %q", m.Payload())
		}
	}
	if s := b.Stats(); s.Ignored != 3*rounds || s.Denied != rounds || s.Uplinks != 1 {
		t.Errorf("%+v", s)
	}
}
