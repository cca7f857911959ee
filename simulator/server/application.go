package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// Limits of events over MQTT.
const (
	maxUntold = 64               // batches of the engine whose events wait to be told
	checkKeys = 10 * time.Second // between looks at the access keys of who is told
)

// applications tells the applications that are connected what happens, as it happens:
// the webhook is for those that must not miss anything.
type applications struct {
	keys    openapi.Keys
	engine  *Engine
	broker  *broker.Broker
	log     *slog.Logger
	metrics *metrics
	untold  chan []simulator.AppEvent
}

// AccessKey implements broker.Applications. Every role may hear.
func (a *applications) AccessKey(_ context.Context, id string) (broker.AccessKey, error) {
	k, ok := a.keys.Key(id)
	if !ok {
		return broker.AccessKey{}, fmt.Errorf("access key %.40q: %w", id, broker.ErrUnknown)
	}
	return broker.AccessKey{ID: k.ID, Secret: k.Secret, Account: k.Account}, nil
}

// Owns implements broker.Applications.
func (a *applications) Owns(ctx context.Context, account, product string) bool {
	_, err := a.engine.Do(ctx, simulator.As{Account: account, Command: simulator.FindProduct{Product: product}})
	return err == nil
}

// told takes events that are stored. It never waits, and costs nothing while nobody
// listens.
func (a *applications) told(events []simulator.AppEvent) {
	if !a.broker.HasApplications() {
		return
	}
	select {
	case a.untold <- events:
	default:
		a.metrics.events.WithLabelValues("missed").Add(float64(len(events)))
	}
}

// run tells until ctx ends. A key that was removed is told nothing after checkKeys.
func (a *applications) run(ctx context.Context) {
	var checked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case events := <-a.untold:
			if now := time.Now(); now.Sub(checked) >= checkKeys {
				a.broker.CheckApplications(ctx)
				checked = now
			}
			for i := range events {
				a.tell(&events[i])
			}
		}
	}
}

func (a *applications) tell(e *simulator.AppEvent) {
	payload, err := json.Marshal(e.Payload)
	if err != nil {
		a.log.Error("an event cannot be told", "topic", e.Topic, "why", err.Error())
		return
	}
	a.broker.Tell(broker.Told{Account: e.Account, Topic: e.Topic, Payload: payload})
}

// told takes what is stored to those who are to know of it. It is called in the
// engine's goroutine and does not wait.
func (s *Server) told(events []simulator.AppEvent) {
	if s.hook != nil {
		s.hook.told()
	}
	s.apps.told(events)
}
