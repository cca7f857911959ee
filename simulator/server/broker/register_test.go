package broker

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

const productSecret = "product-secret"

// office is a Registrar for tests: it knows lamp's secret, and gives every other
// device of product a1 a token.
type office struct{ err error }

func (o office) Register(_ context.Context, d ota.Device, l ota.Login, fresh bool) (ota.Registered, error) {
	if o.err != nil {
		return ota.Registered{}, o.err
	}
	if err := l.VerifyRegistration(productSecret); err != nil {
		return ota.Registered{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if fresh {
		return ota.Registered{Device: d, ClientID: "id-" + d.Name, Token: "token"}, nil
	}
	if d != lamp {
		return ota.Registered{}, ErrUnknown
	}
	return ota.Registered{Device: d, Secret: secretOf(d)}, nil
}

func (o office) Token(_ context.Context, d ota.Device, clientID, token string) error {
	if o.err != nil {
		return o.err
	}
	if subtle.ConstantTimeCompare([]byte(clientID+token), []byte("id-"+d.Name+"token")) == 0 {
		return ErrRefused
	}
	return nil
}

func registration(t *testing.T, d ota.Device, change func(*ota.Registration)) ota.Login {
	t.Helper()
	r := ota.Registration{Device: d, ProductSecret: productSecret, Random: "8Ygb7ULYh53B6OA"}
	if change != nil {
		change(&r)
	}
	l, err := r.Login()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tlsOptions(addr string, l ota.Login, certs ...tls.Certificate) *paho.ClientOptions {
	return options4("tls://"+addr, l).SetTLSConfig(&tls.Config{InsecureSkipVerify: true, Certificates: certs})
}

// The whole way of real clients: registered without a SUBSCRIBE, then signed in with
// what came; in the end the sink has seen the sign-ins only.
func TestRegister(t *testing.T) {
	c := newCity(lamp)
	b := newBroker(t, c, func(c *Config) { c.Registrar = office{} })
	addr := serveTLS(t, b, TLSOptions{Certificate: selfSigned(t)}, b.Serve)
	for _, tt := range []struct {
		fresh bool
		dev   ota.Device
		want  string
	}{
		{false, lamp, `{"productKey":"a1","deviceName":"lamp","deviceSecret":"secret-of-lamp"}`},
		{true, other, `{"productKey":"a1","deviceName":"lamp2","clientId":"id-lamp2","deviceToken":"token"}`},
	} {
		heard, opt := inbox()
		o := tlsOptions(addr, registration(t, tt.dev, func(r *ota.Registration) { r.New = tt.fresh }))
		opt(o)
		cl := paho.NewClient(o)
		if err := settle(cl.Connect()); err != nil {
			t.Fatal(err)
		}
		m := receive(t, heard)
		if m.Topic() != "/ext/register" || string(m.Payload()) != tt.want || m.Qos() != 0 {
			t.Errorf("on %s with QoS %d: %s", m.Topic(), m.Qos(), m.Payload())
		}
		cl.Disconnect(0)
		r, err := ota.DecodeRegistered(m.Payload())
		if err != nil {
			t.Fatal(err)
		}
		l, err := r.Login()
		if r.Secret != "" {
			l, err = ota.Credentials{Device: r.Device, Secret: r.Secret, TLS: true}.Login()
		}
		if err != nil {
			t.Fatal(err)
		}
		cl = paho.NewClient(tlsOptions(addr, l))
		if err := settle(cl.Connect()); err != nil {
			t.Fatal(err)
		}
		until(t, "online", func() bool { return b.Online(tt.dev) })
		cl.Disconnect(0)
		until(t, "offline", func() bool { return b.Stats().Connections == 0 })
	}
	until(t, "all events", func() bool { return strings.Count(c.log(), "offline") == 2 })
	if got := c.log(); got != "online lamp; offline lamp; online lamp2; offline lamp2" || b.Stats().Registered != 2 {
		t.Errorf("events %q, %+v", got, b.Stats())
	}
}

func TestRegisterRefused(t *testing.T) {
	c := newCity(lamp)
	cert := selfSigned(t)
	good := registration(t, lamp, nil)
	with := func(change func(*ota.Login)) ota.Login {
		l := good
		change(&l)
		return l
	}
	for name, tt := range map[string]struct {
		login ota.Login
		with  Registrar
		want  error
	}{
		"no random":        {with(func(l *ota.Login) { l.ClientID = "x|securemode=2,authType=register|" }), office{}, errCode2},
		"no password":      {with(func(l *ota.Login) { l.Password = "" }), office{}, errCode2},
		"wrong securemode": {with(func(l *ota.Login) { l.ClientID = strings.Replace(l.ClientID, "=2,", "=-2,", 1) }), office{}, errCode2},
		"unknown method":   {with(func(l *ota.Login) { l.ClientID = strings.Replace(l.ClientID, "hmacsha256", "md4", 1) }), office{}, errCode2},
		"wrong secret":     {with(func(l *ota.Login) { l.Password = strings.Repeat("0", 64) }), office{}, errCode4},
		"unknown device":   {registration(t, other, nil), office{}, errCode4},
		"not offered":      {good, nil, errCode4},
		"office fails":     {good, office{io.ErrUnexpectedEOF}, errCode3},
		"wrong token":      {ota.Login{ClientID: "id-lamp|securemode=-2,authType=connwl|", Username: "lamp&a1", Password: "x"}, office{}, errCode4},
		"tokens, none":     {ota.Login{ClientID: "id-lamp|securemode=-2,authType=connwl|", Username: "lamp&a1", Password: "x"}, nil, errCode4},
	} {
		b := newBroker(t, c, func(c *Config) { c.Registrar = tt.with })
		addr := serveTLS(t, b, TLSOptions{Certificate: cert}, b.Serve)
		cl := paho.NewClient(tlsOptions(addr, tt.login))
		if err := settle(cl.Connect()); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		cl.Disconnect(0)
		if s := b.Stats(); s.Registered+s.Accepted != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if c.log() != "" {
		t.Errorf("events %q", c.log())
	}
}

// A client that stays is answered and dropped after 15 s; one that publishes, at once.
func TestRegisteredClientIsDropped(t *testing.T) {
	cert := selfSigned(t)
	config, err := TLSOptions{Certificate: cert}.Config()
	if err != nil {
		t.Fatal(err)
	}
	l := registration(t, lamp, nil)
	for name, tt := range map[string]struct {
		send, answer []byte
		after        time.Duration
	}{
		"silent":     {nil, nil, RegisterTimeout},
		"ping":       {[]byte{0xc0, 0}, []byte{0xd0, 0}, RegisterTimeout},
		"subscribe":  {append([]byte{0x82, 18, 0, 7, 0, 13}, "/ext/register\x00"...), []byte{0x90, 3, 0, 7, 0}, RegisterTimeout},
		"sub other":  {append([]byte{0x82, 6, 0, 7, 0, 1}, "#\x00"...), []byte{0x90, 3, 0, 7, 0x80}, RegisterTimeout},
		"disconnect": {[]byte{0xe0, 0}, nil, 0},
		"publish":    {append([]byte{0x30, byte(2 + len(ota.TopicInform.Of(lamp)))}, appendText(nil, ota.TopicInform.Of(lamp))...), nil, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCity(lamp)
			b := newBroker(t, c, func(c *Config) { c.Registrar = office{} })
			defer b.Close()
			near, far := pipes()
			go b.ServeConn(tls.Server(far, config))
			conn := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
			conn.Write(connectPacket(l.ClientID, l.Username, l.Password, 0))
			head := make([]byte, 4+2+2+len(ota.RegisterTopic))
			if _, err := io.ReadFull(conn, head); err != nil || !strings.HasSuffix(string(head), ota.RegisterTopic) || head[3] != 0 || head[4] != 0x30 {
				t.Fatalf("%s: % x, %v", name, head, err)
			}
			payload := make([]byte, int(head[5])-2-len(ota.RegisterTopic))
			io.ReadFull(conn, payload)
			begin := time.Now()
			conn.Write(tt.send)
			got, _ := io.ReadAll(conn)
			if string(got) != string(tt.answer) || time.Since(begin) != tt.after {
				t.Errorf("%s: answered % x and dropped after %v, want % x and %v", name, got, time.Since(begin), tt.answer, tt.after)
			}
			synctest.Wait()
			if c.log() != "" {
				t.Errorf("%s: events %q", name, c.log())
			}
			near.Close()
		})
	}
}

// X.509 (protocol section 1): first with an empty triple, later with its names and an
// empty password. The certificate decides, whatever is claimed.
func TestX509(t *testing.T) {
	c := newCity(lamp, other)
	off := ota.Device{ProductKey: "a1", Name: "off"}
	c.errs[off] = ErrDisabled
	b := newBroker(t, c)
	ca, stranger := newAuthority(t), newAuthority(t)
	addr := serveTLS(t, b, TLSOptions{Certificate: selfSigned(t), DeviceCAs: ca.pool()}, b.Serve)
	later := time.Now().Add(time.Hour)
	mine := ca.issue("lamp&a1", later)
	id := "lamp|securemode=2,signmethod=hmacsha256,timestamp=1|"
	for _, tt := range []struct {
		name  string
		cert  []tls.Certificate
		login ota.Login
		want  error
		told  bool
	}{
		{"empty triple", []tls.Certificate{mine}, ota.Login{}, nil, true},
		{"empty triple of the C SDK", []tls.Certificate{mine}, ota.Login{ClientID: ".|timestamp=2524608000000,securemode=2,signmethod=hmacsha256,ext=3,|", Username: "&", Password: "4A3C"}, nil, true},
		{"named", []tls.Certificate{mine}, ota.Login{ClientID: id, Username: "lamp&a1"}, nil, false},
		{"a secret all the same", []tls.Certificate{mine}, login(t, lamp, ""), nil, false},
		{"a secret and no certificate", nil, login(t, lamp, ""), nil, false},
		{"another's name", []tls.Certificate{mine}, ota.Login{ClientID: id, Username: "lamp2&a1"}, errCode5, false},
		{"no name", []tls.Certificate{mine}, ota.Login{ClientID: id, Username: "lamp"}, errCode2, false},
		{"no certificate", nil, ota.Login{ClientID: id, Username: "lamp&a1"}, errCode4, false},
		{"unknown device", []tls.Certificate{ca.issue("nobody&a1", later)}, ota.Login{}, errCode5, false},
		{"disabled device", []tls.Certificate{ca.issue("off&a1", later)}, ota.Login{}, errCode5, false},
		{"no device at all", []tls.Certificate{ca.issue("lamp", later)}, ota.Login{}, errCode5, false},
		{"another CA", []tls.Certificate{stranger.issue("lamp&a1", later)}, ota.Login{ClientID: id, Username: "lamp&a1"}, errAny, false},
		{"expired", []tls.Certificate{ca.issue("lamp&a1", time.Now().Add(-time.Minute))}, ota.Login{ClientID: id, Username: "lamp&a1"}, errAny, false},
		{"the server's own", []tls.Certificate{selfSigned(t)}, ota.Login{ClientID: id, Username: "lamp&a1"}, errAny, false},
	} {
		heard, opt := inbox()
		o := tlsOptions(addr, tt.login, tt.cert...)
		opt(o)
		cl := paho.NewClient(o)
		err := settle(cl.Connect())
		if tt.want == errAny && err == nil || tt.want != errAny && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err == nil {
			until(t, "online", func() bool { return b.Online(lamp) })
			if tt.told {
				if m := receive(t, heard); m.Topic() != "/ext/auth/identity/response" || string(m.Payload()) != `{"productKey":"a1","deviceName":"lamp"}` {
					t.Errorf("%s: on %s: %s", tt.name, m.Topic(), m.Payload())
				}
			}
			if err := b.Push(lamp, ota.TopicUpgrade, []byte("x")); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			} else if m := receive(t, heard); m.Topic() != ota.TopicUpgrade.Of(lamp) {
				t.Errorf("%s: on %s: %s", tt.name, m.Topic(), m.Payload())
			}
		}
		cl.Disconnect(0)
		until(t, "offline", func() bool { return b.Stats().Connections == 0 })
	}
	if got := c.log(); strings.Contains(got, "lamp2") || strings.Count(got, "online lamp") != 5 {
		t.Errorf("events %q", got)
	}
}

// A certificate counts over WebSocket too, and not on a listener without the CA.
func TestX509WebSocket(t *testing.T) {
	b := newBroker(t, newCity(lamp))
	ca := newAuthority(t)
	o := TLSOptions{Certificate: selfSigned(t), DeviceCAs: ca.pool()}
	mine := ca.issue("lamp&a1", time.Now().Add(time.Hour))
	connect := func(addr string) error {
		cl := paho.NewClient(tlsOptions(addr, ota.Login{}, mine).SetClientID("x|securemode=2|").SetUsername("lamp&a1"))
		defer cl.Disconnect(0)
		return settle(cl.Connect())
	}
	wss := serveTLS(t, b, o, b.ServeWebSocket)
	cl := paho.NewClient(options4("wss://"+wss, ota.Login{ClientID: "x|securemode=2|", Username: "lamp&a1"}).
		SetTLSConfig(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{mine}}))
	if err := settle(cl.Connect()); err != nil {
		t.Error(err)
	}
	cl.Disconnect(0)
	o.DeviceCAs = nil
	if err := connect(serveTLS(t, b, o, b.Serve)); !errors.Is(err, errCode4) {
		t.Errorf("without the CA: %v", err)
	}
}

func TestConnectsPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(lamp, other)
		b := newBroker(t, c, func(c *Config) { c.ConnectsPerMinute = 5 })
		defer b.Close()
		l := login(t, lamp, "")
		try := func(password string) byte {
			conn := pipe(b)
			defer conn.Close()
			conn.Write(connectPacket(l.ClientID, l.Username, password, 60))
			var ack [4]byte
			readFull(conn, ack[:])
			return ack[3]
		}
		for range 20 { // a stranger does not lock it out
			if got := try("00"); got != codePassword {
				t.Fatalf("a wrong password: %d", got)
			}
		}
		for i := range 8 {
			want := byte(codeAccepted)
			if i >= 5 {
				want = codeUnavailable
			}
			if got := try(l.Password); got != want {
				t.Errorf("connect %d: %d, want %d", i+1, got, want)
			}
			time.Sleep(time.Second)
		}
		knock(t, b, other, 60).Close() // another one does not notice
		time.Sleep(52 * time.Second)
		if got := try(l.Password); got != codeAccepted { // 60 s after the first
			t.Errorf("a minute later: %d", got)
		}
		if got := try(l.Password); got != codeUnavailable {
			t.Errorf("and again: %d", got)
		}
		time.Sleep(2 * time.Hour)
		if b.door.allow(other, time.Now()); len(b.door.seen) != 1 {
			t.Errorf("%d devices are remembered", len(b.door.seen))
		}
	})
}
