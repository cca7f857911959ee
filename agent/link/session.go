package link

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/leapslot/ota"
)

// session is one connection, from its sign-in to its end.
type session struct {
	client mqtt.Client
	conn   *guarded      // set by open, in the library's goroutine, before the token of Connect is done
	keep   func() bool   // ends the watch that closes conn together with the context of connect
	ended  chan error    // of capacity 1: why it ended
	ready  chan struct{} // closed when the news of the connection is queued: messages come after it
	done   chan struct{} // closed when it is over for those who send

	out          chan outgoing // to the writer
	posts        chan outgoing
	unanswered   atomic.Int32
	writerExited chan struct{}
}

// outgoing is a message for the writer, which answers with the library's token.
type outgoing struct {
	topic   string
	payload []byte
	token   chan mqtt.Token // of capacity 1; nil for a message that nobody waits for
}

// connect signs in once. The error is why it failed, or the refusal.
func (l *Link) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	login, err := l.cfg.Sign(ctx, l.cfg.Credentials)
	if err != nil {
		return nil, err
	}
	s := &session{
		ended: make(chan error, 1), ready: make(chan struct{}), done: make(chan struct{}), writerExited: make(chan struct{}),
		out: make(chan outgoing), posts: make(chan outgoing, maxPosts),
	}
	s.client = mqtt.NewClient(l.options(login, s, func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		conn, err := l.dialer.open(ctx, l.to)
		if err != nil {
			return nil, err
		}
		g := guard(conn)
		// Dialling obeys the context by itself, the wait for CONNACK does not.
		s.conn, s.keep = g, context.AfterFunc(ctx, func() { g.Close() })
		return g, nil
	}))
	token := s.client.Connect()
	<-token.Done()
	if s.keep != nil {
		s.keep()
	}
	if err := token.Error(); err != nil {
		if ctx.Err() != nil {
			return nil, explain(0, context.Cause(ctx))
		}
		var code byte
		if t, ok := token.(*mqtt.ConnectToken); ok {
			code = t.ReturnCode()
		}
		return nil, explain(code, err)
	}
	return s, nil
}

// options are those of one attempt. The library must not reconnect: its pauses
// have no jitter and cannot be ended, and each attempt wants a signature of its
// own. Without OrderMatters two notices might change places; with it a slow handler
// would stop the connection, so ours only queues.
func (l *Link) options(login ota.Login, s *session, open mqtt.OpenConnectionFunc) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().
		AddBroker("tcp://" + l.to.host).
		SetClientID(login.ClientID).SetUsername(login.Username).SetPassword(login.Password).
		SetProtocolVersion(4). // else every refusal is tried again as MQTT 3.1
		SetCleanSession(true).
		SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true).
		SetKeepAlive(l.cfg.KeepAlive).SetPingTimeout(pingTimeout).
		SetConnectTimeout(2 * connectTimeout). // the context of connect is first
		SetWriteTimeout(writeTimeout).
		SetStore(mqtt.NewMemoryStore()).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { l.receive(s, m) }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.end(explain(0, err)) }).
		SetCustomOpenConnectionFn(open)
}

// receive takes a message of the broker. But for a moment at the beginning it only
// queues: a handler that blocks would stop the library.
func (l *Link) receive(s *session, m mqtt.Message) {
	select {
	case <-s.ready:
	case <-s.conn.done:
		return
	}
	kind, device, ok := ota.ParseTopic(m.Topic())
	if ok && l.gateway.receive(kind, device, m.Payload()) {
		return
	}
	if !ok || device != l.device || !kind.Down() {
		l.cfg.Log.Debug("a message on a topic that is none of this device's was ignored", "topic", m.Topic())
		return
	}
	if len(m.Payload()) > ota.MaxMessageLen {
		l.cfg.Log.Warn("a message that is too long was ignored", "topic", m.Topic(), "bytes", len(m.Payload()))
		return
	}
	if kind == ota.TopicDownloadReply {
		// Not queued: there, blocks would push notices out, and nobody who waits
		// for a block reads that queue.
		if err := l.blocks.deliver(m.Payload()); err != nil {
			l.cfg.Log.Debug("a block was ignored", "why", err)
		}
		return
	}
	l.queue.add(ota.Event{Kind: kind, Payload: m.Payload()})
}

// end notes why the connection ended; the first reason counts.
func (s *session) end(why error) {
	select {
	case s.ended <- why:
	default:
	}
}

// serve lets the connection work until it is lost or the context ends, and
// gives the reason.
func (l *Link) serve(ctx context.Context, s *session) error {
	go s.write(l.filters())
	l.use(s)
	l.queue.add(ota.Event{})
	l.gateway.connected()
	close(s.ready)
	why := s.wait(ctx)
	l.use(nil)
	close(s.done)
	s.stop()
	return why
}

func (s *session) wait(ctx context.Context) error {
	select {
	case why := <-s.ended:
		return why
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.conn.done: // the library closed it, and mostly says why at once
	}
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case why := <-s.ended:
		return why
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return errors.New("the connection was closed")
	}
}

// stop takes leave where there is still a connection, and ends it. A writer
// that the library holds ends with its write timeout at the latest.
func (s *session) stop() {
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case <-s.writerExited:
	case <-t.C:
	}
	s.client.Disconnect(uint(quiesce.Milliseconds()))
	s.conn.Close()
}

func (l *Link) filters() map[string]byte {
	filters := map[string]byte{}
	for _, kind := range ota.DownTopics() {
		filters[kind.Of(l.device)] = 1
	}
	l.gateway.filters(filters)
	return filters
}

// write is the one goroutine that publishes: the library may hold it for the
// write timeout, and nobody else must wait for that. It subscribes first,
// though the platform delivers without.
func (s *session) write(filters map[string]byte) {
	defer close(s.writerExited)
	s.client.SubscribeMultiple(filters, nil)
	for {
		select {
		case <-s.done:
			return
		case m := <-s.out:
			s.flush() // an older percentage must not arrive after a final step
			m.token <- s.client.Publish(m.topic, 1, false, m.payload)
		case m := <-s.posts:
			s.client.Publish(m.topic, 0, false, m.payload)
		}
	}
}

// flush writes the posts that wait.
func (s *session) flush() {
	for range maxPosts {
		select {
		case m := <-s.posts:
			s.client.Publish(m.topic, 0, false, m.payload)
		default:
			return
		}
	}
}
