package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"go.uber.org/goleak"

	"github.com/leapslot/ota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const wait = 5 * time.Second

// city is a Directory and a Sink for tests.
type city struct {
	mu      sync.Mutex
	secrets map[ota.Device]string
	errs    map[ota.Device]error
	events  []string
	grew    chan struct{}
	uplink  func(ota.Device) // nil, or called in Uplink
	leaving func(ota.Device) // nil, or called in Offline
}

func newCity(devices ...ota.Device) *city {
	c := &city{secrets: map[ota.Device]string{}, errs: map[ota.Device]error{}, grew: make(chan struct{}, 1)}
	for _, d := range devices {
		c.secrets[d] = secretOf(d)
	}
	return c
}

func secretOf(d ota.Device) string { return "secret-of-" + d.Name }

func (c *city) Secret(_ context.Context, d ota.Device) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.errs[d]; err != nil {
		return "", err
	}
	if s, ok := c.secrets[d]; ok {
		return s, nil
	}
	return "", fmt.Errorf("%s: %w", d, ErrUnknown)
}

func (c *city) note(format string, args ...any) {
	c.mu.Lock()
	c.events = append(c.events, fmt.Sprintf(format, args...))
	c.mu.Unlock()
	select {
	case c.grew <- struct{}{}:
	default:
	}
}

func (c *city) Online(d ota.Device) { c.note("online %s", d.Name) }
func (c *city) Offline(d ota.Device) {
	if c.leaving != nil {
		c.leaving(d)
	}
	c.note("offline %s", d.Name)
}
func (c *city) Uplink(d ota.Device, k ota.TopicKind, p []byte) {
	if c.uplink != nil {
		c.uplink(d)
	}
	c.note("uplink %s %d %s", d.Name, k, p)
}

func (c *city) log() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.events, "; ")
}

// await waits until the events are those of want.
func (c *city) await(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(wait)
	for c.log() != want {
		select {
		case <-c.grew:
		case <-deadline:
			t.Fatalf("events:\n got %q\nwant %q", c.log(), want)
		}
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(wait); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", wait, what)
		}
	}
}

// start runs a broker on a loopback port for the time of the test.
func start(t testing.TB, c *city, change ...func(*Config)) (*Broker, string) {
	t.Helper()
	b := newBroker(t, c, change...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(t, b, func() error { return b.Serve(l) })
	return b, l.Addr().String()
}

func newBroker(t testing.TB, c *city, change ...func(*Config)) *Broker {
	t.Helper()
	cfg := Config{Directory: c, Sink: c}
	for _, f := range change {
		f(&cfg)
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func run(t testing.TB, b *Broker, serve func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	t.Cleanup(func() {
		b.Close()
		if err := <-ended; err != ErrClosed {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
	})
}

var (
	lamp  = ota.Device{ProductKey: "a1", Name: "lamp"}
	other = ota.Device{ProductKey: "a1", Name: "lamp2"}
)

// login is how d signs in, with a client id of its own.
func login(t testing.TB, d ota.Device, id string) ota.Login {
	t.Helper()
	l, err := ota.Credentials{Device: d, Secret: secretOf(d), ClientID: id}.Login()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func options4(addr string, l ota.Login) *paho.ClientOptions {
	return paho.NewClientOptions().AddBroker(addr).SetProtocolVersion(4).
		SetClientID(l.ClientID).SetUsername(l.Username).SetPassword(l.Password).
		SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(false).SetConnectTimeout(wait).
		SetKeepAlive(60 * time.Second)
}

func dial(t testing.TB, addr string, d ota.Device, change ...func(*paho.ClientOptions)) paho.Client {
	t.Helper()
	o := options4("tcp://"+addr, login(t, d, ""))
	for _, f := range change {
		f(o)
	}
	c := paho.NewClient(o)
	if err := settle(c.Connect()); err != nil {
		t.Fatalf("connect %s: %v", d, err)
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func settle(tok paho.Token) error {
	if !tok.WaitTimeout(wait) {
		return fmt.Errorf("no answer in %v", wait)
	}
	return tok.Error()
}

// inbox collects what reaches a paho client.
func inbox() (chan paho.Message, func(*paho.ClientOptions)) {
	ch := make(chan paho.Message, 1000)
	return ch, func(o *paho.ClientOptions) {
		o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { ch <- m })
	}
}

func receive(t *testing.T, ch chan paho.Message) paho.Message {
	t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(wait):
		t.Fatal("no message")
		return nil
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// What paho says to each CONNACK; errAny is any error, such as that of a handshake.
var (
	errCode2 = packets.ErrorRefusedIDRejected
	errCode3 = packets.ErrorRefusedServerUnavailable
	errCode4 = packets.ErrorRefusedBadUsernameOrPassword
	errCode5 = packets.ErrorRefusedNotAuthorised
	errAny   = errors.New("any error")
)

// pipes gives the two ends of a connection.
func pipes() (near, far net.Conn) { return net.Pipe() }
