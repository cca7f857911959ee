package broker

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

func TestSignIn(t *testing.T) {
	c := newCity(lamp)
	disabled := ota.Device{ProductKey: "a1", Name: "off"}
	broken := ota.Device{ProductKey: "a1", Name: "broken"}
	c.errs[disabled] = ErrDisabled
	c.errs[broken] = io.ErrUnexpectedEOF
	b, addr := start(t, c)
	good := login(t, lamp, "")
	for _, tt := range []struct {
		name   string
		change func(*ota.Login, *paho.ClientOptions)
		want   string // of the error
	}{
		{"good", func(*ota.Login, *paho.ClientOptions) {}, ""},
		{"hmacsha1", signWith(t, ota.HMACSHA1), ""},
		{"hmacmd5", signWith(t, ota.HMACMD5), ""},
		{"upper case", func(l *ota.Login, _ *paho.ClientOptions) { l.Password = strings.ToUpper(l.Password) }, ""},
		{"MQTT 3.1", func(_ *ota.Login, o *paho.ClientOptions) { o.SetProtocolVersion(3) }, ""},
		{"will", func(_ *ota.Login, o *paho.ClientOptions) { o.SetWill("/ota/device/inform/a1/lamp", "x", 2, true) }, ""},
		{"unclean", func(_ *ota.Login, o *paho.ClientOptions) { o.SetCleanSession(false) }, ""},
		{"wrong password", func(l *ota.Login, _ *paho.ClientOptions) { l.Password = strings.Repeat("0", 64) }, "bad user name or password"},
		{"signed for another client id", func(l *ota.Login, _ *paho.ClientOptions) { l.ClientID = "x" + l.ClientID }, "bad user name or password"},
		{"other's name", func(l *ota.Login, _ *paho.ClientOptions) { l.Username = "lamp2&a1" }, "not Authorized"},
		{"disabled", func(l *ota.Login, _ *paho.ClientOptions) { l.Username = "off&a1" }, "not Authorized"},
		{"directory fails", func(l *ota.Login, _ *paho.ClientOptions) { l.Username = "broken&a1" }, "server Unavailable"},
		{"no bars", func(l *ota.Login, _ *paho.ClientOptions) { l.ClientID = "lamp" }, "identifier rejected"},
		{"no ampersand", func(l *ota.Login, _ *paho.ClientOptions) { l.Username = "lamp" }, "identifier rejected"},
		{"no user name", func(l *ota.Login, _ *paho.ClientOptions) { l.Username, l.Password = "", "" }, "identifier rejected"},
		{"keep-alive 29", func(_ *ota.Login, o *paho.ClientOptions) { o.SetKeepAlive(29 * time.Second) }, "identifier rejected"},
		{"keep-alive 0", func(_ *ota.Login, o *paho.ClientOptions) { o.SetKeepAlive(0) }, "identifier rejected"},
		{"registration", func(l *ota.Login, _ *paho.ClientOptions) {
			l.ClientID = "x|securemode=2,authType=register,random=1,signmethod=hmacsha256|" // without TLS
		}, "identifier rejected"},
		{"token", func(l *ota.Login, _ *paho.ClientOptions) { l.ClientID = "x|securemode=-2,authType=connwl|" }, "identifier rejected"},
		{"unknown authType", func(l *ota.Login, _ *paho.ClientOptions) { l.ClientID = "x|securemode=2,authType=x|" }, "bad user name or password"},
	} {
		l, o := good, options4("tcp://"+addr, good)
		tt.change(&l, o)
		o.SetClientID(l.ClientID).SetUsername(l.Username).SetPassword(l.Password)
		cl := paho.NewClient(o)
		err := settle(cl.Connect())
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		cl.Disconnect(0)
	}
	until(t, "all are gone", func() bool { return b.Stats().Connections == 0 })
	got := b.Stats()
	if got.Accepted != 7 || got.RefusedPassword != 3 || got.RefusedUnknown != 2 || got.RefusedUnavailable != 1 || got.RefusedParameters != 7 {
		t.Errorf("counters: %+v", got)
	}
}

func signWith(t *testing.T, m ota.HMACMethod) func(*ota.Login, *paho.ClientOptions) {
	return func(l *ota.Login, _ *paho.ClientOptions) {
		var err error
		if *l, err = (ota.Credentials{Device: lamp, Secret: secretOf(lamp), Method: m}).Login(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUplinks(t *testing.T) {
	c := newCity(lamp, other)
	b, addr := start(t, c)
	heard, opt := inbox()
	dial(t, addr, other, opt)
	c.await(t, "online lamp2")
	cl := dial(t, addr, lamp)
	for i, k := range []ota.TopicKind{ota.TopicInform, ota.TopicProgress, ota.TopicGet, ota.TopicRequest, ota.TopicDownload} {
		if err := settle(cl.Publish(k.Of(lamp), byte(i%2), i == 1, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{"/sys/a1/lamp/thing/event/property/post", "/a1/lamp/user/hello"} {
		if err := settle(cl.Publish(topic, 1, false, "telemetry")); err != nil {
			t.Errorf("own topic %s: %v", topic, err)
		}
	}
	c.await(t, "online lamp2; online lamp; uplink lamp 1 0; uplink lamp 3 1; uplink lamp 4 2; uplink lamp 6 3; uplink lamp 7 4")
	if s := b.Stats(); s.Ignored != 2 || s.Uplinks != 5 || s.Denied != 0 {
		t.Errorf("counters: %+v", s)
	}
	cl.Disconnect(10)
	c.await(t, "online lamp2; online lamp; uplink lamp 1 0; uplink lamp 3 1; uplink lamp 4 2; uplink lamp 6 3; uplink lamp 7 4; offline lamp")
	if len(heard) != 0 {
		t.Errorf("another device got %d of the messages", len(heard))
	}
}

// A device gets its messages without a subscription, and once with one or more.
func TestPush(t *testing.T) {
	c := newCity(lamp, other)
	b, addr := start(t, c)
	heard, opt := inbox()
	cl := dial(t, addr, lamp, opt)
	others, opt2 := inbox()
	ocl := dial(t, addr, other, opt2)
	until(t, "both online", func() bool { return b.Online(lamp) && b.Online(other) })
	if err := settle(ocl.SubscribeMultiple(map[string]byte{"/ota/device/upgrade/+/+": 1, "/sys/+/+/thing/ota/firmware/get_reply": 0}, nil)); err != nil {
		t.Fatal(err)
	}
	want := 0
	push := func() {
		t.Helper()
		for _, k := range ota.DownTopics() {
			want++
			if err := b.Push(lamp, k, []byte(fmt.Sprint(want))); err != nil {
				t.Fatal(err)
			}
			m := receive(t, heard)
			if m.Topic() != k.Of(lamp) || string(m.Payload()) != fmt.Sprint(want) || m.Qos() != 1 || m.Retained() || m.Duplicate() {
				t.Errorf("got %s %q qos %d", m.Topic(), m.Payload(), m.Qos())
			}
		}
	}
	push()
	for _, f := range []string{"/ota/device/upgrade/a1/lamp", "/ota/device/upgrade/+/+", "/sys/a1/lamp/#"} {
		if err := settle(cl.Subscribe(f, 2, nil)); err != nil {
			t.Fatal(err)
		}
		push()
	}
	if err := settle(cl.Unsubscribe("/ota/device/upgrade/a1/lamp", "/sys/a1/lamp/#")); err != nil {
		t.Fatal(err)
	}
	push()
	until(t, "every message is acknowledged", func() bool { return b.Stats().Acked == int64(want) })
	if len(heard) != 0 || len(others) != 0 {
		t.Errorf("%d messages twice, %d to another device", len(heard), len(others))
	}
	gone := ota.Device{ProductKey: "a1", Name: "gone"}
	if err := b.Push(gone, ota.TopicUpgrade, nil); err != ErrOffline {
		t.Errorf("push to an unknown device: %v", err)
	}
	if b.Push(lamp, ota.TopicInform, nil) == nil || b.Push(lamp, ota.TopicUpgrade, make([]byte, ota.MaxMessageLen+1)) == nil {
		t.Error("an up topic, or a message that is too long, was pushed")
	}
	if err := b.Push(lamp, ota.TopicUpgrade, make([]byte, ota.MaxMessageLen)); err != nil || len(receive(t, heard).Payload()) != ota.MaxMessageLen {
		t.Errorf("the longest message: %v", err)
	}
}

func TestSubscribe(t *testing.T) {
	c := newCity(lamp)
	b, addr := start(t, c)
	cl := dial(t, addr, lamp)
	for f, want := range map[string]byte{
		"/ota/device/upgrade/a1/lamp": 1, "/ota/device/upgrade/+/+": 1, "/sys/+/+/thing/config/push": 1,
		"/ota/device/+/a1/lamp": 1, "/sys/a1/lamp/#": 1, "/ext/error/a1/lamp": 1, "/a1/lamp/user/get": 1, "/shadow/get/a1/lamp": 1,
		"#": 0x80, "/#": 0x80, "+/#": 0x80, "/sys/#": 0x80, "/+/+/#": 0x80, "/+/lamp/#": 0x80, "/sys/+/+/#": 0x80, "/+/+/+/+/+": 0x80,
		"/ota/device/upgrade/a1/lamp2": 0x80, "/ota/device/upgrade/a1/+": 0x80, "/ota/device/upgrade/+/lamp": 0x80, "/ota/device/upgrade/a1/#": 0x80,
		"/ota/device/upgrade/a1/lam": 0x80, "/ota/device/+/+/+": 0x80, "$SYS/#": 0x80,
		"/sys/a1/lamp2/thing/ota/firmware/get_reply": 0x80, "/lamp/a1/user/get": 0x80, "ota/device/upgrade/a1/lamp": 0x80,
		"/sys/a1/lamp/" + strings.Repeat("x", 120): 0x80, "/sys/a1/lamp/1/2/3/4/5": 0x80,
	} {
		tok := cl.Subscribe(f, 2, nil)
		settle(tok) // paho makes an error of 0x80
		if got := tok.(*paho.SubscribeToken).Result()[f]; got != want {
			t.Errorf("SUBACK for %s: %#x, want %#x", f, got, want)
		}
	}
	if got := b.Stats().Denied; got != 20 {
		t.Errorf("%d denials counted, want 20", got)
	}
	for i := 0; i < MaxSubscriptions+20; i++ {
		f := fmt.Sprintf("/a1/lamp/user/%d", i)
		tok := cl.Subscribe(f, 0, nil)
		settle(tok)
		if got, ok := tok.(*paho.SubscribeToken).Result()[f], i+8 < MaxSubscriptions; (got == 0) != ok {
			t.Fatalf("subscription %d: %#x", i+9, got)
		}
	}
}

func TestTLSAndWebSocket(t *testing.T) {
	c := newCity(lamp)
	b := newBroker(t, c)
	cert := selfSigned(t)
	serve := func(wrap func(net.Listener) net.Listener, f func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		run(t, b, func() error { return f(wrap(l)) })
		return l.Addr().String()
	}
	plain := func(l net.Listener) net.Listener { return l }
	secure := func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	for scheme, addr := range map[string]string{
		"tcp": serve(plain, b.Serve), "tls": serve(secure, b.Serve),
		"ws": serve(plain, b.ServeWebSocket), "wss": serve(secure, b.ServeWebSocket),
	} {
		heard, opt := inbox()
		o := options4(scheme+"://"+addr, login(t, lamp, "")).SetTLSConfig(&tls.Config{InsecureSkipVerify: true})
		opt(o)
		cl := paho.NewClient(o)
		if err := settle(cl.Connect()); err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		big := make([]byte, 100_000)
		if err := settle(cl.Publish(ota.TopicInform.Of(lamp), 1, false, big)); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		until(t, "online", func() bool { return b.Online(lamp) })
		if err := b.Push(lamp, ota.TopicUpgrade, big); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		if m := receive(t, heard); len(m.Payload()) != len(big) {
			t.Errorf("%s: got %d bytes", scheme, len(m.Payload()))
		}
		cl.Disconnect(0)
		until(t, "offline", func() bool { return b.Stats().Connections == 0 })
	}
}
