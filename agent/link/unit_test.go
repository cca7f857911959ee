package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/leapslot/ota"
)

func TestQueueDropsTheOldestMessageAndNoNews(t *testing.T) {
	q := queue{wake: make(chan struct{}, 1)}
	q.add(ota.Event{Kind: ota.TopicUpgrade, Payload: numbered(0)})
	q.add(ota.Event{})
	q.add(ota.Event{}) // one piece of news is enough
	for i := 1; i < 200; i++ {
		q.add(ota.Event{Kind: ota.TopicUpgrade, Payload: numbered(i)})
	}
	if n := q.dropped.Load(); n != 200-(maxQueued-1) {
		t.Errorf("%d dropped", n)
	}
	if e, ok := q.take(); !ok || e.Kind != 0 {
		t.Errorf("first is %v %v, must be the news", e, ok)
	}
	for i := 200 - (maxQueued - 1); i < 200; i++ {
		if e, ok := q.take(); !ok || string(e.Payload) != string(numbered(i)) {
			t.Fatalf("message %d is %v", i, ok)
		}
	}
	if _, ok := q.take(); ok || q.bytes != 0 {
		t.Errorf("%d bytes are left", q.bytes)
	}
	for range 10 { // large ones are bounded by their bytes
		q.add(ota.Event{Kind: ota.TopicUpgrade, Payload: make([]byte, ota.MaxMessageLen)})
	}
	if q.bytes > maxQueuedBytes || len(q.events) != maxQueuedBytes/ota.MaxMessageLen {
		t.Errorf("%d messages of %d bytes are held", len(q.events), q.bytes)
	}
}

func TestPausesAreSpread(t *testing.T) {
	var low, high int
	for range 1000 {
		switch d := pause(1000, false); {
		case d < 0 || d > MaxBackoff:
			t.Fatalf("pause %v", d)
		case d < MaxBackoff/4:
			low++
		case d > MaxBackoff*3/4:
			high++
		}
		if d := pause(1000, true); d < MaxRefused/2 || d > MaxRefused {
			t.Fatalf("pause after a refusal %v", d)
		}
		if d := pause(1, false); d > MinBackoff {
			t.Fatalf("first pause %v", d)
		}
	}
	if low < 150 || high < 150 {
		t.Errorf("of 1000 pauses %d are in the first quarter, %d in the last", low, high)
	}
}

func TestRefusals(t *testing.T) {
	for code, words := range map[byte]string{1: "CONNACK 1", 2: "malformed", 4: "check the device secret", 5: "disabled"} {
		err := explain(code, errors.New("x"))
		var r refusal
		if !errors.As(err, &r) || !strings.Contains(err.Error(), words) {
			t.Errorf("CONNACK %d: %v", code, err)
		}
	}
	network := fmt.Errorf("%w : %w", packets.ErrorNetworkError, errors.New("connection refused"))
	for code, err := range map[byte]error{3: errors.New("x"), packets.ErrNetworkError: network} {
		var r refusal
		if errors.As(explain(code, err), &r) {
			t.Errorf("code %#x is taken for a refusal", code)
		}
	}
	if got := explain(packets.ErrNetworkError, network).Error(); got != "connection refused" {
		t.Errorf("a refused connection reads %q", got)
	}
}

// answering is a broker of a few lines: it accepts any sign-in and then writes
// what it is told.
func answering(t *testing.T, after []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := packets.ReadPacket(conn); err != nil {
					return
				}
				_, _ = conn.Write(append([]byte{0x20, 2, 0, 0}, after...))
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// A packet of 256 MB must not be allocated because its head says so.
func TestHugePacketEndsTheConnection(t *testing.T) {
	for name, head := range map[string][]byte{
		"huge":      {0x30, 0xff, 0xff, 0xff, 0x7f},
		"too large": binary.AppendUvarint([]byte{0x30}, maxPacket+1),
		"five":      {0x30, 0x80, 0x80, 0x80, 0x80, 0x01},
	} {
		t.Run(name, func(t *testing.T) {
			l := run(t, Config{URL: "mqtt://" + answering(t, head)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for l.LastError() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			runtime.ReadMemStats(&after)
			if err := l.LastError(); !strings.Contains(err.Error(), "packet of more than") {
				t.Errorf("last error %v", err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
}

func publishPacket(topic string, payload []byte) []byte {
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(topic))), topic...)
	body = append(body, payload...)
	return append(binary.AppendUvarint([]byte{0x30}, uint64(len(body))), body...)
}

func TestMessagesThatAreIgnored(t *testing.T) {
	mine := ota.TopicUpgrade.Of(testDevice())
	var stream []byte
	for _, p := range []struct {
		topic   string
		payload []byte
	}{
		{"/ota/device/upgrade/a1QR3GD1Db3/another", []byte("1")},
		{"/something/else", []byte("2")},
		{ota.TopicInform.Of(testDevice()), []byte("3")},
		{mine, make([]byte, ota.MaxMessageLen+1)},
		{mine, []byte("4")},
	} {
		stream = append(stream, publishPacket(p.topic, p.payload)...)
	}
	l := run(t, Config{URL: "mqtt://" + answering(t, stream)})
	for i, want := range []string{"", "4"} { // the news of the connection come first
		if e := next(t, l); e.Kind == 0 != (i == 0) || string(e.Payload) != want {
			t.Errorf("event %v of %d bytes", e.Kind, len(e.Payload))
		}
	}
}

// Messages come in the order in which the cloud sent them: the newest notice counts.
func TestMessagesKeepTheirOrder(t *testing.T) {
	var stream []byte
	const n = maxQueued - 2
	for i := range n {
		stream = append(stream, publishPacket(ota.TopicUpgrade.Of(testDevice()), []byte{byte(i)})...)
	}
	l := run(t, Config{URL: "mqtt://" + answering(t, stream)})
	if e := next(t, l); e.Kind != 0 {
		t.Fatalf("event %v comes before the news of its connection", e.Kind)
	}
	for i := range n {
		if e := next(t, l); len(e.Payload) != 1 || e.Payload[0] != byte(i) {
			t.Fatalf("message %d is %v", i, e.Payload)
		}
	}
}

func FuzzFraming(f *testing.F) {
	f.Add(publishPacket("/a", []byte("hello")), byte(3))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, byte(1))
	f.Add([]byte{0xd0, 0, 0xd0, 0}, byte(2))
	f.Fuzz(func(t *testing.T, stream []byte, chunk byte) {
		var whole, parts framing
		a := whole.feed(stream)
		var b error
		for rest := stream; b == nil && len(rest) > 0; {
			n := min(int(chunk)+1, len(rest))
			b = parts.feed(rest[:n])
			rest = rest[n:]
		}
		if (a == nil) != (b == nil) || a == nil && whole != parts {
			t.Errorf("whole: %v %+v, in parts: %v %+v", a, whole, b, parts)
		}
		if whole.body < 0 || whole.body > maxPacket {
			t.Errorf("%d bytes are left", whole.body)
		}
	})
}
