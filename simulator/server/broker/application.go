package broker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// An application is a program that signs in with an access key and hears of what
// happens to the devices of its account. It is no device: it has no place that a
// newer connection takes, says nothing, and is not the Sink's concern. It shares with
// devices what is read before a good CONNECT, and the queue that a session has.

// Limits of applications.
const (
	MaxApplications = 10             // connections of one access key at a time
	MaxQueuedEvents = 16 * MaxQueued // events that wait for one application
	maxKeyIDLen     = 128
	maxTimeLen      = 20 // digits of the timestamp in a client id
)

// Applications knows the access keys, and what their accounts own. Its methods are
// called by many goroutines at once.
type Applications interface {
	// AccessKey gives a key's secret and account, or an error that wraps [ErrUnknown].
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	// Owns reports whether there is such a product and the account may see it.
	Owns(ctx context.Context, account, product string) bool
}

// AccessKey is what an application signs in with. Account "" may see everything.
type AccessKey struct{ ID, Secret, Account string }

// Told is an event for the applications of an account. The payload must not be changed
// afterwards.
type Told struct {
	Account string
	Topic   string
	Payload []byte
}

// audience is the applications that are connected.
type audience struct {
	mu  sync.Mutex
	all map[*application]struct{}
}

// application is the connection of one.
type application struct {
	*session
	key AccessKey

	filterMu sync.Mutex
	filters  []subscription
}

type subscription struct {
	filter string
	levels []string
	qos    byte
}

// Sign gives the password of an application whose client id begins with id: lowercase
// hexadecimal HMAC-SHA256.
func (k AccessKey) Sign(id, timestamp string) string {
	return hex.EncodeToString(k.sign(id, timestamp))
}

func (k AccessKey) sign(id, timestamp string) []byte {
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte("clientId" + id + "timestamp" + timestamp))
	return mac.Sum(nil)
}

// forApplication reports whether a client id says authMode=accesskey.
func forApplication(clientID string) bool {
	_, params, _ := strings.Cut(clientID, "|")
	return slices.Contains(strings.Split(strings.TrimSuffix(params, "|"), ","), "authMode=accesskey")
}

// applicant checks what an application's CONNECT claims. A key that does not exist is
// told in the words for a wrong password: which keys there are is nobody's business.
func (b *Broker) applicant(c connect) (AccessKey, *refusal) {
	id, err := ota.ParseClientID(c.clientID)
	if err != nil {
		return AccessKey{}, refuse(codeParameters, "%v", err)
	}
	if n := len(id.Timestamp); n == 0 || n > maxTimeLen || strings.Trim(id.Timestamp, "0123456789") != "" {
		return AccessKey{}, refuse(codeParameters, "an application's timestamp is 1 to %d digits", maxTimeLen)
	}
	if c.username == "" || len(c.username) > maxKeyIDLen {
		return AccessKey{}, refuse(codeParameters, "an access key's id has 1 to %d characters", maxKeyIDLen)
	}
	if no := c.checkKeepAlive(); no != nil {
		return AccessKey{}, no
	}
	if b.config.Applications == nil || id.Method != ota.HMACSHA256 {
		return AccessKey{}, refuse(codePassword, "applications with signmethod %.20q are not offered", id.Method)
	}
	ctx, cancel := context.WithTimeout(context.Background(), ConnectTimeout)
	defer cancel()
	k, err := b.config.Applications.AccessKey(ctx, c.username)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return AccessKey{}, refuse(codeUnavailable, "%v", err)
	}
	got, bad := hex.DecodeString(c.password)
	if same := hmac.Equal(got, k.sign(id.ID, id.Timestamp)); err != nil || bad != nil || k.Secret == "" || !same {
		return AccessKey{}, refuse(codePassword, "no such access key, or the password is not signed with its secret")
	}
	return k, nil
}

// enterApplication serves an application to its end, or refuses it.
func (b *Broker) enterApplication(conn net.Conn, c connect, rest []byte) {
	k, no := b.applicant(c)
	var a *application
	if no == nil {
		a, no = b.seat(conn, k)
	}
	if no != nil {
		b.count.refused(no.code)
		conn.Write(connack(no.code))
		b.warn("sign-in of an application refused", "remote", remote(conn), "key", clip(c.username), "code", no.code, "why", no.text)
		return
	}
	defer b.unseat(a)
	defer func() {
		if p := recover(); p != nil { // as in Broker.serve
			b.log.Error("panic while serving an application", "key", k.ID, "why", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	a.level, a.keepAlive, a.ahead = c.level, min(c.keepAlive, MaxKeepAlive), rest
	a.wire = newWire(conn, a.session, a.level, a.keepAlive)
	b.count.accepted.Add(1)
	if a.wire.send(connack(codeAccepted)) != nil || !a.established() {
		return
	}
	b.log.Info("application connected", "key", k.ID, "remote", remote(conn))
	a.wire.read(a.handle)
}

// seat gives a connection its place, unless its key has enough of them: nobody is
// thrown out for it.
func (b *Broker) seat(conn net.Conn, k AccessKey) (*application, *refusal) {
	a := &application{session: newSession(b, conn, ota.Device{}), key: k}
	a.room = MaxQueuedEvents/MaxQueued - 1
	b.audience.mu.Lock()
	defer b.audience.mu.Unlock()
	n := 0
	for other := range b.audience.all {
		if other.key.ID == k.ID {
			n++
		}
	}
	if n >= MaxApplications {
		return nil, refuse(codeUnavailable, "%d applications are connected with this access key, as many as are allowed", n)
	}
	b.audience.all[a] = struct{}{}
	return a, nil
}

func (b *Broker) unseat(a *application) {
	a.end()
	a.writers.Wait()
	b.audience.mu.Lock()
	defer b.audience.mu.Unlock()
	delete(b.audience.all, a)
}

func (b *Broker) applications() []*application {
	b.audience.mu.Lock()
	defer b.audience.mu.Unlock()
	list := make([]*application, 0, len(b.audience.all))
	for a := range b.audience.all {
		list = append(list, a)
	}
	return list
}

// HasApplications reports whether anybody could hear an event.
func (b *Broker) HasApplications() bool {
	b.audience.mu.Lock()
	defer b.audience.mu.Unlock()
	return len(b.audience.all) > 0
}

// CheckApplications ends the connections of access keys that are no more, or have
// another secret or account. While a key cannot be looked up its connections stay.
func (b *Broker) CheckApplications(ctx context.Context) {
	for _, a := range b.applications() {
		k, err := b.config.Applications.AccessKey(ctx, a.key.ID)
		if errors.Is(err, ErrUnknown) || err == nil && k != a.key {
			b.log.Info("application disconnected: its access key is no more", "key", a.key.ID)
			a.end()
		}
	}
}

// Tell queues an event for every application of its account that has subscribed to its
// topic, once, and returns at once. An application whose queue is full misses it.
func (b *Broker) Tell(e Told) {
	if len(e.Payload) > ota.MaxMessageLen {
		return
	}
	levels := strings.Split(e.Topic, "/")
	for _, a := range b.applications() {
		if a.key.Account != "" && a.key.Account != e.Account {
			continue
		}
		if qos, ok := a.wants(levels); ok {
			_ = a.push(message{topic: e.Topic, payload: e.Payload, qos: qos}) // counted there when it is lost
		}
	}
}

// wants gives the best QoS that a topic was subscribed with.
func (a *application) wants(topic []string) (qos byte, ok bool) {
	a.filterMu.Lock()
	defer a.filterMu.Unlock()
	for i := range a.filters {
		if topicFits(a.filters[i].levels, topic) {
			qos, ok = max(qos, a.filters[i].qos), true
		}
	}
	return qos, ok
}

// handle deals with a packet of an application; an error ends the connection.
func (a *application) handle(pk *packets.Packet) error {
	ok := false
	switch pk.FixedHeader.Type {
	case packets.Publish: // as a device that publishes where it must not
		a.refuse("publish", pk.TopicName, "applications do not publish")
		ok = pk.FixedHeader.Qos == 0 && a.wait(&a.pace)
	case packets.Puback:
		a.broker.count.acked.Add(1)
		ok = true
	case packets.Pingreq:
		ok = a.answer(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}})
	case packets.Subscribe:
		ok = a.subscribe(pk)
	case packets.Unsubscribe:
		ok = a.unsubscribe(pk)
	}
	if !ok {
		return errEnd
	}
	return nil
}
