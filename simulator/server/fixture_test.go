package server

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// cloud is a whole server on a real directory, with one product.
type cloud struct {
	*Server
	t       *testing.T
	dir     string
	product string
	cancel  context.CancelFunc
	ended   chan error
}

var testKey = openapi.Key{ID: "id", Secret: "secret", Account: "me"}

// open makes the server without running it.
func open(t *testing.T, dir string) *cloud {
	t.Helper()
	s, err := New(t.Context(), Config{Dir: dir, PublicURL: "http://cloud.test", AccessKey: testKey, MaxPushRate: simulator.Unlimited})
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{Server: s, t: t, dir: dir, ended: make(chan error, 1)}
}

// run runs it without listeners; devices come in over net.Pipe.
func (c *cloud) run() *cloud {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() { c.ended <- c.Run(ctx, nil, nil) }()
	return c
}

// stop stops it as SIGTERM does.
func (c *cloud) stop() {
	c.t.Helper()
	c.cancel()
	if err := <-c.ended; err != nil {
		c.t.Errorf("the server ended with %v", err)
	}
	if err := c.Close(); err != nil {
		c.t.Error(err)
	}
}

func (c *cloud) do(cmd simulator.Command) any {
	c.t.Helper()
	v, err := c.Do(c.t.Context(), cmd)
	if err != nil {
		c.t.Fatalf("%T: %v", cmd, err)
	}
	return v
}

// fill registers a product, devices and a full package of version 2.0.
func (c *cloud) fill(names ...string) simulator.Package {
	c.t.Helper()
	c.product = c.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product).Key
	c.do(simulator.RegisterDevices{Product: c.product, Names: names})
	u, err := c.files.NewUpload(time.Now(), ".bin")
	if err != nil {
		c.t.Fatal(err)
	}
	id, _, _ := strings.Cut(u.Key[strings.LastIndexByte(u.Key, '/')+1:], ".")
	return c.do(simulator.CreatePackage{
		Product: c.product, Name: "fw", Version: "2.0", SignMethod: ota.MD5, UDI: `{"a":1}`,
		Files: []simulator.File{{Name: "fw.bin", Key: id, Size: 10, MD5: strings.Repeat("ab", 16)}},
	}).(simulator.Package)
}

func (c *cloud) batch(p simulator.Package, edit func(*simulator.CreateStaticJob)) simulator.Job {
	c.t.Helper()
	cmd := simulator.CreateStaticJob{Package: p.ID, Target: simulator.TargetAll}
	if edit != nil {
		edit(&cmd)
	}
	return c.do(cmd).(simulator.Job)
}

func (c *cloud) counts(j simulator.Job) simulator.Counts {
	return c.do(simulator.FindJob{Job: j.ID}).(simulator.Job).Counts
}

func (c *cloud) wantCounts(j simulator.Job, want simulator.Counts) {
	c.t.Helper()
	if got := c.counts(j); got != want {
		c.t.Errorf("job has %+v, want %+v", got, want)
	}
}

// message is what a device received.
type message struct {
	topic   string
	payload []byte
}

// device is a real paho client of the server, connected over net.Pipe.
type device struct {
	mqtt.Client
	t   *testing.T
	dev ota.Device
	got chan message
}

// connect signs a device in. With no subscription its messages arrive all the same.
func (c *cloud) connect(name string) *device {
	c.t.Helper()
	return c.dial(name, func() (net.Conn, error) {
		near, far := net.Pipe()
		go c.Broker().ServeConn(far)
		return near, nil
	})
}

func (c *cloud) dial(name string, dial func() (net.Conn, error)) *device {
	c.t.Helper()
	dev := c.do(simulator.FindDevice{Product: c.product, Name: name}).(simulator.Device)
	login, err := ota.Credentials{Device: dev.Device, Secret: dev.Secret}.Login()
	if err != nil {
		c.t.Fatal(err)
	}
	d := &device{t: c.t, dev: dev.Device, got: make(chan message, 2000)}
	receive := func(_ mqtt.Client, m mqtt.Message) { d.got <- message{m.Topic(), m.Payload()} }
	o := mqtt.NewClientOptions().AddBroker("tcp://cloud.test:1883").SetProtocolVersion(4).
		SetClientID(login.ClientID).SetUsername(login.Username).SetPassword(login.Password).
		SetAutoReconnect(false).SetWriteTimeout(10 * time.Second).SetKeepAlive(10 * time.Minute).
		SetDefaultPublishHandler(receive).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return dial() })
	d.Client = mqtt.NewClient(o)
	d.await(d.Connect())
	return d
}

func (d *device) await(tok mqtt.Token) {
	d.t.Helper()
	if !tok.WaitTimeout(30 * time.Second) {
		d.t.Fatal("no answer of the broker in 30 s")
	}
	if err := tok.Error(); err != nil {
		d.t.Fatal(err)
	}
}

// publish returns when the message was acknowledged, and so stored.
func (d *device) publish(kind ota.TopicKind, payload []byte) {
	d.t.Helper()
	d.await(d.Publish(kind.Of(d.dev), 1, false, payload))
}

func (d *device) inform(version string) {
	d.t.Helper()
	d.publish(ota.TopicInform, ota.Inform{ID: "1", Version: version}.Encode())
}

func (d *device) progress(step ota.Step) {
	d.t.Helper()
	d.publish(ota.TopicProgress, ota.Progress{ID: "1", Step: step, Desc: "why"}.Encode())
}

// notice waits for a notice and reads it.
func (d *device) notice() ota.Notice {
	d.t.Helper()
	select {
	case m := <-d.got:
		n, _, err := ota.DecodeNotice(m.payload)
		if err != nil {
			d.t.Fatalf("on %s: %s: %v", m.topic, m.payload, err)
		}
		return n
	case <-time.After(20 * time.Second):
		d.t.Fatal("no notice within 20 s")
	}
	return ota.Notice{}
}

// nothing fails when the device has got something; in a bubble only.
func (d *device) nothing() {
	d.t.Helper()
	synctest.Wait()
	select {
	case m := <-d.got:
		d.t.Errorf("unexpected on %s: %s", m.topic, m.payload)
	default:
	}
}

func (d *device) off() { d.Disconnect(100) }
