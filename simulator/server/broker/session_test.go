package broker

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// knock opens a connection by hand: over net.Pipe, so that it runs in virtual
// time, and gives it after a CONNACK of 0.
func knock(t testing.TB, b *Broker, d ota.Device, keepAlive uint16) net.Conn {
	t.Helper()
	conn := pipe(b)
	conn.Write(connectPacket(login(t, d, "").ClientID, d.Name+"&"+d.ProductKey, login(t, d, "").Password, keepAlive))
	var ack [4]byte
	if _, err := readFull(conn, ack[:]); err != nil || ack != [4]byte{0x20, 2, 0, 0} {
		t.Fatalf("CONNACK % x, %v", ack, err)
	}
	return conn
}

func pipe(b *Broker) net.Conn {
	ours, theirs := net.Pipe()
	go b.ServeConn(theirs)
	return ours
}

func connectPacket(id, user, password string, keepAlive uint16) []byte {
	body := appendText(nil, "MQTT")
	body = append(body, 4, flagUsername|flagPassword|2, byte(keepAlive>>8), byte(keepAlive))
	body = appendText(appendText(appendText(body, id), user), password)
	head := []byte{0x10}
	if len(body) > 127 {
		head = append(head, byte(len(body)&0x7f)|0x80, byte(len(body)>>7))
	} else {
		head = append(head, byte(len(body)))
	}
	return append(head, body...)
}

func readFull(conn net.Conn, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := conn.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// A new connection forces the old one off whatever its client id, and the sink
// sees the two one after the other.
func TestKickOut(t *testing.T) {
	c := newCity(lamp)
	b, addr := start(t, c)
	lost := make(chan error, 1)
	dial(t, addr, lamp, func(o *paho.ClientOptions) {
		o.SetConnectionLostHandler(func(_ paho.Client, err error) { lost <- err })
	})
	c.await(t, "online lamp")
	second := dial(t, addr, lamp, func(o *paho.ClientOptions) {
		o.SetClientID(login(t, lamp, "another-id").ClientID).SetPassword(login(t, lamp, "another-id").Password)
	})
	c.await(t, "online lamp; offline lamp; online lamp")
	select {
	case <-lost:
	case <-time.After(wait):
		t.Fatal("the first connection is still there")
	}
	if s := b.Stats(); !b.Online(lamp) || s.Kicked != 1 || s.Connections != 1 {
		t.Errorf("online %v, %+v", b.Online(lamp), s)
	}
	// One that does not prove itself kicks nobody.
	o := options4("tcp://"+addr, login(t, lamp, ""))
	bad := paho.NewClient(o.SetPassword("00"))
	if settle(bad.Connect()) == nil || !second.IsConnected() || !b.Online(lamp) {
		t.Error("a wrong password had an effect")
	}
	if !b.Kick(lamp) || b.Kick(other) {
		t.Error("Kick: a connected device is not, or another is")
	}
	c.await(t, "online lamp; offline lamp; online lamp; offline lamp")
	if b.Online(lamp) || b.Push(lamp, ota.TopicUpgrade, nil) != ErrOffline {
		t.Error("online after the kick")
	}
}

// Many connections of one device at once: at any time one is between its Online
// and its Offline, and one is left.
func TestKickOutStorm(t *testing.T) {
	c := newCity(lamp)
	b, _ := start(t, c)
	var wg sync.WaitGroup
	packet := connectPacket(login(t, lamp, "").ClientID, "lamp&a1", login(t, lamp, "").Password, 60)
	for range 100 {
		conn := pipe(b)
		t.Cleanup(func() { conn.Close() })
		wg.Go(func() {
			conn.Write(packet)
			readFull(conn, make([]byte, 4))
		})
	}
	wg.Wait()
	until(t, "one is left", func() bool { return b.Online(lamp) && b.Stats().Connections == 1 })
	events := strings.Split(c.log(), "; ")
	for i, e := range events {
		if want := [2]string{"online lamp", "offline lamp"}[i%2]; e != want {
			t.Fatalf("event %d is %q, want %q", i, e, want)
		}
	}
	if len(events)%2 != 1 {
		t.Errorf("%d events, the last is not an Online", len(events))
	}
}

func TestKeepAlive(t *testing.T) {
	for asked, kept := range map[uint16]int{30: 45, 60: 90, 1200: 1800, 1201: 1800, 65535: 1800} {
		synctest.Test(t, func(t *testing.T) {
			c := newCity(lamp)
			b := newBroker(t, c)
			defer b.Close()
			conn := knock(t, b, lamp, asked)
			begin := time.Now()
			for range 3 { // pings keep it open
				time.Sleep(time.Duration(kept-1) * time.Second)
				conn.Write([]byte{0xc0, 0})
				var pong [2]byte
				if _, err := readFull(conn, pong[:]); err != nil || pong != [2]byte{0xd0, 0} {
					t.Fatalf("PINGRESP % x, %v", pong, err)
				}
				begin = time.Now()
			}
			conn.Read(make([]byte, 1))
			if got := time.Since(begin); got != time.Duration(kept)*time.Second {
				t.Errorf("keep-alive %d: dropped after %v, want %d s", asked, got, kept)
			}
			synctest.Wait()
			if c.log() != "online lamp; offline lamp" {
				t.Errorf("events %q", c.log())
			}
		})
	}
}

// The deadline is not set for each packet; all the same the last one counts, and half
// of a packet counts for nothing.
func TestKeepAliveCountsFromTheLastPacket(t *testing.T) {
	for _, last := range [][]byte{nil, {0xc0}, {0x32, 5}, {0x32, 5, 0}} {
		synctest.Test(t, func(t *testing.T) {
			c := newCity(lamp)
			b := newBroker(t, c)
			defer b.Close()
			conn := knock(t, b, lamp, 60)
			begin := time.Now()
			for range 7 {
				time.Sleep(time.Second) // less than a sixteenth of the keep-alive
				conn.Write([]byte{0xc0, 0})
				readFull(conn, make([]byte, 2))
				begin = time.Now()
			}
			if last != nil {
				time.Sleep(86 * time.Second)
				conn.Write(last)
			}
			conn.Read(make([]byte, 1))
			if got := time.Since(begin); got != 90*time.Second {
				t.Errorf("after % x: dropped after %v, want 90 s", last, got)
			}
		})
	}
}

// A device that does not read delays neither the caller of Push nor others; its
// queue is bounded, and the caller is told.
func TestSlowDevice(t *testing.T) {
	c := newCity(lamp, other)
	b, addr := start(t, c)
	conn := knock(t, b, lamp, 60)
	defer conn.Close()
	heard, opt := inbox()
	dial(t, addr, other, opt)
	until(t, "both online", func() bool { return b.Online(lamp) && b.Online(other) })
	accepted, busy := 0, 0
	for i := range 200 {
		switch err := b.Push(lamp, ota.TopicUpgrade, []byte("x")); err {
		case nil:
			accepted++
		case ErrBusy:
			busy++
		default:
			t.Fatal(err)
		}
		if err := b.Push(other, ota.TopicUpgrade, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if got := string(receive(t, heard).Payload()); got != fmt.Sprint(i) {
			t.Fatalf("message %s, want %d", got, i)
		}
	}
	if accepted < MaxQueued || accepted > MaxQueued+1 || busy != 200-accepted {
		t.Errorf("%d accepted, %d refused", accepted, busy)
	}
	// It reads again: everything that was accepted arrives, in order and numbered.
	for i := range accepted {
		p := make([]byte, 2+2+27+2+1)
		if _, err := readFull(conn, p); err != nil {
			t.Fatal(err)
		}
		if id := int(p[31])<<8 | int(p[32]); p[0] != 0x32 || id != i+1 {
			t.Fatalf("message %d: % x", i, p)
		}
	}
	if got := b.Stats().Dropped; got != int64(busy) {
		t.Errorf("%d drops counted, want %d", got, busy)
	}
}

// A device that publishes without end is read at its rate; nothing is lost, and
// others do not wait.
func TestF7Flood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(lamp)
		b := newBroker(t, c, func(c *Config) { c.UplinkRate, c.UplinkBurst = 10, 20 })
		defer b.Close()
		conn := knock(t, b, lamp, 60)
		topic := ota.TopicProgress.Of(lamp)
		packet := append([]byte{0x30, byte(2 + len(topic) + 1)}, append(appendText(nil, topic), 'x')...)
		begin := time.Now()
		for range 120 {
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("120 messages at 10/s after 20 at once took %v", took)
		}
		time.Sleep(time.Second)
		if s := b.Stats(); s.Uplinks != 120 || s.Denied != 0 || s.Delayed < 90 {
			t.Errorf("%+v", s)
		}
		conn.Close()
	})
}

// A sink that holds one device's message holds nobody else.
func TestSlowSink(t *testing.T) {
	c := newCity(lamp, other)
	gate := make(chan struct{})
	c.uplink = func(d ota.Device) {
		if d == lamp {
			<-gate
		}
	}
	_, addr := start(t, c)
	dial(t, addr, lamp).Publish(ota.TopicInform.Of(lamp), 0, false, "1")
	if err := settle(dial(t, addr, other).Publish(ota.TopicInform.Of(other), 1, false, "2")); err != nil {
		t.Fatal(err)
	}
	close(gate)
	until(t, "both are there", func() bool { return strings.Contains(c.log(), "uplink lamp 1 1") })
}

// A message that the sink could not take is not acknowledged.
func TestUplinkNotTaken(t *testing.T) {
	c := newCity(lamp)
	b, addr := start(t, c)
	c.uplink = func(d ota.Device) { b.Kick(d) }
	cl := dial(t, addr, lamp)
	if err := settle(cl.Publish(ota.TopicInform.Of(lamp), 1, false, "1")); err == nil {
		t.Error("acknowledged")
	}
	c.await(t, "online lamp; uplink lamp 1 1; offline lamp")
}

func TestMaxConnections(t *testing.T) {
	c := newCity(lamp, other)
	b, addr := start(t, c, func(c *Config) { c.MaxConnections = 1 })
	dial(t, addr, lamp)
	o := options4("tcp://"+addr, login(t, other, ""))
	if err := settle(paho.NewClient(o).Connect()); err == nil || !strings.Contains(err.Error(), "Unavailable") {
		t.Errorf("one more than allowed: %v", err)
	}
	dial(t, addr, lamp) // takes its own place
	if s := b.Stats(); s.RefusedUnavailable != 1 || s.Kicked != 1 {
		t.Errorf("%+v", s)
	}
}

func TestClose(t *testing.T) {
	c := newCity(lamp, other)
	b, addr := start(t, c)
	stranger, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	dial(t, addr, lamp)
	silent := knock(t, b, other, 60)
	defer silent.Close()
	until(t, "both online", func() bool { return b.Online(lamp) && b.Online(other) })
	b.Push(other, ota.TopicUpgrade, []byte("never read"))
	begin := time.Now()
	b.Close()
	if took := time.Since(begin); took > wait {
		t.Errorf("Close took %v", took)
	}
	if got := c.log(); strings.Count(got, "offline") != 2 {
		t.Errorf("events when Close returned: %q", got)
	}
	if b.Serve(nopListener{}) != ErrClosed || b.ServeWebSocket(nopListener{}) != ErrClosed || b.Close() != nil {
		t.Error("a closed broker serves")
	}
}

type nopListener struct{}

func (nopListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (nopListener) Close() error              { return nil }
func (nopListener) Addr() net.Addr            { return &net.TCPAddr{} }

// A day of virtual time with the real client: it pings, stays online and gets what
// is pushed at the end.
func TestVirtualDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(lamp)
		b := newBroker(t, c)
		defer b.Close()
		heard, opt := inbox()
		cl := dial(t, "pipe", lamp, opt, func(o *paho.ClientOptions) {
			o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return pipe(b), nil })
		})
		time.Sleep(24 * time.Hour)
		if err := b.Push(lamp, ota.TopicUpgrade, []byte("x")); err != nil {
			t.Fatal(err)
		}
		receive(t, heard)
		cl.Disconnect(0)
		time.Sleep(time.Second)
		if c.log() != "online lamp; offline lamp" {
			t.Errorf("events %q", c.log())
		}
	})
}
