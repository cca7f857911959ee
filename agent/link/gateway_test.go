package link

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/leapslot/ota"
)

var (
	subDevice = ota.Device{ProductKey: "sub", Name: "lamp"}
	strangers = ota.Device{ProductKey: "sub", Name: "another"}
)

// wire is a broker of a few lines, over pipes: it shows what it reads and sends what
// it is told.
type wire struct {
	got chan *packets.PublishPacket

	mu   sync.Mutex
	conn net.Conn
}

func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	w.mu.Lock()
	w.conn = there
	w.mu.Unlock()
	go func() {
		defer there.Close()
		if _, err := packets.ReadPacket(there); err != nil {
			return
		}
		if _, err := there.Write([]byte{0x20, 2, 0, 0}); err != nil {
			return
		}
		for {
			p, err := packets.ReadPacket(there)
			if err != nil {
				return
			}
			if p, ok := p.(*packets.PublishPacket); ok {
				w.got <- p
			}
		}
	}()
	return here, nil
}

func (w *wire) send(t *testing.T, kind ota.TopicKind, d ota.Device, payload string) {
	t.Helper()
	w.mu.Lock()
	conn := w.conn
	w.mu.Unlock()
	if _, err := conn.Write(publishPacket(kind.Of(d), []byte(payload))); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // the library hands messages over out of order
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.Close()
}

func nextOf(t *testing.T, g *Gateway) (ota.Device, ota.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	d, e, err := g.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d, e
}

// gatewayOf runs a link with one sub-device. connected has been received.
func gatewayOf(t *testing.T) (*wire, *Link, *Gateway) {
	t.Helper()
	w := &wire{got: make(chan *packets.PublishPacket, 256)}
	l, err := New(Config{URL: "mqtt://broker.test", Credentials: testCredentials(), Dial: w.dial})
	if err != nil {
		t.Fatal(err)
	}
	g, err := l.Gateway([]ota.Device{subDevice})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Publish(t.Context(), subDevice, ota.TopicInform, nil); err == nil {
		t.Error("published without a connection")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	if d, e := nextOf(t, g); d != (ota.Device{}) || e.Kind != 0 {
		t.Fatalf("first is %v of %v, must be the news", e.Kind, d)
	}
	return w, l, g
}

// What is for a sub-device, or for the gateway as a gateway, comes from Next; what is
// for the gateway as a device from Events; what is for others from neither.
func TestGatewayReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, g := gatewayOf(t)
		connected(t, l)
		w.send(t, ota.TopicUpgrade, subDevice, "1")
		w.send(t, ota.TopicUpgrade, strangers, "2")
		w.send(t, ota.TopicUpgrade, testDevice(), "3")
		w.send(t, ota.TopicLoginReply, testDevice(), "4")
		w.send(t, ota.TopicLoginReply, subDevice, "5")
		w.send(t, ota.TopicInform, subDevice, "6")
		w.send(t, ota.TopicGetReply, subDevice, "7")
		for _, want := range []struct {
			d    ota.Device
			kind ota.TopicKind
			s    string
		}{
			{subDevice, ota.TopicUpgrade, "1"},
			{testDevice(), ota.TopicLoginReply, "4"},
			{subDevice, ota.TopicGetReply, "7"},
		} {
			if d, e := nextOf(t, g); d != want.d || e.Kind != want.kind || string(e.Payload) != want.s {
				t.Errorf("got %v %q of %v, want %+v", e.Kind, e.Payload, d, want)
			}
		}
		if e := next(t, l); e.Kind != ota.TopicUpgrade || string(e.Payload) != "3" {
			t.Errorf("the gateway as a device got %v %q", e.Kind, e.Payload)
		}
		// A new connection is told before all that it brings, and what was left of
		// the one before is gone.
		w.send(t, ota.TopicUpgrade, subDevice, "old")
		w.cut()
		time.Sleep(time.Minute)
		w.send(t, ota.TopicUpgrade, subDevice, "new")
		if d, e := nextOf(t, g); d != (ota.Device{}) || e.Kind != 0 {
			t.Errorf("got %v %q of %v, want the news", e.Kind, e.Payload, d)
		}
		if _, e := nextOf(t, g); string(e.Payload) != "new" {
			t.Errorf("got %q", e.Payload)
		}
	})
}

func TestGatewayPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, g := gatewayOf(t)
		for range 3 * maxPosts { // more than wait at a time, and in order
			for _, p := range []string{"a", "b"} {
				if err := g.Publish(t.Context(), subDevice, ota.TopicProgress, []byte(p)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 6 * maxPosts {
			p := <-w.got
			if p.TopicName != ota.TopicProgress.Of(subDevice) || p.Qos != 0 || string(p.Payload) != []string{"a", "b"}[i%2] {
				t.Fatalf("message %d: %s %q with QoS %d", i, p.TopicName, p.Payload, p.Qos)
			}
		}
		g.Post(testDevice(), ota.TopicLogin, []byte("in"))
		if p := <-w.got; p.TopicName != ota.TopicLogin.Of(testDevice()) || p.Qos != 0 {
			t.Errorf("%s with QoS %d", p.TopicName, p.Qos)
		}
		for _, bad := range []struct {
			d    ota.Device
			kind ota.TopicKind
		}{{strangers, ota.TopicInform}, {testDevice(), ota.TopicInform}, {subDevice, ota.TopicLogin}, {subDevice, ota.TopicUpgrade}} {
			if err := g.Publish(t.Context(), bad.d, bad.kind, nil); err == nil {
				t.Errorf("published on kind %d of %s", bad.kind, bad.d)
			}
		}
	})
}

// A block for a sub-device is asked for on its topic, and comes to who asked.
func TestGatewayBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, g := gatewayOf(t)
		go func() {
			p := <-w.got
			if p.TopicName != ota.TopicDownload.Of(subDevice) || p.Qos != 0 {
				t.Errorf("asked on %s with QoS %d", p.TopicName, p.Qos)
			}
			w.mu.Lock()
			conn := w.conn
			w.mu.Unlock()
			conn.Write(publishPacket(ota.TopicDownloadReply.Of(subDevice), reply(blockRequest(t, p.Payload)).Encode()))
		}()
		got, err := g.Block(t.Context(), subDevice, asked, time.Minute)
		if err != nil || len(got.Data) != asked.Size {
			t.Errorf("%d bytes, %v", len(got.Data), err)
		}
		if _, err := g.Block(t.Context(), strangers, asked, time.Minute); err == nil {
			t.Error("asked for a stranger")
		}
	})
}

func TestGatewayIsMadeOnceAndOfOthers(t *testing.T) {
	l, err := New(Config{URL: "mqtt://broker.test", Credentials: testCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	for name, subs := range map[string][]ota.Device{
		"itself": {testDevice()}, "twice": {subDevice, subDevice}, "no name": {{ProductKey: "a"}},
	} {
		if _, err := l.Gateway(subs); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	g, err := l.Gateway([]ota.Device{subDevice})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Gateway(nil); err == nil || !strings.Contains(err.Error(), "once") {
		t.Errorf("a second time: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	if _, _, err := g.Next(ctx); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("next: %v", err)
	}
}

func TestGatewayQueueIsBounded(t *testing.T) {
	l, err := New(Config{URL: "mqtt://broker.test", Credentials: testCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	g, err := l.Gateway([]ota.Device{subDevice})
	if err != nil {
		t.Fatal(err)
	}
	g.connected()
	for i := range maxSubQueued + 9 {
		g.receive(ota.TopicUpgrade, subDevice, numbered(i))
	}
	if n := g.Dropped(); n != 10 {
		t.Errorf("%d dropped", n)
	}
	if _, e := nextOf(t, g); e.Kind != 0 {
		t.Error("the news was dropped")
	}
	if _, e := nextOf(t, g); string(e.Payload) != string(numbered(10)) {
		t.Errorf("the oldest left is %q", e.Payload)
	}
	for range 40 {
		g.receive(ota.TopicUpgrade, subDevice, make([]byte, ota.MaxMessageLen))
	}
	if g.bytes > maxSubQueuedBytes {
		t.Errorf("%d bytes are held", g.bytes)
	}
}
