package server

import (
	"encoding/json"
	"net"
	"net/url"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/store"
)

// hearer is an application: a real paho client of the server.
type hearer struct {
	mqtt.Client
	t    *testing.T
	got  chan told
	lost chan error
}

// apply signs an application in and returns its connection's error, if any.
func (c *cloud) apply(k broker.AccessKey) (*hearer, error) {
	c.t.Helper()
	h := &hearer{t: c.t, got: make(chan told, 2000), lost: make(chan error, 1)}
	o := mqtt.NewClientOptions().AddBroker("tcp://cloud.test:1883").SetProtocolVersion(4).
		SetClientID("console|authMode=accesskey,signmethod=hmacsha256,timestamp=1795352665000|").
		SetUsername(k.ID).SetPassword(k.Sign("console", "1795352665000")).
		SetAutoReconnect(false).SetKeepAlive(10 * time.Minute).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { h.lost <- err }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			e := told{Topic: m.Topic()}
			if err := json.Unmarshal(m.Payload(), &e.Payload); err != nil {
				c.t.Errorf("on %s: %v", m.Topic(), err)
			}
			h.got <- e
		}).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			near, far := net.Pipe()
			go c.Broker().ServeConn(far)
			return near, nil
		})
	h.Client = mqtt.NewClient(o)
	tok := h.Connect()
	if !tok.WaitTimeout(15 * time.Second) {
		c.t.Fatal("no CONNACK in 15 s")
	}
	return h, tok.Error()
}

// hear signs in and subscribes.
func (c *cloud) hear(k broker.AccessKey, filters ...string) *hearer {
	c.t.Helper()
	h, err := c.apply(k)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range filters {
		if code := h.subscribe(f); code != 1 {
			c.t.Fatalf("SUBACK of %s is %#x", f, code)
		}
	}
	return h
}

func (h *hearer) subscribe(filter string) byte {
	h.t.Helper()
	tok := h.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	if !tok.WaitTimeout(15 * time.Second) {
		h.t.Fatal("no SUBACK in 15 s")
	}
	return tok.Result()[filter]
}

func (h *hearer) await(n int) []told {
	h.t.Helper()
	var got []told
	for len(got) < n {
		select {
		case e := <-h.got:
			delete(e.Payload, "messageCreateTime")
			delete(e.Payload, "taskId")
			got = append(got, e)
		case err := <-h.lost:
			h.t.Fatalf("the connection has ended: %v", err)
		case <-time.After(15 * time.Second):
			h.t.Fatalf("%d events in 15 s, want %d: %+v", len(got), n, got)
		}
	}
	return got
}

var mine = broker.AccessKey{ID: testKey.ID, Secret: testKey.Secret, Account: testKey.Account}

func (c *cloud) addKey(id, account string) broker.AccessKey {
	c.t.Helper()
	if err := c.store.AddKey(c.t.Context(), store.AccessKey{ID: id, Secret: "s-" + id, Account: account, Role: "read-only"}); err != nil {
		c.t.Fatal(err)
	}
	return broker.AccessKey{ID: id, Secret: "s-" + id, Account: account}
}

// TestApplication: an application hears of a whole update over MQTT, in order and
// without a webhook; a version reported again is no event; another account's
// application hears of its own product only, and nothing is left in the store.
func TestApplication(t *testing.T) {
	c := open(t, t.TempDir()).run()
	defer c.stop()
	p := c.fill("d1")
	foreign := c.do(simulator.CreateProduct{Account: "others", Name: "lamp"}).(simulator.Product).Key
	c.do(simulator.RegisterDevices{Product: foreign, Names: []string{"x"}})
	h := c.hear(mine, "/"+c.product+"/+/ota/#", "/+/d1/ota/upgrade", "/+/+/+/ota/job/status") // the first two overlap
	defer h.Disconnect(0)
	o := c.hear(c.addKey("reader", "others"), "/+/+/ota/#", "/+/+/+/ota/#")
	defer o.Disconnect(0)
	for _, f := range []string{"/" + c.product + "/+/ota/#", "/" + c.product + "/d1/ota/upgrade", "/nothing/+/ota/#", "#", ota.TopicUpgrade.Of(ota.Device{ProductKey: foreign, Name: "x"})} {
		if code := o.subscribe(f); code != 0x80 {
			t.Errorf("SUBACK of %s is %#x", f, code)
		}
	}

	d := c.connect("d1")
	defer d.off()
	d.inform("1.0")
	d.inform("1.0")
	j := c.batch(p, nil)
	d.notice()
	d.progress(-1)
	c.batch(p, nil)
	d.notice()
	d.inform("2.0")
	got := h.await(8)

	device := c.do(simulator.FindDevice{Product: c.product, Name: "d1"}).(simulator.Device)
	name := device.IotID()
	version := map[string]any{"iotId": name, "productKey": c.product, "deviceName": "d1", "moduleName": "default", "moduleVersion": "1.0"}
	failed := map[string]any{"iotId": name, "productKey": c.product, "deviceName": "d1", "status": "FAILED", "srcVersion": "1.0", "destVersion": "2.0", "desc": "-1: why", "jobId": j.ID}
	status := "/" + c.product + "/" + p.ID + "/" + j.ID + "/ota/job/status"
	want := []told{
		{Topic: "/" + c.product + "/d1/ota/version/post", Payload: version},
		{Topic: status, Payload: map[string]any{"productKey": c.product, "jobId": j.ID, "status": "IN_PROGRESS"}},
		{Topic: "/" + c.product + "/d1/ota/upgrade", Payload: failed},
		{Topic: status, Payload: map[string]any{"productKey": c.product, "jobId": j.ID, "status": "COMPLETED"}},
	}
	if diff := cmp.Diff(want, got[:4]); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
	succeeded := 0
	for _, e := range got[4:] {
		if e.Topic == "/"+c.product+"/d1/ota/upgrade" && e.Payload["status"] == "SUCCEEDED" && e.Payload["destVersion"] == "2.0" {
			succeeded++
		}
	}
	if succeeded != 1 {
		t.Errorf("told of %d successes: %+v", succeeded, got[4:])
	}

	c.product = foreign
	x := c.connect("x")
	defer x.off()
	x.inform("7")
	if e := o.await(1)[0]; e.Topic != "/"+foreign+"/x/ota/version/post" { // its first: it has heard nothing before
		t.Errorf("told on %s", e.Topic)
	}
	if len(h.got) != 0 {
		t.Errorf("told of another account's, or twice: %+v", <-h.got)
	}
	if n, err := c.store.Queued(t.Context()); err != nil || n != 0 {
		t.Errorf("%d events wait in the store for a webhook that is not there, %v", n, err)
	}
	if !d.IsConnected() || !h.IsConnected() {
		t.Error("somebody lost the connection")
	}
}

// TestApplicationKeys: keys count at sign-in as they do for the API, and one that is
// removed hears nothing more.
func TestApplicationKeys(t *testing.T) {
	c := open(t, t.TempDir()).run()
	defer c.stop()
	c.fill("d1")
	k := c.addKey("second", "me")
	for _, wrong := range []broker.AccessKey{{ID: k.ID, Secret: "other"}, {ID: "stranger", Secret: k.Secret}, {ID: "stranger"}} {
		if h, err := c.apply(wrong); err == nil {
			h.Disconnect(0)
			t.Errorf("%+v is let in", wrong)
		}
	}
	h := c.hear(k, "/+/+/ota/#")
	stays := c.hear(mine, "/+/+/ota/#")
	defer stays.Disconnect(0)
	if err := c.store.RemoveKey(t.Context(), k.ID, 1); err != nil {
		t.Fatal(err)
	}
	d := c.connect("d1")
	defer d.off()
	d.inform("1.0")
	stays.await(1)
	select {
	case <-h.lost:
	case <-time.After(15 * time.Second):
		t.Fatal("its key is removed and it is connected")
	}
	if len(h.got) != 0 {
		t.Errorf("its key was removed, and it is told %+v", <-h.got)
	}
	if h, err := c.apply(k); err == nil {
		h.Disconnect(0)
		t.Error("the removed key is let in")
	}
}

// TestApplicationBesideWebhook: both are told the same.
func TestApplicationBesideWebhook(t *testing.T) {
	r := newReceiver(t)
	c := openHooked(t, t.TempDir(), r.URL).run()
	defer c.stop()
	c.fill("d1")
	h := c.hear(mine, "/+/+/ota/version/post")
	defer h.Disconnect(0)
	d := c.connect("d1")
	defer d.off()
	d.inform("1.0")
	a, b := h.await(1)[0], r.await(1)[0]
	delete(b.Payload, "messageCreateTime")
	if diff := cmp.Diff(told{ID: 1, Topic: a.Topic, Time: b.Time, Payload: a.Payload}, b); diff != "" {
		t.Errorf("(-MQTT +webhook):\n%s", diff)
	}
}
