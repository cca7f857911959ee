package broker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leapslot/ota"
)

// diary is a Witness that writes everything down.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (w *diary) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *diary) has(line string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.lines, line)
}

func (w *diary) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func (w *diary) Connected(d ota.Device, a Arrival) {
	w.note("%s came, keep-alive %d, MQTT %d, TLS %v, gateway %q, named %v", d.Name, a.KeepAlive, a.Level, a.TLS, a.Gateway, a.ClientID != "" && a.Remote != "")
}

func (w *diary) Disconnected(d ota.Device, why Ending) { w.note("%s left: %s", d.Name, why) }

func (w *diary) Passed(m Passed) {
	way := "up"
	if m.Down {
		way = "down"
	}
	w.note("%s %s %d %d %s", m.Device.Name, way, m.Kind, m.QoS, m.Payload)
}

func (w *diary) await(t *testing.T, line string) {
	t.Helper()
	until(t, "no line "+line+" in\n"+w.String(), func() bool { return w.has(line) })
}

// TestWitness: the witness is told of each connection, each OTA message with its QoS in
// both directions, and how the connection ended; of telemetry it is not.
func TestWitness(t *testing.T) {
	d := ota.Device{ProductKey: "pk", Name: "dev"}
	w := &diary{}
	b, addr := start(t, newCity(d), func(c *Config) { c.Witness = w })
	c := dial(t, addr, d)
	w.await(t, `dev came, keep-alive 60, MQTT 4, TLS false, gateway "", named true`)
	for qos, text := range []string{"{}", "{1}"} {
		if err := settle(c.Publish(ota.TopicInform.Of(d), byte(qos), false, text)); err != nil {
			t.Fatal(err)
		}
		w.await(t, fmt.Sprintf("dev up %d %d %s", ota.TopicInform, qos, text))
	}
	if err := settle(c.Publish("/sys/pk/dev/thing/event/property/post", 1, false, "telemetry")); err != nil {
		t.Fatal(err)
	}
	if err := b.Push(d, ota.TopicUpgrade, []byte("notice")); err != nil {
		t.Fatal(err)
	}
	w.await(t, fmt.Sprintf("dev down %d 1 notice", ota.TopicUpgrade))
	c.Disconnect(50)
	w.await(t, "dev left: goodbye")
	again := dial(t, addr, d)
	until(t, "it is online", func() bool { return b.Online(d) })
	b.Kick(d)
	w.await(t, "dev left: kicked")
	again.Disconnect(0)
	if strings.Contains(w.String(), "telemetry") {
		t.Errorf("it was told of telemetry:\n%s", w)
	}
}
