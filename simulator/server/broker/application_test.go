package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// bureau is an Applications for tests: one key, and the product a1 is its account's.
type bureau struct{ key AccessKey }

var clerk = AccessKey{ID: "clerk", Secret: "pencil", Account: "me"}

func (o bureau) AccessKey(_ context.Context, id string) (AccessKey, error) {
	if id != o.key.ID {
		return AccessKey{}, fmt.Errorf("%s: %w", id, ErrUnknown)
	}
	return o.key, nil
}

func (o bureau) Owns(_ context.Context, account, product string) bool {
	return account == o.key.Account && product == "a1"
}

func staffed(c *Config) { c.Applications = bureau{clerk} }

func appID(id, more string) string {
	return id + "|authMode=accesskey,signmethod=hmacsha256,timestamp=1" + more + "|"
}

func appLogin() ota.Login {
	return ota.Login{ClientID: appID("app", ""), Username: clerk.ID, Password: clerk.Sign("app", "1")}
}

// TestApplicationSignIn: only what is signed with the key's secret is let in, and no more
// connections of a key than allowed; none of them costs another its place.
func TestApplicationSignIn(t *testing.T) {
	b, addr := start(t, newCity(), staffed)
	connect := func(l ota.Login, keepAlive time.Duration) (paho.Client, error) {
		c := paho.NewClient(options4("tcp://"+addr, l).SetKeepAlive(keepAlive))
		t.Cleanup(func() { c.Disconnect(0) })
		return c, settle(c.Connect())
	}
	for name, tt := range map[string]struct {
		edit func(*ota.Login)
		want error
	}{
		"another password":   {func(l *ota.Login) { l.Password = clerk.Sign("app", "2") }, errCode4},
		"another id":         {func(l *ota.Login) { l.ClientID = appID("app2", "") }, errCode4},
		"no hexadecimal":     {func(l *ota.Login) { l.Password = "pencil" }, errCode4},
		"an unknown key":     {func(l *ota.Login) { l.Username = "stranger" }, errCode4},
		"an empty secret":    {func(l *ota.Login) { l.Username = "stranger"; l.Password = AccessKey{}.Sign("app", "1") }, errCode4},
		"another signmethod": {func(l *ota.Login) { l.ClientID = appID("app", ",signmethod=hmacsha1") }, errCode4},
		"a device's name":    {func(l *ota.Login) { l.Username = "lamp&a1" }, errCode4},
		"no time":            {func(l *ota.Login) { l.ClientID = "app|authMode=accesskey,signmethod=hmacsha256|" }, errCode2},
		"no digits":          {func(l *ota.Login) { l.ClientID = appID("app", "x") }, errCode2},
		"a long time":        {func(l *ota.Login) { l.ClientID = appID("app", strings.Repeat("0", maxTimeLen)) }, errCode2},
		"a long id":          {func(l *ota.Login) { l.ClientID = appID(strings.Repeat("i", 65), "") }, errCode2},
		"no id":              {func(l *ota.Login) { l.ClientID = appID("", "") }, errCode2},
		"a long key":         {func(l *ota.Login) { l.Username = strings.Repeat("k", maxKeyIDLen+1) }, errCode2},
	} {
		l := appLogin()
		tt.edit(&l)
		if _, err := connect(l, time.Minute); err != tt.want {
			t.Errorf("with %s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := connect(appLogin(), 10*time.Second); err != errCode2 {
		t.Errorf("with a keep-alive of 10 s: %v", err)
	}
	upper := appLogin()
	upper.Password = strings.ToUpper(upper.Password)
	var in []paho.Client
	for range MaxApplications {
		c, err := connect(upper, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, c)
	}
	if _, err := connect(appLogin(), time.Minute); err != errCode3 {
		t.Errorf("one more than allowed: %v", err)
	}
	for i, c := range in {
		if !c.IsConnectionOpen() {
			t.Errorf("connection %d has ended", i)
		}
	}
	in[0].Disconnect(0)
	until(t, "a place is free", func() bool { return len(b.applications()) < MaxApplications })
	if _, err := connect(appLogin(), time.Minute); err != nil {
		t.Error(err)
	}
}

// TestApplicationsNotOffered: without an Applications there are none.
func TestApplicationsNotOffered(t *testing.T) {
	_, addr := start(t, newCity())
	c := paho.NewClient(options4("tcp://"+addr, appLogin()))
	defer c.Disconnect(0)
	if err := settle(c.Connect()); err != errCode4 {
		t.Errorf("%v, want %v", err, errCode4)
	}
}

var eventFilters = map[string]bool{
	"/a1/lamp/ota/upgrade": true, "/a1/+/ota/upgrade": true, "/+/+/ota/upgrade": true, "/a1/+/ota/#": true,
	"/a1/lamp/ota/version/post": true, "/a1/+/ota/version/+": true, "/a1/+/ota/version/#": true, "/a1/+/ota/+": true,
	"/a1/p1/j1/ota/job/status": true, "/+/+/+/ota/job/status": true, "/a1/+/+/ota/#": true,
	"": false, "#": false, "/#": false, "+/+/+": false, "/+/+/#": false, "/a1/#": false, "/a1/+/#": false, "/a1/lamp/+/upgrade": false,
	"/ota/device/upgrade/a1/lamp": false, "/ota/device/upgrade/+/+": false, "/ota/device/+/+/+": false, "/ota/#": false,
	"/sys/a1/lamp/thing/ota/firmware/get": false, "/sys/+/+/thing/#": false, "/a1/lamp/user/update": false, "/a1/lamp/user/#": false,
	"/ext/session/a1/lamp/combine/login": false, "/a1//ota/upgrade": false, "/a1/lamp/ota": false, "/a1/lamp/ota/upgrade/x": false,
	"/a1/l+/ota/upgrade": false, "/a1/lamp/ota/#/x": false, "$share/g/a1/lamp/ota/upgrade": false, "a1/lamp/ota/upgrade": false,
}

func TestEventFilter(t *testing.T) {
	for f, want := range eventFilters {
		if got := eventFilter(f) != nil; got != want {
			t.Errorf("%q is a filter of events: %v, want %v", f, got, want)
		}
	}
}

// FuzzEventFilter: what is taken for a filter of events names a product or +, and does
// not match the topics that devices are told on.
func FuzzEventFilter(f *testing.F) {
	for filter := range eventFilters {
		f.Add(filter)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		levels := eventFilter(filter)
		if levels == nil {
			return
		}
		for _, kind := range ota.DownTopics() {
			if topicFits(levels, strings.Split(kind.Of(lamp), "/")) {
				t.Errorf("%q matches %s", filter, kind.Of(lamp))
			}
		}
		if levels[1] == "" || levels[1] == "#" || len(filter) > ota.MaxTopicLen {
			t.Errorf("%q", filter)
		}
	})
}

// TestApplicationTopics: an application hears once what it has subscribed to, as good as
// it has asked for, and of its own account only; it may not publish.
func TestApplicationTopics(t *testing.T) {
	sink := newCity(lamp)
	b, addr := start(t, sink, staffed)
	ch, into := inbox()
	o := options4("tcp://"+addr, appLogin())
	into(o.SetOrderMatters(true))
	c := paho.NewClient(o)
	defer c.Disconnect(0)
	if err := settle(c.Connect()); err != nil {
		t.Fatal(err)
	}
	subscribe := func(filter string, qos byte) byte {
		t.Helper()
		tok := c.Subscribe(filter, qos, nil).(*paho.SubscribeToken)
		if !tok.WaitTimeout(wait) {
			t.Fatal("no SUBACK")
		}
		return tok.Result()[filter]
	}
	for filter, want := range map[string]byte{
		"/a1/+/ota/#": 1, "/+/lamp/ota/upgrade": 0, "/b2/+/ota/#": 0x80, "#": 0x80,
		ota.TopicUpgrade.Of(lamp): 0x80, "/ota/device/upgrade/+/+": 0x80, "/a1/lamp/user/#": 0x80,
	} {
		if got := subscribe(filter, min(want, 1)); got != want {
			t.Errorf("SUBACK of %s is %#x, want %#x", filter, got, want)
		}
	}
	tell := func(account, topic, text string) { b.Tell(Told{account, topic, []byte(text)}) }
	tell("others", "/a1/lamp/ota/upgrade", "not mine")
	tell("", "/a1/lamp/ota/upgrade", "nobody's")
	tell("me", "/a1/p/j/ota/job/status", "not asked for")
	tell("me", "/a1/lamp/ota/upgrade", "twice matched")
	tell("me", "/b2/lamp/ota/upgrade", "QoS 0")
	for _, want := range []string{"twice matched 1", "QoS 0 0"} {
		m := receive(t, ch)
		if got := fmt.Sprintf("%s %d", m.Payload(), m.Qos()); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	if err := settle(c.Unsubscribe("/a1/+/ota/#")); err != nil {
		t.Fatal(err)
	}
	tell("me", "/a1/lamp/ota/version/post", "no longer asked for")
	tell("me", "/a1/lamp/ota/upgrade", "last")
	if m := receive(t, ch); string(m.Payload()) != "last" {
		t.Errorf("heard %q", m.Payload())
	}
	for i := range MaxSubscriptions + 5 {
		if got, ok := subscribe(fmt.Sprintf("/a1/d%d/ota/upgrade", i), 0), i+1 < MaxSubscriptions; (got == 0) != ok {
			t.Fatalf("SUBACK of subscription %d is %#x", i+2, got)
		}
	}
	if err := settle(c.Publish(ota.TopicInform.Of(lamp), 0, false, "x")); err != nil || !c.IsConnectionOpen() {
		t.Errorf("a message of QoS 0: %v, connected %v", err, c.IsConnectionOpen())
	}
	c.Publish(ota.TopicInform.Of(lamp), 1, false, "x")
	until(t, "a message of QoS 1 ends the connection", func() bool { return !b.HasApplications() })
	if log := sink.log(); log != "" {
		t.Errorf("the sink was told %q", log)
	}
}

// TestApplicationSlow: an application that does not read loses events, and delays neither
// who tells them nor another one.
func TestApplicationSlow(t *testing.T) {
	b := newBroker(t, newCity(), staffed)
	near, far := pipes()
	go b.ServeConn(far)
	defer near.Close()
	near.SetDeadline(time.Now().Add(wait))
	l := appLogin()
	body := appendText(nil, "MQTT")
	body = append(body, 4, flagUsername|flagPassword|2, 0, 60)
	for _, s := range []string{l.ClientID, l.Username, l.Password} {
		body = appendText(body, s)
	}
	sub := append(appendText([]byte{0, 1}, "/+/+/ota/upgrade"), 1)
	say := func(packet []byte, answer int) {
		t.Helper()
		if _, err := near.Write(packet); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(near, make([]byte, answer)); err != nil {
			t.Fatal(err)
		}
	}
	say(append([]byte{0x10, byte(len(body) | 0x80), byte(len(body) >> 7)}, body...), 4)
	say(append([]byte{0x82, byte(len(sub))}, sub...), 5)

	ch, into := inbox()
	o := options4("tcp://broker.test:1", l)
	into(o.SetOrderMatters(true))
	c := overPipe(b, o)
	defer c.Disconnect(0)
	if err := settle(c.Connect()); err != nil {
		t.Fatal(err)
	}
	if err := settle(c.Subscribe("/+/+/ota/upgrade", 1, nil)); err != nil {
		t.Fatal(err)
	}
	const more = 50
	began := time.Now()
	for i := range MaxQueuedEvents + more {
		b.Tell(Told{"me", "/a1/lamp/ota/upgrade", fmt.Append(nil, i)})
		if got := string(receive(t, ch).Payload()); got != fmt.Sprint(i) {
			t.Fatalf("event %d: the other one hears %s", i, got)
		}
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	if got := b.Stats().Dropped; got < more-1 || got > more {
		t.Errorf("%d events were dropped, want the %d that did not fit", got, more)
	}
	if n := len(b.applications()); n != 2 {
		t.Errorf("%d applications are connected, want both", n)
	}
}

// overPipe makes a client that reaches the broker without a socket.
func overPipe(b *Broker, o *paho.ClientOptions) paho.Client {
	return paho.NewClient(o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		near, far := pipes()
		go b.ServeConn(far)
		return near, nil
	}))
}
