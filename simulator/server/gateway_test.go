package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// plant is a cloud with two gateways beside the devices of its product.
type plant struct {
	*cloud
	pkg     simulator.Package
	gateway string // their product
}

func newPlant(c *cloud, devices ...string) *plant {
	p := &plant{cloud: c, pkg: c.fill(devices...)}
	p.gateway = c.do(simulator.CreateProduct{Account: "me", Name: "gateway", NodeType: 1}).(simulator.Product).Key
	c.do(simulator.RegisterDevices{Product: p.gateway, Names: []string{"gw", "gw2"}})
	return p
}

// connectGateway signs a gateway in; it subscribes to nothing.
func (p *plant) connectGateway(name string) *device {
	p.t.Helper()
	product := p.product
	p.product = p.gateway
	defer func() { p.product = product }()
	return p.connect(name)
}

func (p *plant) sub(name string) ota.Device { return ota.Device{ProductKey: p.product, Name: name} }

// ask sends a gateway's request and gives the answer.
func (p *plant) ask(g *device, kind ota.TopicKind, names ...string) ota.GatewayReply {
	p.t.Helper()
	r := ota.GatewayRequest{ID: "5"}
	for _, n := range names {
		r.Subs = append(r.Subs, ota.NewSubLogin(p.sub(n), p.do(simulator.FindDevice{Product: p.product, Name: n}).(simulator.Device).Secret))
	}
	g.await(g.Publish(kind.Of(g.dev), 0, false, r.Encode(kind)))
	return g.reply(kind.GatewayReply())
}

// reply waits for a message on the gateway's topic.
func (d *device) reply(kind ota.TopicKind) ota.GatewayReply {
	d.t.Helper()
	m := <-d.got
	r, err := ota.DecodeGatewayReply(m.payload)
	if err != nil || m.topic != kind.Of(d.dev) {
		d.t.Fatalf("on %s: %s, %v; want %s", m.topic, m.payload, err, kind.Of(d.dev))
	}
	return r
}

func (p *plant) good(r ota.GatewayReply) {
	p.t.Helper()
	if r.Code != ota.GatewayOK || r.ID != "5" {
		p.t.Errorf("%+v", r)
	}
}

// as is a sub-device that speaks over its gateway's connection.
func (d *device) as(sub ota.Device) *device {
	return &device{Client: d.Client, t: d.t, dev: sub, got: d.got}
}

func (p *plant) status(name string) string {
	p.t.Helper()
	d := p.do(simulator.FindDevice{Product: p.product, Name: name}).(simulator.Device)
	return d.Status()
}

// OTA of a sub-device through its gateway, from the topology to the version report, on
// its own topics.
func TestGatewayUpdatesSubDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := newPlant(c, "s1", "s2")
		g := p.connectGateway("gw")
		defer g.off()
		if r := p.ask(g, ota.TopicLogin, "s1"); r.Code != ota.GatewayNoTopology || len(r.Subs) != 1 {
			t.Errorf("without a topology: %+v", r)
		}
		p.good(p.ask(g, ota.TopicTopoAdd, "s1", "s2"))
		if r := p.ask(g, ota.TopicTopoGet); cmp.Diff(r.Subs, []ota.Device{p.sub("s1"), p.sub("s2")}) != "" {
			t.Errorf("%+v", r)
		}
		j := p.batch(p.pkg, nil)
		p.good(p.ask(g, ota.TopicLogin, "s1"))
		s1 := g.as(p.sub("s1"))
		m := <-g.got // the notice, on the sub-device's topic and after the answer
		if n, _, err := ota.DecodeNotice(m.payload); err != nil || m.topic != ota.TopicUpgrade.Of(s1.dev) || n.Version != "2.0" {
			t.Errorf("on %s: %s, %v", m.topic, m.payload, err)
		}
		if p.status("s1") != "ONLINE" || p.status("s2") != "UNACTIVE" {
			t.Errorf("%s, %s", p.status("s1"), p.status("s2"))
		}
		s1.progress(30)
		if got := c.task(j, "s1"); got.Status != simulator.InProgress || got.Step != 30 {
			t.Errorf("%+v", got)
		}
		s1.publish(ota.TopicGet, ota.Get{ID: "8"}.Encode())
		if m := <-g.got; m.topic != ota.TopicGetReply.Of(s1.dev) || !strings.HasPrefix(string(m.payload), `{"id":"8","code":200,"data":{"size":10,`) {
			t.Errorf("on %s: %s", m.topic, m.payload)
		}
		s1.progress(100)
		s1.inform("2.0")
		p.wantCounts(j, simulator.Counts{Succeeded: 1, Queued: 1})

		time.Sleep(time.Hour)
		p.good(p.ask(g, ota.TopicBatchLogin, "s2"))
		g.notice()
		p.good(p.ask(g, ota.TopicLogout, "s1"))
		if p.status("s1") != "OFFLINE" {
			t.Errorf("s1 is %s", p.status("s1"))
		}
		g.off() // and s2 with its gateway
		synctest.Wait()
		if p.status("s2") != "OFFLINE" {
			t.Errorf("s2 is %s", p.status("s2"))
		}
		p.wantCounts(j, simulator.Counts{Succeeded: 1, Notified: 1})
		g = p.connectGateway("gw")
		defer g.off()
		p.good(p.ask(g, ota.TopicBatchLogin, "s1", "s2"))
		g.notice() // unfinished: again
		g.nothing()
		g.as(p.sub("s2")).inform("2.0")
		p.wantCounts(j, simulator.Counts{Succeeded: 2})
	})
}

// The topology is there after a restart; a deletion from it ends the session, quietly,
// and a disabled, deleted or moved sub-device's gateway is told.
func TestGatewayTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		p := newPlant(c, "s1", "s2", "s3", "s4")
		g := p.connectGateway("gw")
		p.good(p.ask(g, ota.TopicTopoAdd, "s1", "s2", "s3", "s4"))
		g.off()
		product := c.product
		c.stop()

		c = open(t, dir).run()
		defer c.stop()
		c.product, p.cloud = product, c
		g = p.connectGateway("gw")
		defer g.off()
		p.good(p.ask(g, ota.TopicBatchLogin, "s1", "s2", "s3", "s4"))
		told := func(code ota.GatewayCode, name string) {
			t.Helper()
			if r := g.reply(ota.TopicError); r.Code != code || len(r.Subs) != 1 || r.Subs[0] != p.sub(name) {
				t.Errorf("%+v, want %d of %s", r, code, name)
			}
			synctest.Wait()
			if code != ota.GatewayDeleted && p.status(name) == "ONLINE" {
				t.Errorf("%s is online", name)
			}
		}
		p.do(simulator.SetDeviceDisabled{Product: p.product, Name: "s1", Disabled: true})
		told(ota.GatewayDisabled, "s1")
		if r := p.ask(g, ota.TopicLogin, "s1"); r.Code != ota.GatewayDisabled {
			t.Errorf("%+v", r)
		}
		p.do(simulator.DeleteDevice{Product: p.product, Name: "s2"})
		told(ota.GatewayDeleted, "s2")
		g2 := p.connectGateway("gw2")
		defer g2.off()
		p.good(p.ask(g2, ota.TopicTopoAdd, "s3"))
		told(ota.GatewayReplaced, "s3")
		if r := p.ask(g, ota.TopicLogin, "s3"); r.Code != ota.GatewayNoTopology {
			t.Errorf("%+v", r)
		}
		p.good(p.ask(g2, ota.TopicLogin, "s3"))
		p.good(p.ask(g, ota.TopicTopoDelete, "s4"))
		synctest.Wait()
		if p.status("s4") != "OFFLINE" || p.status("s3") != "ONLINE" {
			t.Errorf("s4 %s, s3 %s", p.status("s4"), p.status("s3"))
		}
		g.nothing()
		if r := p.ask(g, ota.TopicTopoDelete, "s4"); r.Code != ota.GatewayNoTopology {
			t.Errorf("%+v", r)
		}
		g.await(g.Publish(ota.TopicTopoAdd.Of(g.dev), 1, false, `{"id":"6","params":[{"productKey":"x"}]}`))
		if r := g.reply(ota.TopicTopoAddReply); r.Code != ota.GatewayBad || r.ID != "6" {
			t.Errorf("%+v", r)
		}
		lamp := p.connect("s4") // no gateway's product
		defer lamp.off()
		if r := p.ask(lamp, ota.TopicTopoGet); r.Code != ota.GatewayNoTopology {
			t.Errorf("%+v", r)
		}
		if r := p.ask(lamp, ota.TopicLogin, "s3"); r.Code != ota.GatewayNoTopology {
			t.Errorf("%+v", r)
		}
	})
}

// A batch is 5 sub-devices, and 50 with the limits of now.
func TestGatewayBatchLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		names := []string{"s1", "s2", "s3", "s4", "s5", "s6"}
		p := newPlant(c, names...)
		g := p.connectGateway("gw")
		defer g.off()
		p.good(p.ask(g, ota.TopicTopoAdd, names...)) // one by one or together: the topology knows no batch
		if r := p.ask(g, ota.TopicBatchLogin, names...); r.Code != ota.GatewayBad {
			t.Errorf("%+v", r)
		}
		p.good(p.ask(g, ota.TopicBatchLogin, names[:5]...))
		p.good(p.ask(g, ota.TopicBatchLogout, names[:5]...))
		p.do(simulator.SetRules{Product: p.gateway, Rules: simulator.RulesNow()})
		p.good(p.ask(g, ota.TopicBatchLogin, names...))
	})
}

// A rollout to 200 sub-devices of one gateway at once: each notice arrives.
func TestGatewayManySubDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		var names []string
		for i := range 200 {
			names = append(names, "s"+string(rune('a'+i/26))+string(rune('a'+i%26)))
		}
		p := newPlant(c, names...)
		p.do(simulator.SetRules{Product: p.gateway, Rules: simulator.RulesNow()})
		g := p.connectGateway("gw")
		defer g.off()
		for len(names) > 0 {
			p.good(p.ask(g, ota.TopicTopoAdd, names[:50]...))
			p.good(p.ask(g, ota.TopicBatchLogin, names[:50]...))
			names = names[50:]
		}
		j := p.batch(p.pkg, nil)
		heard := map[string]bool{}
		for range 200 {
			m := <-g.got
			if _, d, ok := ota.ParseTopic(m.topic); ok {
				heard[d.Name] = true
			}
		}
		if len(heard) != 200 {
			t.Errorf("%d sub-devices have their notice", len(heard))
		}
		p.wantCounts(j, simulator.Counts{Notified: 200})
	})
}
