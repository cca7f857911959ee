package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leapslot/ota"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Who the daemon of the tests is.
const (
	testProduct = "a1b2c3"
	testDevice  = "dev-1"
	testSecret  = "s3cret"
)

// broker is a real broker that knows one device and answers what it asks.
type broker struct {
	mochi.HookBase
	server *mochi.Server
	url    string

	mu     sync.Mutex
	got    []string // "topic payload" of what the device published
	notice string   // data of the answer to a question; "{}" is nothing
	silent bool     // no answer at all
}

func (b *broker) Provides(e byte) bool {
	return slices.Contains([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublished}, e)
}

func (b *broker) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	l := ota.Login{ClientID: cl.ID, Username: string(pk.Connect.Username), Password: string(pk.Connect.Password)}
	return l.Username == testDevice+"&"+testProduct && l.Verify(testSecret) == nil
}

func (b *broker) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// OnPublished notes what came and answers a question, in a goroutine of its
// own, since it is called from the client's.
func (b *broker) OnPublished(_ *mochi.Client, pk packets.Packet) {
	kind, device, ok := ota.ParseTopic(pk.TopicName)
	if !ok || !kind.Up() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, pk.TopicName+" "+string(pk.Payload))
	if kind == ota.TopicGet && !b.silent {
		answer := fmt.Sprintf(`{"id":"1","code":200,"data":%s,"message":"success"}`, b.notice)
		go b.server.Publish(ota.TopicGetReply.Of(device), []byte(answer), false, 1)
	}
}

// answerWith sets the data of the next answers.
func (b *broker) answerWith(data string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notice = data
}

// wait waits for a message that contains all the words.
func (b *broker) wait(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a message with %q", words), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.got, func(m string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(m, w) })
		})
	})
}

// startBroker listens on addr, "127.0.0.1:0" for any port.
func startBroker(t *testing.T, addr string) *broker {
	t.Helper()
	b := &broker{notice: "{}"}
	b.server = mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := b.server.AddHook(b, nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: addr})
	if err := b.server.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.server.Close() })
	b.url = "mqtt://" + l.Address()
	return b
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
