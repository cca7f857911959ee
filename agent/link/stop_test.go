package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"

	"github.com/leapslot/ota"
)

func TestContextStopsTheLinkAtOnce(t *testing.T) {
	silent := func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() { // takes CONNECT, and says nothing
			buf := make([]byte, 1024)
			for {
				if _, err := there.Read(buf); err != nil {
					return
				}
			}
		}()
		return here, nil
	}
	for name, dial := range map[string]func(*broker) func(context.Context, string, string) (net.Conn, error){
		"connected": func(b *broker) func(context.Context, string, string) (net.Conn, error) { return b.dial },
		"dialling": func(*broker) func(context.Context, string, string) (net.Conn, error) {
			return func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		},
		"no CONNACK": func(*broker) func(context.Context, string, string) (net.Conn, error) { return silent },
		"a pause": func(*broker) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		},
		"no reader": func(*broker) func(context.Context, string, string) (net.Conn, error) {
			return func(context.Context, string, string) (net.Conn, error) { here, _ := net.Pipe(); return here, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := virtualBroker(t)
				l := run(t, Config{Dial: dial(b)}) // its cleanup measures
				time.Sleep(10 * time.Second)
				if l.Connected() != (name == "connected") {
					t.Errorf("connected: %v", l.Connected())
				}
				if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "runs already") {
					t.Errorf("a second Run: %v", err)
				}
			})
		})
	}
}

func TestSilentBrokerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		l := run(t, Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			here, there := net.Pipe()
			go func() {
				buf := make([]byte, 1024)
				for {
					if _, err := there.Read(buf); err != nil {
						return
					}
				}
			}()
			return here, nil
		}})
		time.Sleep(10 * time.Minute)
		if err := l.LastError(); err == nil || err.Error() != "the broker did not answer within 45s" || dials.Load() < 5 {
			t.Errorf("%d attempts, last error %v", dials.Load(), err)
		}
	})
}

// stuck is a network that takes what it is sent until it is stuck: then writes
// wait for their deadline.
func TestStuckWritesBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		var stuck atomic.Bool
		l := run(t, Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := b.dial(ctx, network, addr)
			return &jam{Conn: conn, stuck: &stuck, nobody: newNobody()}, err
		}})
		connected(t, l)
		send(t, l, "before")
		stuck.Store(true)
		began := time.Now()
		for range 1000 {
			l.Post(ota.TopicProgress, []byte("progress"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Send(ctx, ota.TopicInform, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stuck Send: %v", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("1000 posts and a Send of one second took %v", d)
		}
		time.Sleep(writeTimeout)
		stuck.Store(false)
		send(t, l, "after")
		if err := l.LastError(); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("last error %v", err)
		}
		time.Sleep(time.Minute) // whoever the library still holds is let go
	})
}

type jam struct {
	net.Conn
	stuck  *atomic.Bool
	nobody net.Conn
}

// newNobody is a pipe that is not read from.
func newNobody() net.Conn { here, _ := net.Pipe(); return here }

func (j *jam) Write(p []byte) (int, error) {
	if j.stuck.Load() {
		return j.nobody.Write(p)
	}
	return j.Conn.Write(p)
}

func (j *jam) SetWriteDeadline(t time.Time) error {
	_ = j.nobody.SetWriteDeadline(t)
	return j.Conn.SetWriteDeadline(t)
}

func (j *jam) Close() error {
	j.nobody.Close()
	return j.Conn.Close()
}

// A broker that takes everything and acknowledges nothing is left in the end,
// before what the library keeps for it fills the memory.
func TestBrokerThatAcknowledgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		b.publish = func(*mochi.Client) bool { return false }
		l := run(t, Config{Dial: b.dial})
		connected(t, l)
		for i := range maxUnacknowledged {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := l.Send(ctx, ota.TopicInform, []byte("x"))
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not acknowledged") {
				t.Fatalf("send %d: %v", i, err)
			}
		}
		connected(t, l)
		if err := l.LastError(); err == nil || !strings.Contains(err.Error(), "acknowledges nothing") {
			t.Errorf("last error %v", err)
		}
	})
}

func TestPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := virtualBroker(t)
		l := run(t, Config{Dial: b.dial})
		connected(t, l)
		var want []string
		for i := range 5 {
			for _, percent := range []string{"10", "20"} {
				l.Post(ota.TopicProgress, []byte(percent))
			}
			send(t, l, fmt.Sprint("final ", i)) // never before what was posted before it
			want = append(want, "10", "20", fmt.Sprint("final ", i))
		}
		if got := b.payloads(); !slices.Equal(got, want) {
			t.Errorf("the broker got %q", got)
		}
	})
}
