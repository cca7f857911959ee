package link

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
)

// blockRequest is one that a broker of a test has got.
func blockRequest(t *testing.T, payload []byte) ota.BlockRequest {
	r, err := ota.DecodeBlockRequest(payload)
	if err != nil {
		t.Errorf("%s: %v", payload, err)
	}
	return r
}

// reply answers a request with its offset as data.
func reply(r ota.BlockRequest) ota.Block {
	return ota.Block{ID: r.ID, Code: 200, FileSize: 1 << 20, Offset: r.Offset, Data: bytes.Repeat([]byte{byte(r.Offset)}, r.Size)}
}

var asked = ota.BlockRequest{Stream: ota.Stream{ID: 7, FileID: 1}, Offset: 5, Size: 256}

// A block comes to who asked for it, matched by its id, and never through Events,
// where it could push a notice out; late, double and foreign replies are dropped.
func TestBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		l := run(t, Config{Dial: b.dial})
		b.answer = func(payload []byte) {
			r := blockRequest(t, payload)
			foreign := reply(r)
			foreign.ID, foreign.Data = "x"+r.ID, []byte("foreign")
			for _, a := range []ota.Block{foreign, reply(r), reply(r)} {
				b.send(t, ota.TopicDownloadReply, a.Encode())
			}
			b.send(t, ota.TopicDownloadReply, []byte("no block"))
			b.send(t, ota.TopicDownloadReply, nil)
		}
		connected(t, l)
		b.waitForSubscriber(t)
		for i := range 3 {
			r := asked
			r.Offset = int64(i)
			got, err := l.Block(t.Context(), r, time.Minute)
			if err != nil || got.Code != 200 || got.Offset != int64(i) || !bytes.Equal(got.Data, reply(r).Data) {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		synctest.Wait()
		b.send(t, ota.TopicUpgrade, []byte("notice"))
		if e := next(t, l); e.Kind != ota.TopicUpgrade || l.Dropped() != 0 {
			t.Errorf("event %v, %d dropped", e.Kind, l.Dropped())
		}
		if len(l.blocks.by) != 0 {
			t.Errorf("%d requests are still waited for", len(l.blocks.by))
		}
	})
}

// A refusal is a reply like another; a damaged block is told at once.
func TestBlockRefusedAndDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		l := run(t, Config{Dial: b.dial})
		var answer func(r ota.BlockRequest) []byte
		b.answer = func(payload []byte) { b.send(t, ota.TopicDownloadReply, answer(blockRequest(t, payload))) }
		connected(t, l)
		b.waitForSubscriber(t)
		answer = func(r ota.BlockRequest) []byte { return ota.Block{ID: r.ID, Code: 403, Message: "no"}.Encode() }
		if got, err := l.Block(t.Context(), asked, time.Minute); err != nil || got.Code != 403 || got.Message != "no" {
			t.Errorf("%+v, %v", got, err)
		}
		answer = func(r ota.BlockRequest) []byte {
			p := reply(r).Encode()
			p[len(p)-3] ^= 1
			return p
		}
		if _, err := l.Block(t.Context(), asked, time.Minute); err == nil || !strings.Contains(err.Error(), "CRC") {
			t.Errorf("damaged: %v", err)
		}
	})
}

// Silence ends after the patience of who asks, which does not run while there is no
// connection; a connection that breaks ends the wait at once.
func TestBlockPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		l, err := New(Config{URL: "mqtt://broker.test", Credentials: testCredentials(), Dial: b.dial})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 1)
		ask := func() {
			_, err := l.Block(ctx, asked, 20*time.Second)
			got <- err
		}
		go ask()
		time.Sleep(time.Hour) // no connection yet
		begun := time.Now()
		ended := make(chan struct{})
		go func() { defer close(ended); l.Run(ctx) }()
		if err := <-got; !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 20*time.Second {
			t.Errorf("silence: %v after %v", err, time.Since(begun))
		}
		go ask()
		time.Sleep(time.Second)
		b.mu.Lock()
		b.latest.Stop(nil)
		b.mu.Unlock()
		begun = time.Now()
		if err := <-got; err == nil || errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second {
			t.Errorf("a broken connection: %v after %v", err, time.Since(begun))
		}
		time.Sleep(time.Minute) // connected again
		go ask()
		time.Sleep(time.Second)
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		<-ended
	})
}
