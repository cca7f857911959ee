package server

import (
	"context"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// The time of the rules between two samples of which versions run, and from the start to
// the first: devices have come back by then.
const (
	sampleEvery = time.Hour
	sampleFirst = 5 * time.Minute
)

// sample keeps which versions run, every sampleEvery, until ctx ends.
func (s *Server) sample(ctx context.Context) {
	next := time.NewTimer(s.engine.clock.real(sampleFirst))
	defer next.Stop()
	for {
		select {
		case <-next.C:
			next.Reset(s.engine.clock.real(sampleEvery))
		case <-ctx.Done():
			return
		}
		if err := s.sampleNow(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the statistics of versions were not kept", "why", err.Error())
		}
	}
}

func (s *Server) sampleNow(ctx context.Context) error {
	v, err := s.engine.Do(ctx, simulator.FindAllVersions{})
	if err != nil {
		return err
	}
	at := simulator.At(s.engine.clock.now())
	for product, counts := range v.(map[string][]simulator.VersionCount) {
		if err := s.store.AddSample(ctx, product, store.Sample{At: at, Counts: counts}); err != nil {
			return err
		}
	}
	return nil
}
