package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota"
)

// Bounds of what a gateway holds in memory for its sub-devices.
const (
	maxSubQueued      = 4096 // messages that wait for their receiver
	maxSubQueuedBytes = 4 << 20
)

// Gateway is a link as a gateway uses it for the sub-devices behind it (protocol
// section 1): one connection that carries the topics of several devices. The
// gateway's own agent goes on using the [Link] and does not notice. Its methods may
// be called from any goroutine.
//
// Everything goes out with QoS 0: the platform ends the connection of a gateway
// that publishes with QoS 1 for a sub-device that it has just thrown out. What must
// arrive is confirmed by a question that is asked after it and is answered.
type Gateway struct {
	link    *Link
	subs    map[ota.Device]bool
	wake    chan struct{} // of capacity 1: there may be something new
	dropped atomic.Uint64

	mu    sync.Mutex
	queue []routed
	bytes int
}

// routed is an event and whom it is for; nobody when it is news of the connection.
type routed struct {
	device ota.Device
	event  ota.Event
}

// Gateway makes the link carry the topics of sub-devices as well. It is called
// before [Link.Run], once.
func (l *Link) Gateway(subs []ota.Device) (*Gateway, error) {
	if l.running.Load() || l.gateway != nil {
		return nil, errors.New("a link becomes a gateway's before it runs, and once")
	}
	g := &Gateway{link: l, subs: map[ota.Device]bool{}, wake: make(chan struct{}, 1)}
	for _, d := range subs {
		if err := d.Validate(); err != nil {
			return nil, fmt.Errorf("sub-device %s: %w", d, err)
		}
		if d == l.device || g.subs[d] {
			return nil, fmt.Errorf("sub-device %s is the gateway itself, or named twice", d)
		}
		g.subs[d] = true
	}
	l.gateway = g
	return g, nil
}

// Next waits for what the cloud sends next: to a sub-device on its topics, or to the
// gateway on the topics of gateways; what is for the gateway as a device comes from
// [Link.Events]. News of a new connection is an event of Kind 0 for no device, and
// comes before everything that the connection brought: what was not received
// of the connection before is dropped. Of more than 4,096 messages or
// 4 MiB the oldest are dropped, too. The error is the context's.
func (g *Gateway) Next(ctx context.Context) (ota.Device, ota.Event, error) {
	for {
		if m, ok := g.take(); ok {
			return m.device, m.event, nil
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return ota.Device{}, ota.Event{}, context.Cause(ctx)
		}
	}
}

// Dropped counts the messages that were lost because nobody received them.
func (g *Gateway) Dropped() uint64 { return g.dropped.Load() }

// Publish hands a message to the connection that is there, after everything
// published before. nil does not mean that it arrived, but when it did
// not, nothing that is published later on the same connection does. The error is
// that there is no connection, that it broke, or the end of the context.
func (g *Gateway) Publish(ctx context.Context, d ota.Device, kind ota.TopicKind, payload []byte) error {
	m, s, err := g.outgoing(d, kind, payload)
	if err != nil {
		return err
	}
	select {
	case s.posts <- m:
		return nil
	case <-s.done:
		return errCut
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Post publishes if that is possible at once; else the message is dropped.
func (g *Gateway) Post(d ota.Device, kind ota.TopicKind, payload []byte) {
	m, s, err := g.outgoing(d, kind, payload)
	if err != nil {
		return
	}
	select {
	case s.posts <- m:
	default:
	}
}

// Block asks for a part of a file on a sub-device's topic, as [Link.Block] does on
// the gateway's own.
func (g *Gateway) Block(ctx context.Context, d ota.Device, r ota.BlockRequest, patience time.Duration) (ota.Block, error) {
	if !g.subs[d] {
		return ota.Block{}, fmt.Errorf("%s is no sub-device of this gateway", d)
	}
	return g.link.block(ctx, d, r, patience)
}

func (g *Gateway) outgoing(d ota.Device, kind ota.TopicKind, payload []byte) (outgoing, *session, error) {
	if own := d == g.link.device; own != kind.Gateway() || !own && !g.subs[d] {
		return outgoing{}, nil, fmt.Errorf("a gateway does not publish on topics of kind %d of %s", kind, d)
	}
	if err := publishable(kind, payload); err != nil {
		return outgoing{}, nil, err
	}
	g.link.mu.Lock()
	s := g.link.cur
	g.link.mu.Unlock()
	if s == nil {
		return outgoing{}, nil, errors.New("there is no connection to the cloud")
	}
	return outgoing{topic: kind.Of(d), payload: payload}, s, nil
}

// receive takes a message that is not for the gateway as a device; false: it is for
// no sub-device either.
func (g *Gateway) receive(kind ota.TopicKind, d ota.Device, payload []byte) bool {
	if g == nil || !kind.Down() || !(g.subs[d] && !ofGateways(kind) || d == g.link.device && ofGateways(kind)) {
		return false
	}
	switch {
	case len(payload) > ota.MaxMessageLen:
		g.link.cfg.Log.Warn("a message that is too long was ignored", "device", d.String(), "bytes", len(payload))
	case kind == ota.TopicDownloadReply:
		if err := g.link.blocks.deliver(payload); err != nil {
			g.link.cfg.Log.Debug("a block was ignored", "why", err)
		}
	default:
		g.add(routed{d, ota.Event{Kind: kind, Payload: payload}})
	}
	return true
}

// ofGateways reports whether the platform publishes on this kind of topic to
// gateways only.
func ofGateways(kind ota.TopicKind) bool {
	return kind.Down() && !slices.Contains(ota.DownTopics(), kind)
}

// connected is the news of a new connection. A reply that came over an older one
// must not be taken for the answer to a question asked over this one.
func (g *Gateway) connected() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.queue, g.bytes = nil, 0
	g.mu.Unlock()
	g.add(routed{})
}

func (g *Gateway) add(m routed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, m)
	g.bytes += len(m.event.Payload)
	for len(g.queue) > maxSubQueued || g.bytes > maxSubQueuedBytes {
		oldest := 0
		if g.queue[0].event.Kind == 0 {
			oldest = 1 // the news is first, and stays
		}
		g.bytes -= len(g.queue[oldest].event.Payload)
		g.queue = slices.Delete(g.queue, oldest, oldest+1)
		g.dropped.Add(1)
	}
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *Gateway) take() (routed, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.queue = nil // gives a burst's memory back
		return routed{}, false
	}
	m := g.queue[0]
	g.queue = g.queue[1:]
	g.bytes -= len(m.event.Payload)
	return m, true
}

// filters are the gateway's own; those of its sub-devices would be more than a
// client may have, and the platform delivers without.
func (g *Gateway) filters(to map[string]byte) {
	if g == nil {
		return
	}
	for _, kind := range []ota.TopicKind{ota.TopicTopoAddReply, ota.TopicLoginReply, ota.TopicError} {
		to[kind.Of(g.link.device)] = 0
	}
}
