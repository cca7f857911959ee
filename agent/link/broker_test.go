package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"github.com/leapslot/ota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "632155d72f983dfe24b43b30c2ed9b2f"

func testDevice() ota.Device { return ota.Device{ProductKey: "a1QR3GD1Db3", Name: "dynamic"} }

func testCredentials() ota.Credentials {
	return ota.Credentials{Device: testDevice(), Secret: secret}
}

// broker is a real one that knows one device.
type broker struct {
	mochi.HookBase
	server *mochi.Server

	mu        sync.Mutex
	secret    string
	logins    []ota.Login
	signedIn  []time.Time
	verdicts  []error
	latest    *mochi.Client
	published []packets.Packet
	// publish, when set, sees each message first; false drops it unacknowledged.
	publish func(cl *mochi.Client) bool
	// answer, when set, is given each message, and runs beside the broker.
	answer func(payload []byte)
}

func (*broker) ID() string { return "test" }

func (*broker) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck || b == mochi.OnPublish
}

func (b *broker) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	login := ota.Login{ClientID: pk.Connect.ClientIdentifier, Username: string(pk.Connect.Username), Password: string(pk.Connect.Password)}
	err := login.Verify(b.secret)
	if !pk.Connect.Clean || pk.ProtocolVersion != 4 || pk.Connect.WillFlag {
		err = packets.ErrMalformedPacket
	}
	b.logins = append(b.logins, login)
	b.signedIn = append(b.signedIn, time.Now())
	b.verdicts = append(b.verdicts, err)
	if err != nil {
		return false
	}
	// As the platform does, whatever the client id. The broker's own way loses
	// count when the old session ends before it is marked as taken over.
	if b.latest != nil {
		b.latest.Stop(packets.ErrSessionTakenOver)
	}
	b.latest = cl
	return true
}

func (b *broker) OnACLCheck(_ *mochi.Client, topic string, _ bool) bool {
	_, d, ok := ota.ParseTopic(topic)
	return ok && d == testDevice()
}

func (b *broker) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cl.Net.Inline {
		return pk, nil
	}
	if b.publish != nil && !b.publish(cl) {
		return pk, packets.ErrRejectPacket
	}
	b.published = append(b.published, pk)
	if b.answer != nil {
		go b.answer(pk.Payload)
	}
	return pk, nil
}

// signIns tells how often the device tried, and what was wrong.
func (b *broker) signIns() ([]time.Time, []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.signedIn), slices.Clone(b.verdicts)
}

// payloads are what the device has published.
func (b *broker) payloads() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, pk := range b.published {
		out = append(out, string(pk.Payload))
	}
	return out
}

func (b *broker) send(t *testing.T, kind ota.TopicKind, payload []byte) {
	t.Helper()
	if err := b.server.Publish(kind.Of(testDevice()), payload, false, 1); err != nil {
		t.Fatal(err)
	}
}

// waitForSubscriber waits until the device has subscribed.
func (b *broker) waitForSubscriber(t *testing.T) {
	t.Helper()
	for range 1000 {
		if len(b.server.Topics.Subscribers(ota.TopicUpgrade.Of(testDevice())).Subscriptions) > 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the device did not subscribe")
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = 1024
	b := &broker{secret: secret}
	b.server = mochi.New(&mochi.Options{
		InlineClient: true, Capabilities: caps, SysTopicResendInterval: 1 << 30,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err := b.server.AddHook(b, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen serves on loopback and gives the address.
func (b *broker) listen(t *testing.T, ws bool, cfg *tls.Config) string {
	t.Helper()
	c := listeners.Config{ID: "t", Address: "127.0.0.1:0", TLSConfig: cfg}
	if ws {
		// This listener does not tell its port.
		free, err := net.Listen("tcp", c.Address)
		if err != nil {
			t.Fatal(err)
		}
		c.Address = free.Addr().String()
		free.Close()
	}
	var l listeners.Listener = listeners.NewTCP(c)
	if ws {
		l = listeners.NewWebsocket(c)
	}
	if err := b.server.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.server.Close() })
	for ws { // this listener does not tell when it listens either
		if conn, err := net.Dial("tcp", c.Address); err == nil {
			conn.Close()
			break
		}
		time.Sleep(time.Millisecond)
	}
	return l.Address()
}

// dial connects over a pipe, in virtual time.
func (b *broker) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() { _ = b.server.EstablishConnection("pipe", there) }()
	return here, nil
}

// virtualBroker is for a synctest bubble.
func virtualBroker(t *testing.T) *broker {
	t.Helper()
	b := newBroker(t)
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.server.Close() })
	return b
}

// run starts a link, and ends it with the test.
func run(t *testing.T, cfg Config) *Link {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = "mqtt://broker.test"
	}
	if cfg.Credentials.Secret == "" {
		cfg.Credentials = testCredentials()
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		began := time.Now()
		cancel()
		<-ended
		if d := time.Since(began); d > time.Second {
			t.Errorf("the link took %v to stop", d)
		}
	})
	return l
}

// next waits for an event.
func next(t *testing.T, l *Link) ota.Event {
	t.Helper()
	timeout := time.NewTimer(30 * time.Minute)
	defer timeout.Stop()
	select {
	case e := <-l.Events():
		return e
	case <-timeout.C:
		t.Fatalf("no event; the last error is %v", l.LastError())
		panic("unreachable")
	}
}

// connected waits for the news of a connection.
func connected(t *testing.T, l *Link) {
	t.Helper()
	if e := next(t, l); e.Kind != 0 || e.Payload != nil {
		t.Fatalf("event %v %q in place of the news of a connection", e.Kind, e.Payload)
	}
	if !l.Connected() {
		t.Error("not connected after the news of a connection")
	}
}

// send is a Send that must succeed.
func send(t *testing.T, l *Link, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := l.Send(ctx, ota.TopicInform, []byte(payload)); err != nil {
		t.Errorf("%s: %v", payload, err)
	}
}

// hole is a connection that can be made to swallow everything, as one does
// whose other end is gone without a word.
type hole struct {
	net.Conn
	mu    sync.Mutex
	open  chan struct{} // closed when the hole opens
	ended chan struct{}
	once  sync.Once
}

func newHole(conn net.Conn) *hole {
	return &hole{Conn: conn, open: make(chan struct{}), ended: make(chan struct{})}
}

func (h *hole) swallow() { close(h.open) }

func (h *hole) Write(p []byte) (int, error) {
	select {
	case <-h.open:
		return len(p), nil
	default:
		return h.Conn.Write(p)
	}
}

func (h *hole) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	select {
	case <-h.open:
		<-h.ended
		return 0, io.EOF
	default:
		return n, err
	}
}

func (h *hole) Close() error {
	h.once.Do(func() { close(h.ended) })
	return h.Conn.Close()
}

func numbered(n int) []byte {
	return append([]byte{byte(n >> 8), byte(n)}, bytes.Repeat([]byte{'x'}, 300)...)
}
