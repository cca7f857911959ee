package link

import (
	"context"
	"errors"
	"fmt"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/leapslot/ota"
)

// Send publishes on the device's topic of the kind, with QoS 1, and returns nil
// only when the broker has acknowledged it. It waits for a connection, and
// sends again on the next one when a connection breaks first: the message
// arrives at least once. Any other result is the end of the context, or a
// message that cannot be sent at all; after the former the message may have
// arrived all the same. The payload must not be changed afterwards.
func (l *Link) Send(ctx context.Context, kind ota.TopicKind, payload []byte) error {
	topic, err := l.topic(kind, payload)
	if err != nil {
		return err
	}
	for {
		s, err := l.await(ctx)
		if err != nil {
			if last := l.LastError(); last != nil {
				return fmt.Errorf("not sent: %w (%v)", err, last)
			}
			return fmt.Errorf("not sent: %w (there is no connection)", err)
		}
		if s.publish(ctx, topic, payload) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("sent, but not acknowledged: %w", context.Cause(ctx))
		}
	}
}

// Post publishes with QoS 0 if that is possible at once; else the message is
// dropped. It never blocks, and it arrives before a message that is sent later.
func (l *Link) Post(kind ota.TopicKind, payload []byte) {
	topic, err := l.topic(kind, payload)
	if err != nil {
		return
	}
	l.mu.Lock()
	s := l.cur
	l.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case s.posts <- outgoing{topic: topic, payload: payload}:
	default:
	}
}

func (l *Link) topic(kind ota.TopicKind, payload []byte) (string, error) {
	if err := publishable(kind, payload); err != nil {
		return "", err
	}
	return kind.Of(l.device), nil
}

func publishable(kind ota.TopicKind, payload []byte) error {
	if !kind.Up() {
		return fmt.Errorf("a device does not publish on topics of kind %d", kind)
	}
	if len(payload) > ota.MaxMessageLen {
		return fmt.Errorf("the message has %d bytes, the platform takes at most %d", len(payload), ota.MaxMessageLen)
	}
	return nil
}

// publish sends once on this connection and reports whether it was acknowledged.
// When it was not, the caller may try again at once: a failure of a connection
// that still stands waits here.
func (s *session) publish(ctx context.Context, topic string, payload []byte) bool {
	m := outgoing{topic, payload, make(chan mqtt.Token, 1)}
	select {
	case s.out <- m:
	case <-s.done:
		return false
	case <-ctx.Done():
		return false
	}
	var token mqtt.Token
	select {
	case token = <-m.token:
	case <-s.done:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-token.Done():
	case <-s.done:
		return false
	case <-ctx.Done():
		s.abandon()
		return false
	}
	if token.Error() == nil {
		s.unanswered.Store(0)
		return true
	}
	wait, cancel := context.WithTimeout(ctx, retryPause)
	defer cancel()
	select {
	case <-s.done:
	case <-wait.Done():
	}
	return false
}

// abandon counts messages that were never acknowledged: the library keeps each
// of them until the connection ends, and a broker that acknowledges nothing is
// of no use.
func (s *session) abandon() {
	if s.unanswered.Add(1) >= maxUnacknowledged {
		s.end(errors.New("the broker acknowledges nothing"))
	}
}
