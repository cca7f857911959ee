package broker

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// A device publishes on others' topics: nobody gets it, and the sink neither.
func TestF6Publish(t *testing.T) {
	c := newCity(lamp, other)
	var log lines
	b, addr := start(t, c, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	heard, opt := inbox()
	victim := dial(t, addr, other, opt)
	if err := settle(victim.Subscribe("/ota/device/upgrade/+/+", 1, nil)); err != nil {
		t.Fatal(err)
	}
	bad := []string{
		ota.TopicInform.Of(other), ota.TopicUpgrade.Of(other), ota.TopicUpgrade.Of(lamp), ota.TopicGetReply.Of(lamp),
		"/ota/device/inform/a1/lamp2/lamp", "$SYS/broker/x", "/sys/a1/lamp2/thing/event/property/post", "x", "/",
		"/sys/a1/lamp/" + strings.Repeat("x", 200),
	}
	cl := dial(t, addr, lamp)
	for _, topic := range bad {
		if err := settle(cl.Publish(topic, 0, false, "bad")); err != nil {
			t.Fatal(err)
		}
	}
	if err := settle(cl.Publish(ota.TopicInform.Of(lamp), 1, false, "good")); err != nil {
		t.Fatalf("after refused messages of QoS 0: %v", err)
	}
	if got := b.Stats().Denied; got != int64(len(bad)) {
		t.Errorf("%d denials, want %d", got, len(bad))
	}
	for _, topic := range append(bad[:4:4], "qos2") {
		cl := dial(t, addr, lamp)
		if topic == "qos2" {
			cl.Publish(ota.TopicInform.Of(lamp), 2, false, "bad").WaitTimeout(wait)
		} else {
			cl.Publish(topic, 1, false, "bad").WaitTimeout(wait)
		}
		until(t, "the connection is ended for "+topic, func() bool { return !b.Online(lamp) })
		cl.Disconnect(0)
	}
	if got := log.String(); !strings.Contains(got, `"publish refused" device=a1/lamp topic="\"/ota/device/inform/a1/lamp2\""`) {
		t.Errorf("not logged: %s", got)
	}
	if got := c.log(); strings.Count(got, "uplink") != 1 || len(heard) != 0 || !victim.IsConnected() {
		t.Errorf("events %q, %d messages", got, len(heard))
	}
}

// An old password stops working as soon as the directory has a new secret.
func TestF6OldPassword(t *testing.T) {
	c := newCity(lamp)
	_, addr := start(t, c)
	cl := dial(t, addr, lamp)
	c.mu.Lock()
	c.secrets[lamp] = "new"
	c.mu.Unlock()
	if err := settle(paho.NewClient(options4("tcp://"+addr, login(t, lamp, ""))).Connect()); err == nil {
		t.Error("the old password was accepted")
	}
	if !cl.IsConnected() {
		t.Error("and has forced the good connection off")
	}
}

// 1,000 bad clients at once, and a good one that does not notice.
func TestF6ThousandBadClients(t *testing.T) {
	c := newCity(lamp)
	var log lines
	b, addr := start(t, c, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	heard, opt := inbox()
	cl := dial(t, addr, lamp, opt)
	until(t, "online", func() bool { return b.Online(lamp) })
	packets := [][]byte{
		connectPacket("x|securemode=3|", "lamp&a1", strings.Repeat("0", 32), 60),
		connectPacket("x|securemode=3|", "nobody&a1", strings.Repeat("0", 32), 60),
		connectPacket("", "", "", 60),
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{0x10},
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			p := packets[i%len(packets)]
			conn.Write(p)
			if len(p) > 1 {
				conn.SetReadDeadline(time.Now().Add(wait))
				if _, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") {
					t.Errorf("not closed: %v", err)
				}
			}
		})
	}
	for i := range 20 {
		if err := settle(cl.Publish(ota.TopicProgress.Of(lamp), 1, false, "p")); err != nil {
			t.Fatal(err)
		}
		b.Push(lamp, ota.TopicUpgrade, fmt.Append(nil, i))
		receive(t, heard)
	}
	wg.Wait()
	until(t, "all are counted", func() bool {
		s := b.Stats()
		return s.RefusedPassword == 200 && s.RefusedUnknown == 200 && s.RefusedParameters == 200 && s.RefusedMalformed == 400
	})
	if s := b.Stats(); s.Connections != 1 || s.Kicked != 0 {
		t.Errorf("%+v", s)
	}
	got := log.String()
	if n := strings.Count(got, "\n"); n < LogBurst || n > LogBurst+30*LogRate || !strings.Contains(got, "does not match the device's secret") || strings.Contains(got, strings.Repeat("0", 32)) {
		t.Errorf("%d lines logged: %.2000s", n, got)
	}
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Bytes before a good CONNECT: the answer, then the end of the connection.
func TestHostileConnect(t *testing.T) {
	good := login(t, lamp, "")
	whole := connectPacket(good.ClientID, good.Username, good.Password, 60)
	level := func(name string, n byte) []byte {
		p := append(appendText(nil, name), n, 2, 0, 60)
		p = appendText(p, "x")
		return append([]byte{0x10, byte(len(p))}, p...)
	}
	reserved := bytes.Clone(whole)
	reserved[10] |= flagReserved // 1 type, 2 length, 6 name, 1 level
	for name, tt := range map[string]struct {
		send   []byte
		answer []byte
	}{
		"nothing":                {nil, nil},
		"not CONNECT":            {[]byte{0xc0, 0}, nil},
		"flags in the header":    {append([]byte{0x11}, whole[1:]...), nil},
		"huge remaining length":  {[]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, nil},
		"endless length":         {[]byte{0x10, 0x80, 0x80, 0x80, 0x80, 0x01}, nil},
		"a little over the most": {[]byte{0x10, 0x81, 0x20}, nil},
		"empty":                  {[]byte{0x10, 0}, nil},
		"cut in a field":         {append([]byte{0x10, 20}, whole[3:23]...), nil},
		"reserved flag":          {reserved, nil},
		"surplus bytes":          {append([]byte{0x10, 14}, append(level("MQTT", 4)[2:], 0)...), nil},
		"MQTT 5":                 {level("MQTT", 5), []byte{0x20, 2, 0, 1}},
		"bridge of mosquitto":    {level("MQTT", 0x84), []byte{0x20, 2, 0, 1}},
		"another protocol":       {level("AMQP", 4), []byte{0x20, 2, 0, 1}},
		"empty client id":        {connectPacket("", good.Username, good.Password, 60), []byte{0x20, 2, 0, 2}},
		"client id with NUL":     {connectPacket("\x00"+good.ClientID, good.Username, good.Password, 60), []byte{0x20, 2, 0, 2}},
		"user name with slash":   {connectPacket(good.ClientID, "lamp&a1/+", good.Password, 60), []byte{0x20, 2, 0, 2}},
		"invalid UTF-8":          {connectPacket(good.ClientID, "\xff&a1", good.Password, 60), nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCity(lamp)
			b := newBroker(t, c)
			defer b.Close()
			conn := pipe(b)
			go conn.Write(tt.send)
			begin := time.Now()
			got, _ := io.ReadAll(conn)
			if !bytes.Equal(got, tt.answer) {
				t.Errorf("%s: answer % x, want % x", name, got, tt.answer)
			}
			if took := time.Since(begin); took > ConnectTimeout {
				t.Errorf("%s: closed after %v", name, took)
			}
			conn.Close()
			synctest.Wait()
			if c.log() != "" {
				t.Errorf("%s: the sink got %q", name, c.log())
			}
		})
	}
}

// A CONNECT in single bytes, and one with packets behind it, are good ones.
func TestConnectInPieces(t *testing.T) {
	c := newCity(lamp)
	b := newBroker(t, c)
	l := login(t, lamp, "")
	p := connectPacket(l.ClientID, l.Username, l.Password, 60)
	for _, step := range []int{1, 7, len(p) + 2} {
		conn := pipe(b)
		go func() {
			for rest := append(bytes.Clone(p), 0xc0, 0); len(rest) > 0; rest = rest[min(step, len(rest)):] {
				conn.Write(rest[:min(step, len(rest))])
			}
		}()
		got := make([]byte, 6)
		if _, err := readFull(conn, got); err != nil || !bytes.Equal(got, []byte{0x20, 2, 0, 0, 0xd0, 0}) {
			t.Errorf("in steps of %d: % x, %v", step, got, err)
		}
		conn.Close()
	}
}

// What a signed-in device should not send ends its connection, and nothing else.
func TestHostilePackets(t *testing.T) {
	l := login(t, lamp, "")
	topic := ota.TopicInform.Of(lamp)
	for name, p := range map[string][]byte{
		"second CONNECT":        connectPacket(l.ClientID, l.Username, l.Password, 60),
		"CONNECT of MQTT 5":     append([]byte{0x10, 20}, append(appendText(nil, "MQTT"), 5, 2, 0, 60, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0)...),
		"CONNACK":               {0x20, 2, 0, 0},
		"PUBREL":                {0x62, 2, 0, 1},
		"AUTH":                  {0xf0, 0},
		"type 0":                {0x00, 0},
		"PUBLISH QoS 3":         {0x36, 5, 0, 1, 'x', 0, 1},
		"PUBLISH QoS 1 id 0":    append([]byte{0x32, byte(4 + len(topic))}, append(appendText(nil, topic), 0, 0)...),
		"PUBLISH no topic":      {0x30, 2, 0, 0},
		"PUBLISH to a wildcard": {0x30, 4, 0, 1, '#', 'x'},
		"PUBLISH cut":           {0x30, 2, 0, 9},
		"PUBLISH too long":      {0x30, 0xff, 0xff, 0x7f},
		"endless length":        {0x30, 0xff, 0xff, 0xff, 0xff, 0xff},
		"SUBSCRIBE no filter":   {0x82, 2, 0, 1},
		"SUBSCRIBE id 0":        {0x82, 6, 0, 0, 0, 1, 'x', 0},
		"SUBSCRIBE cut":         {0x82, 5, 0, 1, 0, 1, 'x'},
		"UNSUBSCRIBE id 0":      {0xa2, 5, 0, 0, 0, 1, 'x'},
	} {
		c := newCity(lamp, other)
		b := newBroker(t, c)
		good, bad := knock(t, b, other, 60), knock(t, b, lamp, 60)
		until(t, "both online", func() bool { return b.Online(lamp) && b.Online(other) })
		go bad.Write(p)
		bad.SetReadDeadline(time.Now().Add(wait))
		if got, err := io.ReadAll(bad); len(got) != 0 || err != nil {
			t.Errorf("%s: answered % x, %v", name, got, err)
		}
		until(t, name+": offline", func() bool { return !b.Online(lamp) })
		if !b.Online(other) {
			t.Errorf("%s: another device lost its connection", name)
		}
		good.Close()
		b.Close()
	}
}

// FuzzConnection feeds bytes to a fresh connection, and to one of a device that
// has signed in. Nothing may panic, hang, or reach the sink as another device's.
func FuzzConnection(f *testing.F) {
	l := login(f, lamp, "")
	connect := connectPacket(l.ClientID, l.Username, l.Password, 60)
	topic := appendText(nil, ota.TopicInform.Of(lamp))
	f.Add(false, connect)
	f.Add(false, append(bytes.Clone(connect), 0xc0, 0, 0xe0, 0))
	f.Add(false, []byte{0x10, 0xff, 0xff, 0xff, 0x7f})
	f.Add(true, append([]byte{0x30, byte(len(topic) + 1)}, append(topic, 'x')...))
	f.Add(true, append([]byte{0x82, byte(len(topic) + 3), 0, 1}, append(topic, 1)...))
	f.Add(true, append([]byte{0xa2, byte(len(topic) + 2), 0, 1}, topic...))
	f.Add(true, []byte{0x40, 2, 0, 1, 0x40, 2, 0, 0, 0x50, 2, 0, 1, 0x62, 2, 0, 1, 0x70, 2, 0, 1})
	f.Add(true, append([]byte{0x10, 20}, append(appendText(nil, "MQTT"), 5, 2, 0, 60, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0)...))
	f.Fuzz(func(t *testing.T, signedIn bool, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			c := newCity(lamp, other)
			b := newBroker(t, c)
			conn := pipe(b)
			go io.Copy(io.Discard, conn)
			if signedIn {
				conn.Write(connect)
			}
			conn.Write(data)
			synctest.Wait()
			b.Push(lamp, ota.TopicUpgrade, []byte("x"))
			conn.Close()
			b.Close()
			if got := c.log(); strings.Contains(got, other.Name) || strings.Count(got, "online")%2 != 0 && got != "" && !strings.HasSuffix(got, "offline lamp") {
				t.Errorf("events %q", got)
			}
		})
	})
}
