package server

import (
	"context"
	"path/filepath"

	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/console"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

// openHistory opens the history, unless none is wanted. A cloud that cannot keep one
// does not run: better than to find nothing in it later.
func (s *Server) openHistory(ctx context.Context, c Config) error {
	if c.History < 0 {
		return nil
	}
	l := store.HistoryLimits{Entries: c.History, MaxAge: c.HistoryAge.Milliseconds()}
	if l.Entries == 0 {
		l.Entries = DefaultHistory
	}
	if l.MaxAge == 0 {
		l.MaxAge = DefaultHistoryAge.Milliseconds()
	}
	path := filepath.Join(c.Dir, HistoryFile)
	h, lost, err := store.OpenHistory(ctx, path, l)
	if err != nil {
		return err
	}
	if lost {
		s.log.Error("the history was damaged, and begins anew; nothing else is", "file", path)
	}
	s.history = h
	return nil
}

// startHistory makes the scribe, once the engine's clock is set.
func (s *Server) startHistory() {
	if s.history == nil {
		return
	}
	s.record = newScribe(s.history, s.store, s.engine.clock, s.log, s.metrics)
	s.engine.changed = s.record.stored
}

// witness is the scribe, as the broker sees it.
func (s *Server) witness() broker.Witness {
	if s.record == nil {
		return nil
	}
	return s.record
}

// pastOf is the history, as the console sees it.
func (s *Server) pastOf() console.History {
	if s.history == nil {
		return nil
	}
	return s.history
}

func (s *Server) downloaded(d packages.Download) {
	if s.record != nil {
		s.record.downloaded(d)
	}
}
