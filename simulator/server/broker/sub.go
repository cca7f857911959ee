package broker

import (
	"strconv"
	"sync"
	"time"

	"github.com/leapslot/ota"
)

// sub is a sub-device that is logged in over its gateway's connection. For the sink it
// is a device like any other: its Offline comes before the next Online, wherever that
// one is, and never beside an Uplink.
type sub struct {
	gateway *session
	device  ota.Device
	done    chan struct{} // closed when the sink has had the Offline

	// Of the goroutine that reads the gateway's connection.
	topics []string // subscribed
	pace   pace

	turn   sync.Mutex // held while the device before it leaves, and while the sink is told something of it
	online bool       // with over guarded by Broker.mu
	over   bool
}

// place gives the sub-device's place to this connection. Who held it is gone when it
// returns, and was told.
func (s *session) place(d ota.Device) *sub {
	b := s.broker
	u := &sub{gateway: s, device: d, done: make(chan struct{}), pace: newPace(b.config)}
	u.turn.Lock() // who throws u out meanwhile must not come in before its forerunner is gone
	defer u.turn.Unlock()
	b.mu.Lock()
	old, oldSub := b.sessions[d], b.subs[d]
	delete(b.sessions, d)
	b.subs[d] = u
	why := ota.GatewayReplaced
	if oldSub != nil && oldSub.gateway == s {
		why = ota.GatewayOK // not a word to a gateway of what it does itself
	}
	if s.subs == nil {
		s.subs = map[ota.Device]*sub{}
	}
	s.subs[d] = u
	s.setRoom()
	b.mu.Unlock()
	if old != nil {
		if old.endFor(Replaced) {
			b.count.kicked.Add(1)
		}
		<-old.done
	}
	if oldSub != nil {
		b.endSub(oldSub, why)
		<-oldSub.done
	}
	return u
}

// setRoom makes room in the queue for the sub-devices. Broker.mu is held.
func (s *session) setRoom() {
	s.mu.Lock()
	s.room = len(s.subs)
	s.mu.Unlock()
}

// begin brings the sub-device online, unless it was thrown out meanwhile.
func (u *sub) begin() {
	b := u.gateway.broker
	u.turn.Lock()
	defer u.turn.Unlock()
	b.mu.Lock()
	u.online = !u.over
	b.mu.Unlock()
	if u.online {
		b.count.subDevices.Add(1)
		if w := b.config.Witness; w != nil {
			w.Connected(u.device, Arrival{Gateway: u.gateway.device.Name})
		}
		b.config.Sink.Online(u.device)
	}
}

// KickSub ends a sub-device's session, if it is logged in over a gateway, and does not
// wait for the end. Its gateway is told why, but for GatewayOK.
func (b *Broker) KickSub(d ota.Device, why ota.GatewayCode) bool {
	b.mu.Lock()
	u := b.subs[d]
	b.mu.Unlock()
	return u != nil && b.endSub(u, why)
}

// endSub ends a sub-device's session and tells its gateway, but for GatewayOK. It does
// not wait: u.done is closed when the sink has had the Offline. It may be called from
// within the sink.
func (b *Broker) endSub(u *sub, why ota.GatewayCode) bool {
	b.mu.Lock()
	if u.over {
		b.mu.Unlock()
		return false
	}
	u.over = true
	b.conns.Add(1) // the gateway's connection, which is one too, waits for this one's end
	b.mu.Unlock()
	if why != ota.GatewayOK {
		b.count.kicked.Add(1)
		b.tell(u, why)
	}
	go func() {
		defer b.conns.Done()
		u.turn.Lock()
		defer u.turn.Unlock()
		if u.online {
			b.count.subDevices.Add(-1)
			b.config.Sink.Offline(u.device)
			if w := b.config.Witness; w != nil {
				w.Disconnected(u.device, endingOfSub(why))
			}
		}
		b.forgetSub(u)
		close(u.done)
	}()
	return true
}

// forgetSub gives the place back, if nobody has taken it yet. Only now: who comes next
// has to find whom to wait for.
func (b *Broker) forgetSub(u *sub) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs[u.device] == u {
		delete(b.subs, u.device)
	}
	if u.gateway.subs[u.device] == u {
		delete(u.gateway.subs, u.device)
	}
	u.gateway.setRoom()
}

// tell tells the gateway that its sub-device was thrown out.
func (b *Broker) tell(u *sub, why ota.GatewayCode) {
	m := ota.GatewayReply{
		ID: strconv.FormatInt(time.Now().UnixMilli(), 10), Code: why,
		Message: "the sub-device's session has ended", Subs: []ota.Device{u.device},
	}
	_ = u.gateway.push(message{topic: ota.TopicError.Of(u.gateway.device), payload: m.Encode(ota.TopicError), of: u.gateway.device, kind: ota.TopicError}) // or it is gone too
}

// endSubs ends all sub-devices of a connection that has ended, and returns when the
// sink has had their Offline.
func (b *Broker) endSubs(s *session) {
	b.mu.Lock()
	all := make([]*sub, 0, len(s.subs))
	for _, u := range s.subs {
		all = append(all, u)
	}
	b.mu.Unlock()
	for _, u := range all {
		b.endSub(u, ota.GatewayOK)
	}
	for _, u := range all {
		<-u.done
	}
}
