package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// hall is a Gateways for tests: a sub-device is of every gateway whose sign is right.
type hall struct {
	*city
	online, batch int
	err           error
}

func (h hall) Admit(ctx context.Context, gateway ota.Device, l ota.SubLogin) error {
	secret, err := h.Secret(ctx, l.Device)
	switch {
	case errors.Is(err, ErrUnknown):
		return &ota.GatewayError{Code: ota.GatewayNoDevice, Message: "unknown"}
	case errors.Is(err, ErrDisabled):
		return &ota.GatewayError{Code: ota.GatewayDisabled, Message: "disabled"}
	case err != nil:
		return err
	case l.Verify(secret) != nil:
		return &ota.GatewayError{Code: ota.GatewaySignature, Message: "wrong sign"}
	}
	return nil
}

func (h hall) SubLimits(context.Context, ota.Device) (online, batch int, err error) {
	return h.online, h.batch, h.err
}

func dev(name string) ota.Device { return ota.Device{ProductKey: "a1", Name: name} }

func withGateways(h *hall) func(*Config) {
	return func(c *Config) {
		*h = hall{city: c.Sink.(*city), online: 1500, batch: 5}
		c.Gateways = h
	}
}

// gatewayClient is a gateway with a real client.
type gatewayClient struct {
	paho.Client
	t   *testing.T
	dev ota.Device
	got chan paho.Message
}

func dialGateway(t *testing.T, addr string, d ota.Device) *gatewayClient {
	t.Helper()
	got, opt := inbox()
	return &gatewayClient{dial(t, addr, d, opt), t, d, got}
}

// ask sends a request with QoS 0 and gives the answer, which needs no SUBSCRIBE.
func (g *gatewayClient) ask(kind ota.TopicKind, subs ...ota.Device) ota.GatewayReply {
	g.t.Helper()
	r := ota.GatewayRequest{ID: "7"}
	for _, d := range subs {
		l := ota.SubLogin{Device: d}
		if kind == ota.TopicLogin || kind == ota.TopicBatchLogin {
			l = ota.NewSubLogin(d, secretOf(d))
		}
		r.Subs = append(r.Subs, l)
	}
	return g.say(kind, r.Encode(kind))
}

func (g *gatewayClient) say(kind ota.TopicKind, payload []byte) ota.GatewayReply {
	g.t.Helper()
	if err := settle(g.Publish(kind.Of(g.dev), 0, false, payload)); err != nil {
		g.t.Fatal(err)
	}
	m := receive(g.t, g.got)
	r, err := ota.DecodeGatewayReply(m.Payload())
	if err != nil || m.Topic() != kind.GatewayReply().Of(g.dev) || m.Qos() != 0 {
		g.t.Fatalf("on %s with QoS %d: %s, %v", m.Topic(), m.Qos(), m.Payload(), err)
	}
	return r
}

// The life of a sub-device: in, its notices and its messages over the gateway's
// connection and on its own topics, out.
func TestSubDevice(t *testing.T) {
	gw, sub := dev("gw"), dev("sub")
	c := newCity(gw, sub)
	var h hall
	b, addr := start(t, c, withGateways(&h))
	g := dialGateway(t, addr, gw)
	if err := b.Push(sub, ota.TopicUpgrade, []byte("x")); !errors.Is(err, ErrOffline) {
		t.Errorf("before its login: %v", err)
	}
	if err := settle(g.Publish(ota.TopicInform.Of(sub), 0, false, "early")); err != nil {
		t.Fatal(err)
	}
	if r := g.ask(ota.TopicLogin, sub); r.Code != 200 || r.ID != "7" || len(r.Subs) != 1 || r.Subs[0] != sub {
		t.Errorf("login: %+v", r)
	}
	c.await(t, "online gw; online sub")
	if !b.Online(sub) || b.Stats().SubDevices != 1 || b.Stats().Connections != 1 {
		t.Errorf("%+v", b.Stats())
	}
	if err := b.Push(sub, ota.TopicUpgrade, []byte("notice")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, g.got); m.Topic() != "/ota/device/upgrade/a1/sub" || string(m.Payload()) != "notice" || m.Qos() != 1 {
		t.Errorf("on %s: %s", m.Topic(), m.Payload())
	}
	for _, topic := range []string{"/ota/device/upgrade/a1/sub", "/sys/a1/sub/#"} {
		tok := g.Subscribe(topic, 1, nil).(*paho.SubscribeToken)
		if err := settle(tok); err != nil || tok.Result()[topic] != 1 {
			t.Errorf("SUBSCRIBE %s: %v %v", topic, err, tok.Result())
		}
	}
	if tok := g.Subscribe("/ota/device/upgrade/a1/other", 1, nil).(*paho.SubscribeToken); settle(tok) == nil && tok.Result()["/ota/device/upgrade/a1/other"] != 0x80 {
		t.Error("a foreign topic was granted")
	}
	for _, kind := range []ota.TopicKind{ota.TopicInform, ota.TopicProgress, ota.TopicGet, ota.TopicRequest} {
		if err := settle(g.Publish(kind.Of(sub), 1, false, "m")); err != nil {
			t.Error(err)
		}
	}
	if err := settle(g.Publish("/sys/a1/sub/thing/event/property/post", 1, false, "m")); err != nil {
		t.Error(err)
	}
	want := "online gw; online sub; uplink sub 1 m; uplink sub 3 m; uplink sub 4 m; uplink sub 6 m"
	c.await(t, want)
	if r := g.ask(ota.TopicLogout, sub); r.Code != 200 {
		t.Errorf("logout: %+v", r)
	}
	c.await(t, want+"; offline sub")
	if r := g.ask(ota.TopicLogout, sub); r.Code != ota.GatewayNoSession {
		t.Errorf("logout again: %+v", r)
	}
	if s := b.Stats(); b.Online(sub) || s.SubDevices != 0 || s.Ignored != 1 || s.Denied != 3 {
		t.Errorf("%+v", s)
	}
	g.ask(ota.TopicBatchLogin, sub)
	g.Disconnect(0)
	c.await(t, want+"; offline sub; online sub; offline sub; offline gw") // with its gateway, and before it
}

func TestSubDeviceRefused(t *testing.T) {
	gw, sub, off, sick := dev("gw"), dev("sub"), dev("off"), dev("sick")
	c := newCity(gw, sub, dev("x1"), dev("x2"), dev("x3"))
	c.errs[off], c.errs[sick] = ErrDisabled, io.ErrUnexpectedEOF
	var h hall
	b, addr := start(t, c, withGateways(&h))
	h.online, h.batch = 2, 3
	g := dialGateway(t, addr, gw)
	bad := ota.NewSubLogin(sub, "wrong")
	for name, tt := range map[string]struct {
		reply ota.GatewayReply
		code  ota.GatewayCode
		dev   ota.Device
	}{
		"unknown":       {g.ask(ota.TopicLogin, dev("nobody")), ota.GatewayNoDevice, dev("nobody")},
		"disabled":      {g.ask(ota.TopicLogin, off), ota.GatewayDisabled, off},
		"cloud fails":   {g.ask(ota.TopicLogin, sick), ota.GatewayBusy, sick},
		"itself":        {g.ask(ota.TopicLogin, gw), ota.GatewayBad, gw},
		"wrong sign":    {g.say(ota.TopicLogin, ota.GatewayRequest{ID: "7", Subs: []ota.SubLogin{bad}}.Encode(ota.TopicLogin)), ota.GatewaySignature, sub},
		"garbage":       {g.say(ota.TopicLogin, []byte("{")), ota.GatewayBad, ota.Device{}},
		"no params":     {g.say(ota.TopicBatchLogout, []byte(`{"id":"7"}`)), ota.GatewayBad, ota.Device{}},
		"twice":         {g.ask(ota.TopicBatchLogin, sub, sub), ota.GatewayBad, sub},
		"one of two":    {g.ask(ota.TopicBatchLogin, sub, dev("nobody")), ota.GatewayNoDevice, dev("nobody")},
		"too many":      {g.ask(ota.TopicBatchLogin, sub, dev("x1"), dev("x2")), ota.GatewayFull, ota.Device{}},
		"batch":         {g.ask(ota.TopicBatchLogin, sub, dev("x1"), dev("x2"), dev("x3")), ota.GatewayBad, ota.Device{}},
		"out, batch":    {g.ask(ota.TopicBatchLogout, sub, dev("x1"), dev("x2"), dev("x3")), ota.GatewayBad, ota.Device{}},
		"out, not here": {g.ask(ota.TopicBatchLogout, sub), ota.GatewayNoSession, sub},
	} {
		if got := tt.reply; got.Code != tt.code || got.Message == "" || tt.dev != (ota.Device{}) && (len(got.Subs) != 1 || got.Subs[0] != tt.dev) {
			t.Errorf("%s: %+v, want %d", name, got, tt.code)
		}
	}
	if got := c.log(); got != "online gw" || b.Stats().SubDevices != 0 { // all or none
		t.Errorf("events %q", got)
	}
	if r := g.ask(ota.TopicBatchLogin, sub, dev("x1")); r.Code != 200 || len(r.Subs) != 2 {
		t.Errorf("as many as there may be: %+v", r)
	}
	if r := g.ask(ota.TopicBatchLogin, sub, dev("x1")); r.Code != 200 { // again: takes its own place
		t.Errorf("again: %+v", r)
	}
	if r := g.ask(ota.TopicLogin, dev("x2")); r.Code != ota.GatewayFull {
		t.Errorf("one more: %+v", r)
	}
}

// A sub-device that comes in elsewhere leaves where it was, and that gateway is told.
func TestSubDeviceKickOut(t *testing.T) {
	gw, gw2, sub := dev("gw"), dev("gw2"), dev("sub")
	c := newCity(gw, gw2, sub)
	var h hall
	b, addr := start(t, c, withGateways(&h))
	g, g2 := dialGateway(t, addr, gw), dialGateway(t, addr, gw2)
	online := func() {
		t.Helper()
		until(t, "it is online", func() bool { return b.Online(sub) })
	}
	g.ask(ota.TopicLogin, sub)
	online() // the answer comes before
	told := func(g *gatewayClient, code ota.GatewayCode) {
		t.Helper()
		m := receive(t, g.got)
		r, err := ota.DecodeGatewayReply(m.Payload())
		if err != nil || m.Topic() != "/ext/error/a1/"+g.dev.Name || r.Code != code || len(r.Subs) != 1 || r.Subs[0] != sub || m.Qos() != 0 {
			t.Errorf("on %s: %s, %v", m.Topic(), m.Payload(), err)
		}
	}
	g2.ask(ota.TopicLogin, sub) // over another gateway
	told(g, ota.GatewayReplaced)
	online()
	own := dial(t, addr, sub) // with a connection of its own
	told(g2, ota.GatewayReplaced)
	online()
	g.ask(ota.TopicLogin, sub) // and back
	until(t, "its own connection is gone", func() bool { return !own.IsConnected() })
	online()
	if !b.Kick(sub) {
		t.Error("not kicked")
	}
	told(g, ota.GatewayDisabled)
	until(t, "it is offline", func() bool { return !b.Online(sub) })
	if b.Kick(sub) || b.KickSub(gw, ota.GatewayOK) {
		t.Error("kicked twice, or a gateway's own connection")
	}
	until(t, "events", func() bool { return strings.Count(c.log(), "offline sub") == 4 })
	if got, want := c.log(), "online sub; offline sub; online sub; offline sub; online sub; offline sub; online sub; offline sub"; !strings.HasSuffix(got, want) {
		t.Errorf("events %q", got)
	}
	if !g.IsConnected() || !g2.IsConnected() {
		t.Error("a gateway lost its connection")
	}
}

// Of three that have a device's place in turn, the second is thrown out while the first
// is still leaving: the third does not come in before the first is gone.
func TestSubDeviceWaitsForItsForerunner(t *testing.T) {
	gw, gw2, sub := dev("gw"), dev("gw2"), dev("sub")
	c := newCity(gw, gw2, sub)
	gone := make(chan struct{})
	c.leaving = func(d ota.Device) {
		if d == sub {
			<-gone
		}
	}
	var h hall
	b := newBroker(t, c, withGateways(&h))
	own := knock(t, b, sub, 60)
	defer own.Close()
	until(t, "it is online", func() bool { return b.Online(sub) })
	login := ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(sub, secretOf(sub))}}.Encode(ota.TopicLogin)
	for _, d := range []ota.Device{gw, gw2} {
		conn := knock(t, b, d, 60)
		defer conn.Close()
		go io.Copy(io.Discard, conn)
		conn.Write(publishPacket(ota.TopicLogin.Of(d), login))
		until(t, d.Name+" has the place", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.subs[sub] != nil && b.subs[sub].gateway.device == d
		})
	}
	time.Sleep(20 * time.Millisecond) // a virtual clock does not wait for mutexes
	if got := c.log(); strings.Count(got, "online sub") != 1 {
		t.Errorf("events %q", got)
	}
	close(gone)
	until(t, "it is online again", func() bool { return strings.HasSuffix(c.log(), "offline sub; online sub") })
	if got := c.log(); strings.Count(got, "online sub") != 2 {
		t.Errorf("events %q", got)
	}
}

// A device that went by itself, and a sub-device that was kicked, are not gone before
// the sink has had their Offline: who comes next waits for it.
func TestNextWaitsForOffline(t *testing.T) {
	gw, own, sub := dev("gw"), dev("own"), dev("sub")
	c := newCity(gw, own, sub)
	leaving, gone := make(chan struct{}, 2), make(chan struct{})
	c.leaving = func(d ota.Device) {
		if d != gw {
			leaving <- struct{}{}
			<-gone
		}
	}
	var h hall
	b := newBroker(t, c, withGateways(&h))
	first, conn := knock(t, b, own, 60), knock(t, b, gw, 60)
	defer conn.Close()
	go io.Copy(io.Discard, conn)
	conn.Write(publishPacket(ota.TopicLogin.Of(gw), ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(sub, secretOf(sub))}}.Encode(ota.TopicLogin)))
	until(t, "both are online", func() bool { return b.Online(own) && b.Online(sub) })
	first.Close()
	b.Kick(sub)
	<-leaving
	<-leaving
	var wg sync.WaitGroup
	for _, d := range []ota.Device{own, sub} {
		wg.Go(func() { knock(t, b, d, 60) })
	}
	time.Sleep(20 * time.Millisecond)
	if got := c.log(); strings.Count(got, "online own")+strings.Count(got, "online sub") != 2 || b.Online(own) || b.Online(sub) {
		t.Errorf("events %q", got)
	}
	close(gone)
	wg.Wait()
	until(t, "both are online again", func() bool { return b.Online(own) && b.Online(sub) })
}

// What the sink could not take is not acknowledged: the sub-device is thrown out before.
func TestSubDeviceUplinkNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, sub := dev("gw"), dev("sub")
		c := newCity(gw, sub)
		var h hall
		b := newBroker(t, c, withGateways(&h))
		defer b.Close()
		conn := knock(t, b, gw, 60)
		var heard bytes.Buffer
		go io.Copy(&heard, conn)
		conn.Write(publishPacket(ota.TopicLogin.Of(gw), ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(sub, secretOf(sub))}}.Encode(ota.TopicLogin)))
		say := func() {
			body := append(appendText(nil, ota.TopicInform.Of(sub)), 0, 7, 'm')
			conn.Write(append([]byte{0x32, byte(len(body))}, body...))
			synctest.Wait()
		}
		say()
		acked := bytes.HasSuffix(heard.Bytes(), []byte{0x40, 2, 0, 7})
		before := heard.Len()
		c.uplink = func(d ota.Device) { b.Kick(d) }
		say()
		after := heard.Bytes()[before:]
		if !acked || bytes.Contains(after, []byte{0x40, 2, 0, 7}) || !bytes.Contains(after, []byte("/ext/error/")) {
			t.Errorf("taken: acknowledged %v; not taken: %q", acked, after)
		}
		conn.Close()
	})
}

// A gateway's queue has room for each of its sub-devices, and an end.
func TestSubDevicesShareAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := dev("gw")
		subs := []ota.Device{dev("s0"), dev("s1"), dev("s2")}
		c := newCity(append(subs, gw)...)
		var h hall
		b := newBroker(t, c, withGateways(&h))
		defer b.Close()
		conn := knock(t, b, gw, 60)
		var r ota.GatewayRequest
		for _, d := range subs {
			r.Subs = append(r.Subs, ota.NewSubLogin(d, secretOf(d)))
		}
		conn.Write(publishPacket(ota.TopicBatchLogin.Of(gw), r.Encode(ota.TopicBatchLogin)))
		go conn.Read(make([]byte, 4096)) // the answer, and nothing after it
		synctest.Wait()
		taken := 0
		for i := range 1000 {
			if b.Push(subs[i%len(subs)], ota.TopicUpgrade, []byte("notice")) == nil {
				taken++
			}
		}
		synctest.Wait()
		if taken < MaxQueued*4 || taken > MaxQueued*4+1 { // and one in the writer's hand
			t.Errorf("%d messages were queued, want %d", taken, MaxQueued*4)
		}
		conn.Close()
	})
}

// F6: a gateway reaches no device but those that are logged in over it, and no
// sub-device is a gateway.
func TestF6Gateway(t *testing.T) {
	gw, gw2, sub, stranger := dev("gw"), dev("gw2"), dev("sub"), dev("stranger")
	c := newCity(gw, gw2, sub, stranger)
	var h hall
	b, addr := start(t, c, withGateways(&h))
	g, g2 := dialGateway(t, addr, gw), dialGateway(t, addr, gw2)
	g.ask(ota.TopicLogin, sub)
	until(t, "it is online", func() bool { return b.Online(sub) })
	before := b.Stats().Denied
	bad := []string{
		ota.TopicInform.Of(stranger), ota.TopicInform.Of(gw2), ota.TopicUpgrade.Of(sub), ota.TopicGetReply.Of(sub),
		ota.TopicLogin.Of(sub), ota.TopicTopoAdd.Of(sub), ota.TopicLogin.Of(gw2), ota.TopicLoginReply.Of(gw), ota.TopicError.Of(gw),
		"/sys/a1/stranger/thing/event/property/post", "/sys/a1/sub2/thing/x", "/ota/device/inform/a1/sub2/sub",
	}
	for _, topic := range bad {
		if err := settle(g.Publish(topic, 0, false, ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(sub, secretOf(sub))}}.Encode(ota.TopicLogin))); err != nil {
			t.Fatal(err)
		}
	}
	if err := settle(g2.Publish(ota.TopicInform.Of(sub), 0, false, "another gateway's")); err != nil {
		t.Fatal(err)
	}
	g2.ask(ota.TopicLogout, sub) // and cannot throw it out
	g.ask(ota.TopicLogout, sub)
	if got := b.Stats().Denied - before; got != int64(len(bad))+2 {
		t.Errorf("%d denials, want %d", got, len(bad)+2)
	}
	if got := c.log(); strings.Contains(got, "uplink") || strings.Contains(got, "stranger") {
		t.Errorf("events %q", got)
	}
}

// F7: a sub-device that floods with QoS 0 loses messages; the gateway's other one is
// heard in the same moment.
func TestF7SubDeviceFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw, bad, good := dev("gw"), dev("bad"), dev("good")
		c := newCity(gw, bad, good)
		var h hall
		b := newBroker(t, c, withGateways(&h))
		defer b.Close()
		conn := knock(t, b, gw, 60)
		go io.Copy(io.Discard, conn)
		login := ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(bad, secretOf(bad)), ota.NewSubLogin(good, secretOf(good))}}
		conn.Write(publishPacket(ota.TopicBatchLogin.Of(gw), login.Encode(ota.TopicBatchLogin)))
		for i := range 10 {
			begin := time.Now()
			for range 300 {
				conn.Write(publishPacket(ota.TopicProgress.Of(bad), []byte("bad")))
			}
			conn.Write(publishPacket(ota.TopicProgress.Of(good), []byte("good")))
			synctest.Wait()
			if got := strings.Count(c.log(), "uplink good"); got != i+1 || time.Since(begin) != 0 {
				t.Errorf("second %d: %d messages of the good one, %v late", i, got, time.Since(begin))
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(c.log(), "uplink bad"); n != 200+9*50 || b.Stats().Limited != int64(3000-n) {
			t.Errorf("%d messages of the bad one were taken, %d left out", n, b.Stats().Limited)
		}
		conn.Close()
	})
}

func publishPacket(topic string, payload []byte) []byte {
	body := append(appendText(nil, topic), payload...)
	return append([]byte{0x30, byte(len(body)&0x7f) | 0x80, byte(len(body) >> 7)}, body...)
}

// Two gateways and the device itself fight over one sub-device, while it is kicked and
// pushed to: the sink sees one life after the other, and everything ends.
func TestSubDeviceStorm(t *testing.T) {
	gws := []ota.Device{dev("gw0"), dev("gw1")}
	subs := []ota.Device{dev("s0"), dev("s1"), dev("s2")}
	c := newCity(append(gws, subs...)...)
	var h hall
	b := newBroker(t, c, withGateways(&h), func(c *Config) { c.UplinkRate = -1 })
	var wg sync.WaitGroup
	for i, gw := range gws {
		wg.Go(func() {
			for range 3 {
				conn := knock(t, b, gw, 60)
				go io.Copy(io.Discard, conn)
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range 60 {
					d := subs[r.IntN(len(subs))]
					kind := []ota.TopicKind{ota.TopicLogin, ota.TopicLogin, ota.TopicLogout, ota.TopicInform, ota.TopicProgress}[r.IntN(5)]
					if kind.Gateway() {
						conn.Write(publishPacket(kind.Of(gw), ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(d, secretOf(d))}}.Encode(kind)))
					} else {
						conn.Write(publishPacket(kind.Of(d), []byte("m")))
					}
				}
				conn.Close()
			}
		})
	}
	wg.Go(func() {
		for i := range 20 { // it may be thrown out before it has its CONNACK
			l := login(t, subs[i%len(subs)], "")
			conn := pipe(b)
			conn.Write(connectPacket(l.ClientID, l.Username, l.Password, 60))
			conn.Read(make([]byte, 4))
			conn.Close()
		}
	})
	wg.Go(func() {
		for i := range 200 {
			b.Push(subs[i%len(subs)], ota.TopicUpgrade, []byte("n"))
			if i%7 == 0 {
				b.Kick(subs[i%len(subs)])
			}
		}
	})
	wg.Wait()
	b.Close()
	lives := map[string]bool{}
	for _, e := range strings.Split(c.log(), "; ") {
		var what, name string
		fmt.Sscan(e, &what, &name)
		if alive := lives[name]; alive != (what != "online") {
			t.Fatalf("%s, but online is %v", e, alive)
		}
		lives[name] = what != "offline"
	}
	for name, alive := range lives {
		if alive {
			t.Errorf("%s never went offline", name)
		}
	}
	if s := b.Stats(); s.SubDevices != 0 || s.Connections != 0 || len(b.subs) != 0 {
		t.Errorf("left over: %+v, %d", s, len(b.subs))
	}
}

// FuzzGateway feeds what a gateway says of its sub-devices to the broker, between good
// requests. Nothing may panic or hang, each request is answered once, and the sink sees
// no device but the gateway and the sub-devices that were signed for.
func FuzzGateway(f *testing.F) {
	gw, sub, other := dev("gw"), dev("sub"), dev("other")
	for kind := ota.TopicLogin; kind <= ota.TopicBatchLogout; kind += 2 {
		l := ota.NewSubLogin(sub, secretOf(sub))
		f.Add(uint8(kind), ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{l}}.Encode(kind))
		f.Add(uint8(kind), ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{l, l}}.Encode(kind))
	}
	f.Add(uint8(ota.TopicLogin), []byte("{"))
	f.Fuzz(func(t *testing.T, k uint8, payload []byte) {
		kind := ota.TopicKind(k)
		if !kind.Session() || len(payload) > 10_000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			c := newCity(gw, sub, other)
			var h hall
			b := newBroker(t, c, withGateways(&h))
			conn := knock(t, b, gw, 60)
			var heard bytes.Buffer
			read := make(chan struct{})
			go func() { io.Copy(&heard, conn); close(read) }()
			good := ota.GatewayRequest{ID: "1", Subs: []ota.SubLogin{ota.NewSubLogin(sub, secretOf(sub))}}
			conn.Write(publishPacket(ota.TopicLogin.Of(gw), good.Encode(ota.TopicLogin)))
			conn.Write(publishPacket(kind.Of(gw), payload))
			conn.Write(publishPacket(ota.TopicLogout.Of(gw), good.Encode(ota.TopicLogout)))
			synctest.Wait()
			b.Push(sub, ota.TopicUpgrade, []byte("x"))
			synctest.Wait()
			conn.Close()
			b.Close()
			<-read
			if n := bytes.Count(heard.Bytes(), []byte("_reply")); n != 3 {
				t.Errorf("%d answers to 3 requests: %q", n, heard.Bytes())
			}
			got := c.log()
			if strings.Contains(got, "other") || strings.Count(got, "online sub") != strings.Count(got, "offline sub") || strings.Contains(got, "uplink") {
				t.Errorf("events %q", got)
			}
		})
	})
}
