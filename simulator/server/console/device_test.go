package console_test

import (
	"net"
	"net/url"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// device is a real MQTT client of the server, connected over a pipe.
type device struct {
	mqtt.Client
	t   *testing.T
	dev ota.Device
	got chan mqtt.Message
}

// connect signs a device in.
func (w *world) connect(d ota.Device) *device {
	w.t.Helper()
	known := w.cmd(simulator.FindDevice{Product: d.ProductKey, Name: d.Name}).(simulator.Device)
	login, err := ota.Credentials{Device: d, Secret: known.Secret}.Login()
	if err != nil {
		w.t.Fatal(err)
	}
	out := &device{t: w.t, dev: d, got: make(chan mqtt.Message, 100)}
	out.Client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://cloud.test:1883").SetProtocolVersion(4).
		SetClientID(login.ClientID).SetUsername(login.Username).SetPassword(login.Password).
		SetAutoReconnect(false).SetOrderMatters(false).SetKeepAlive(time.Minute).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { out.got <- m }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			near, far := net.Pipe()
			go w.server.Broker().ServeConn(far)
			return near, nil
		}))
	out.await(out.Connect())
	w.t.Cleanup(func() { out.Disconnect(0) })
	return out
}

func (d *device) await(tok mqtt.Token) {
	d.t.Helper()
	if !tok.WaitTimeout(20*time.Second) || tok.Error() != nil {
		d.t.Fatalf("no answer of the broker: %v", tok.Error())
	}
}

// publish returns when the message was acknowledged, and so stored.
func (d *device) publish(kind ota.TopicKind, payload string) {
	d.t.Helper()
	d.await(d.Publish(kind.Of(d.dev), 1, false, payload))
}

// receive waits for a message.
func (d *device) receive() mqtt.Message {
	d.t.Helper()
	select {
	case m := <-d.got:
		return m
	case <-time.After(20 * time.Second):
		d.t.Fatal("no message within 20 s")
		return nil
	}
}

// fails has a device fail its update.
func (w *world) fails(dev ota.Device) {
	w.t.Helper()
	d := w.connect(dev)
	d.receive()
	d.publish(ota.TopicProgress, `{"id":"1","params":{"step":"-1","desc":"no power"}}`)
}
