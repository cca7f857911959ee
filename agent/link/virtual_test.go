package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"

	"github.com/leapslot/ota"
)

// These run in virtual time: the real MQTT library and the real broker over
// net.Pipe.

func TestN22ConnectionDropsWhileASendWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		drops := 3
		b.publish = func(cl *mochi.Client) bool {
			if drops == 0 {
				return true
			}
			drops--
			cl.Net.Conn.Close() // received, and never acknowledged
			return false
		}
		l := run(t, Config{Dial: b.dial})
		connected(t, l)
		send(t, l, "owed")
		if got := b.payloads(); len(got) != 1 || got[0] != "owed" {
			t.Errorf("the broker got %q", got)
		}
		if at, _ := b.signIns(); len(at) != 4 {
			t.Errorf("%d connections, must be 4", len(at))
		}
	})
}

// A message that is sent while there is no connection waits for one; several
// that wait all arrive.
func TestN22SendsWaitForAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		began := time.Now()
		l := run(t, Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if time.Since(began) < 5*time.Minute {
				return nil, errors.New("network is unreachable")
			}
			return b.dial(ctx, network, addr)
		}})
		done := make(chan struct{})
		for i := range 20 {
			go func() {
				send(t, l, fmt.Sprint(i))
				done <- struct{}{}
			}()
		}
		for range 20 {
			<-done
		}
		if n := len(b.payloads()); n != 20 {
			t.Errorf("%d messages arrived", n)
		}
	})
}

func TestN25BrokerAbsentAtBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		began := time.Now()
		var mu sync.Mutex
		var attempts [2][]time.Duration
		absent := func(device int) func(context.Context, string, string) (net.Conn, error) {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				mu.Lock()
				attempts[device] = append(attempts[device], time.Since(began))
				mu.Unlock()
				if time.Since(began) < time.Hour {
					return nil, errors.New("connection refused")
				}
				return b.dial(ctx, network, addr)
			}
		}
		first, second := run(t, Config{Dial: absent(0)}), run(t, Config{Dial: absent(1)})
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if err := first.LastError(); err == nil || err.Error() != "connection refused" || first.Connected() {
			t.Errorf("last error %v, connected %v", err, first.Connected())
		}
		mu.Lock()
		tried := [2][]time.Duration{slices.Clone(attempts[0]), slices.Clone(attempts[1])}
		mu.Unlock()
		for _, at := range tried {
			// Pauses of a minute on average, after a few short ones.
			if len(at) < 40 || len(at) > 120 {
				t.Errorf("%d attempts in an hour", len(at))
			}
			var short, long int
			for i := 1; i < len(at); i++ {
				pause, most := at[i]-at[i-1], min(MinBackoff<<min(i-1, 10), MaxBackoff)
				if pause > most {
					t.Errorf("pause %d is %v, more than %v", i, pause, most)
				}
				if i > 6 && pause < MaxBackoff/2 {
					short++
				} else if i > 6 {
					long++
				}
			}
			if short < 8 || long < 8 {
				t.Errorf("%d short and %d long pauses: no jitter", short, long)
			}
		}
		if tried[0][5] == tried[1][5] {
			t.Error("two devices try at the same time")
		}
		connected(t, first)
		_ = second
	})
}

func TestWrongPasswordIsTriedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		b.secret = "another"
		l := run(t, Config{Dial: b.dial})
		time.Sleep(time.Hour)
		at, verdicts := b.signIns()
		if len(at) < 5 || len(at) > 20 || !errors.Is(verdicts[0], ota.ErrSignature) {
			t.Errorf("%d attempts in an hour, %v", len(at), verdicts)
		}
		for i := 1; i < len(at); i++ {
			if at[i].Sub(at[i-1]) < MinRefused/2 {
				t.Errorf("attempt %d came %v after the one before", i, at[i].Sub(at[i-1]))
			}
		}
		if err := l.LastError(); err == nil || !strings.Contains(err.Error(), "device secret") {
			t.Errorf("last error %v", err)
		}
		b.mu.Lock()
		b.secret = secret // set right in the cloud
		b.mu.Unlock()
		connected(t, l)
	})
}

func TestN18HalfOpenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		var last *hole
		l := run(t, Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := b.dial(ctx, network, addr)
			last = newHole(conn)
			return last, err
		}})
		connected(t, l)
		time.Sleep(10 * time.Minute) // pings keep it up
		if at, _ := b.signIns(); len(at) != 1 || !l.Connected() {
			t.Fatalf("%d connections while idle, last error %v", len(at), l.LastError())
		}
		last.swallow()
		began := time.Now()
		send(t, l, "into the hole, then over the next connection")
		if d := time.Since(began); d > DefaultKeepAlive+pingTimeout+15*time.Second {
			t.Errorf("the dead connection was found after %v", d)
		}
		connected(t, l)
		if err := l.LastError(); err == nil || !strings.Contains(err.Error(), "ping") {
			t.Errorf("last error %v", err)
		}
	})
}

func TestBurstOfMessages(t *testing.T) {
	const burst = 300
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		l := run(t, Config{Dial: b.dial})
		connected(t, l)
		b.waitForSubscriber(t)
		for i := range burst {
			b.send(t, ota.TopicUpgrade, numbered(i))
		}
		time.Sleep(time.Second)
		// Nobody received any, and the link works all the same.
		send(t, l, "up")
		if n := l.Dropped(); n != burst-maxQueued-1 { // one is in the pump's hand
			t.Errorf("%d messages dropped", n)
		}
		for range maxQueued + 1 {
			next(t, l)
		}
		// One that receives gets every one.
		before := l.Dropped()
		received := make(chan int)
		go func() {
			n := 0
			for seen := map[string]bool{}; len(seen) < burst && n < 2*burst; n++ {
				seen[string(next(t, l).Payload)] = true
			}
			received <- n
		}()
		for i := range burst {
			b.send(t, ota.TopicUpgrade, numbered(i))
			time.Sleep(time.Millisecond)
		}
		if n := <-received; n != burst || l.Dropped() != before {
			t.Errorf("received %d, dropped %d", n, l.Dropped()-before)
		}
	})
}

// Two sessions of one device throw each other off. That must not be a storm.
func TestKickedOffByAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		first := run(t, Config{Dial: b.dial})
		second := run(t, Config{Dial: b.dial})
		go func() {
			for range 1000 {
				select {
				case <-first.Events():
				case <-second.Events():
				case <-t.Context().Done():
					return
				}
			}
		}()
		time.Sleep(time.Hour)
		at, _ := b.signIns()
		if len(at) < 30 || len(at) > 240 {
			t.Errorf("%d sign-ins in an hour", len(at))
		}
		if err := first.LastError(); err == nil || !strings.Contains(err.Error(), "another session") {
			t.Errorf("last error %v", err)
		}
	})
}
