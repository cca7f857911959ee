package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/leapslot/ota"
)

const (
	versionTime    = time.Minute // that a sub-device has to say its version
	versionWait    = time.Minute // before one that did not is asked again; it doubles
	maxVersionWait = 15 * time.Minute
)

// read asks a sub-device for its version, when it is not known, and gives the time
// to look again.
func (g *Gateway) read(ctx context.Context, wg *sync.WaitGroup, s *sub, now time.Time) time.Time {
	switch {
	case s.Version == nil || s.version != "" || s == g.updating || g.reading != nil:
		return time.Time{}
	case now.Before(s.readAt):
		return s.readAt
	}
	g.reading = s
	wg.Go(func() {
		v, err := s.ask(ctx)
		g.leave(ctx, func() {
			g.reading, s.readAt = nil, time.Now()
			if err != nil {
				s.readWait = min(max(2*s.readWait, versionWait), maxVersionWait)
				s.readAt = time.Now().Add(s.readWait)
				g.cfg.Log.Warn("the version of a sub-device cannot be read; it is not reported", "device", s.Device.Device, "err", err)
				return
			}
			s.readWait = 0
			s.setVersion(g, v)
		})
	})
	return time.Time{}
}

// ask asks the sub-device for its version.
func (s *sub) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	v, err := s.Version(ctx)
	if err == nil {
		err = ota.CheckVersion(v)
	}
	return v, err
}
