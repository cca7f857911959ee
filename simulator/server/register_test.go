package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
)

// door is the cloud's TLS side, with an authority for its devices.
type door struct {
	*cloud
	config *tls.Config
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
}

func newDoor(c *cloud) *door {
	d := &door{cloud: c}
	d.key = d.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(48 * time.Hour),
		Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
	}
	self := d.sign(template, template, d.key)
	d.ca, _ = x509.ParseCertificate(self.Certificate[0])
	pool := x509.NewCertPool()
	pool.AddCert(d.ca)
	config, err := broker.TLSOptions{Certificate: self, DeviceCAs: pool}.Config()
	if err != nil {
		c.t.Fatal(err)
	}
	d.config = config
	return d
}

func (d *door) newKey() *ecdsa.PrivateKey {
	d.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	return key
}

func (d *door) sign(c, parent *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	d.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, d.key)
	if err != nil {
		d.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// issue makes a device's certificate.
func (d *door) issue(name string) tls.Certificate {
	return d.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now(), NotAfter: time.Now().Add(24 * time.Hour),
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, d.ca, d.newKey())
}

// enter connects over TLS and net.Pipe. The device's messages go to got.
func (d *door) enter(l ota.Login, got chan message, certs ...tls.Certificate) (mqtt.Client, error) {
	d.t.Helper()
	o := mqtt.NewClientOptions().AddBroker("tcp://cloud.test:8883").SetProtocolVersion(4).
		SetClientID(l.ClientID).SetUsername(l.Username).SetPassword(l.Password).
		SetAutoReconnect(false).SetOrderMatters(false).SetKeepAlive(10 * time.Minute).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- message{m.Topic(), m.Payload()} }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			near, far := net.Pipe()
			go d.Broker().ServeConn(tls.Server(far, d.config))
			return tls.Client(near, &tls.Config{InsecureSkipVerify: true, Certificates: certs}), nil
		})
	c := mqtt.NewClient(o)
	tok := c.Connect()
	if !tok.WaitTimeout(30 * time.Second) {
		d.t.Fatal("no answer of the broker in 30 s")
	}
	return c, tok.Error()
}

// register registers a device and gives what it gets.
func (d *door) register(name string, fresh bool) (ota.Registered, error) {
	d.t.Helper()
	p := d.do(simulator.FindProduct{Product: d.product}).(simulator.Product)
	l, err := ota.Registration{Device: ota.Device{ProductKey: p.Key, Name: name}, ProductSecret: p.Secret, Random: "1", New: fresh}.Login()
	if err != nil {
		d.t.Fatal(err)
	}
	got := make(chan message, 1)
	c, err := d.enter(l, got)
	if err != nil {
		return ota.Registered{}, err
	}
	defer c.Disconnect(100)
	m := <-got
	if m.topic != "/ext/register" {
		d.t.Errorf("on %s: %s", m.topic, m.payload)
	}
	return ota.DecodeRegistered(m.payload)
}

// Dynamic registration to the end: the product's switch, the secret without a
// SUBSCRIBE, the first sign-in with it, and no secret after that.
func TestDynamicRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		p := c.fill("d1")
		d := newDoor(c)
		if _, err := d.register("d1", false); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("by default: %v", err)
		}
		c.do(simulator.SetRules{Product: c.product, Rules: simulator.Rules{Registration: true}})
		first, err := d.register("d1", false)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := d.register("d1", false); err != nil || again != first { // the answer was lost, say
			t.Errorf("%+v, %v", again, err)
		}
		if _, err := d.register("d2", false); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("not registered before: %v", err)
		}
		if _, err := d.register("d1", true); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("the other way: %v", err)
		}
		l, err := ota.Credentials{Device: first.Device, Secret: first.Secret, TLS: true}.Login()
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan message, 9)
		dev, err := d.enter(l, got)
		if err != nil {
			t.Fatal(err)
		}
		c.batch(p, nil)
		if m := <-got; m.topic != ota.TopicUpgrade.Of(first.Device) {
			t.Errorf("on %s: %s", m.topic, m.payload)
		}
		dev.Disconnect(100)
		product := c.product
		c.stop()
		c = open(t, dir).run() // the switch and the end of the secret are stored
		defer c.stop()
		c.product, d.cloud = product, c
		if _, err := d.register("d1", false); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("after the first sign-in: %v", err)
		}
	})
}

// Without pre-registration: the device is there afterwards, and signs in with its token,
// also after a restart, until it is disabled.
func TestRegistrationWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		c.fill("d1")
		d := newDoor(c)
		c.do(simulator.SetRules{Product: c.product, Rules: simulator.Rules{NewRegistration: true}})
		r, err := d.register("new", true)
		if err != nil || r.Secret != "" || r.Token == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		product := c.product
		c.stop()
		c = open(t, dir).run()
		defer c.stop()
		c.product, d.cloud = product, c
		l, err := r.Login()
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan message, 1)
		dev, err := d.enter(l, got)
		if err != nil {
			t.Fatal(err)
		}
		dev.Disconnect(100)
		bad := l
		bad.Password = strings.Repeat("0", len(l.Password))
		if _, err := d.enter(bad, got); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("a wrong token: %v", err)
		}
		other := l
		other.Username = "d1&" + c.product
		if _, err := d.enter(other, got); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("another's token: %v", err)
		}
		if _, err := d.register("new", true); !errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
			t.Errorf("registered twice: %v", err)
		}
		c.do(simulator.SetDeviceDisabled{Product: c.product, Name: "new", Disabled: true})
		if _, err := d.enter(l, got); !errors.Is(err, packets.ErrorRefusedNotAuthorised) {
			t.Errorf("disabled: %v", err)
		}
	})
}

// X.509: a device that knows nothing of itself is told its names, and gets its notice on
// the same connection; later it signs in with its names and no password.
func TestX509SignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := newDoor(c)
		cert := d.issue("d1&" + c.product)
		j := c.batch(p, nil)
		got := make(chan message, 9)
		dev, err := d.enter(ota.Login{}, got, cert)
		if err != nil {
			t.Fatal(err)
		}
		m := <-got
		r, err := ota.DecodeRegistered(m.payload)
		if err != nil || m.topic != "/ext/auth/identity/response" || r != (ota.Registered{Device: ota.Device{ProductKey: c.product, Name: "d1"}}) {
			t.Fatalf("on %s: %s, %v", m.topic, m.payload, err)
		}
		if m := <-got; m.topic != ota.TopicUpgrade.Of(r.Device) {
			t.Errorf("on %s: %s", m.topic, m.payload)
		}
		dev.Disconnect(100)
		later := ota.Login{ClientID: "d1|securemode=2,signmethod=hmacsha256,timestamp=1|", Username: "d1&" + c.product}
		if dev, err = d.enter(later, got, cert); err != nil {
			t.Fatal(err)
		}
		<-got // the notice again
		tok := dev.Publish(ota.TopicInform.Of(r.Device), 1, false, ota.Inform{ID: "1", Version: "2.0"}.Encode())
		if !tok.WaitTimeout(time.Minute) || tok.Error() != nil {
			t.Error(tok.Error())
		}
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
		dev.Disconnect(100)
		time.Sleep(25 * time.Hour)
		if _, err := d.enter(later, got, cert); err == nil {
			t.Error("an expired certificate")
		}
		c.do(simulator.SetDeviceDisabled{Product: c.product, Name: "d1", Disabled: true})
		if _, err := d.enter(later, got, d.issue("d1&"+c.product)); !errors.Is(err, packets.ErrorRefusedNotAuthorised) {
			t.Errorf("disabled: %v", err)
		}
	})
}
