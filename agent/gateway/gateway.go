package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/durable"
)

// Gateway plays the sub-devices behind a gateway. Make one with New and run it once.
// Status may be called from any goroutine.
//
// One goroutine, that of Run, owns all that is said to the cloud and what each
// sub-device is owed. Two others may work for it: one that updates a sub-device and
// owns that one's record meanwhile, and one that asks a sub-device for its version.
type Gateway struct {
	cfg    Config
	subs   map[ota.Device]*sub
	all    []*sub // as configured
	order  []*sub // those that can be played
	nextID atomic.Int64

	up       bool            // there was a connection
	asking   map[string]*sub // by the id of their login or topology request
	updating *sub
	reading  *sub
	ended    chan func() // what the helpers leave for the loop to do

	mu sync.Mutex // guards shown of every sub
}

// sub is one sub-device. The loop owns it, except for rec and spool while it is
// being updated.
type sub struct {
	Device
	store *durable.Pair
	path  string // of the spool
	rec   record
	shown Status

	in       bool      // logged in
	request  string    // id of the login or topology request that was not answered yet
	since    time.Time // of the login
	due      time.Time // when to log in, or to give the request up
	failures int
	why      error // it is not logged in

	version  string    // as far as it is known
	readAt   time.Time // when to ask for it; zero when it was never asked for
	readWait time.Duration
	told     bool   // the cloud has the version
	telling  string // what it is being told

	question string     // id of the question for an update that was not answered yet
	owes     bool       // it was asked after the outcome was sent
	askAt    time.Time  // when the question is given up, or the next one may be asked
	unsure   bool       // a notice was left out
	fresh    chan fresh // of the update under way: it wants another URL
	busy     ota.Notice // what that update began with

	notice *ota.Notice // the cloud wants this
	wanted time.Time   // since when
	resume bool        // the update of the record is still wanted
	later  time.Time   // when to ask whether it is
}

// New checks the configuration.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	g := &Gateway{cfg: cfg, subs: map[ota.Device]*sub{}, asking: map[string]*sub{}, ended: make(chan func())}
	for _, d := range cfg.Devices {
		// The plus sign stands in no name, so that two devices never share a file.
		name := "sub+" + d.ProductKey + "+" + d.Name
		store, err := durable.OpenPair(cfg.Dir, name)
		if err != nil {
			return nil, fmt.Errorf("gateway: sub-device %s: %w", d.Device, err)
		}
		s := &sub{Device: d, store: store, path: filepath.Join(cfg.Dir, name+".spool"), shown: Status{ProductKey: d.ProductKey, DeviceName: d.Name}}
		g.subs[d.Device], g.all = s, append(g.all, s)
	}
	var b [3]byte
	rand.Read(b[:]) // makes ids of two runs differ
	g.nextID.Store(int64(b[0])<<16 | int64(b[1])<<8 | int64(b[2]))
	return g, nil
}

func (g *Gateway) id() string { return strconv.FormatInt(g.nextID.Add(1), 10) }

// Run plays the sub-devices until ctx ends, which is no error. The error is that the
// directory cannot be used: platform.ErrBusy when another process does.
func (g *Gateway) Run(ctx context.Context) error {
	if err := os.MkdirAll(g.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("gateway: the directory for the sub-devices: %w", err)
	}
	lock, err := durable.Lock(g.cfg.Dir)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	defer lock.Unlock()
	g.load()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := make(chan message)
	wg.Go(func() { g.listen(ctx, messages) })
	for ctx.Err() == nil {
		t := time.NewTimer(g.tend(ctx, &wg))
		select {
		case <-ctx.Done():
		case m := <-messages:
			g.take(ctx, m)
		case do := <-g.ended:
			do()
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// load takes up what the last run has left. A sub-device whose record cannot be
// used is left out: the others are not its hostages.
func (g *Gateway) load() {
	for _, s := range g.all {
		lost, err := s.load()
		if err != nil {
			g.cfg.Log.Error("a sub-device is left out", "device", s.Device.Device, "err", err)
			delete(g.subs, s.Device.Device)
			g.set(s, func(st *Status) { st.Problem = err.Error() })
			continue
		}
		if lost != nil {
			g.cfg.Log.Error("the record of a sub-device is lost; an update that was under way starts over when the cloud sends it again", "device", s.Device.Device, "err", lost)
			s.rec = record{}
		}
		if s.rec.Update == nil {
			if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
				g.cfg.Log.Warn("the rest of an update stays", "device", s.Device.Device, "err", err)
			}
		}
		if s.Version == nil {
			s.setVersion(g, s.Current)
			if s.rec.Installed != "" {
				s.setVersion(g, s.rec.Installed)
			}
		}
		g.order = append(g.order, s)
	}
}

func (s *sub) setVersion(g *Gateway, v string) {
	s.version = v
	g.set(s, func(st *Status) { st.Version = v })
}

type message struct {
	device ota.Device
	event  ota.Event
}

func (g *Gateway) listen(ctx context.Context, to chan<- message) {
	for {
		d, e, err := g.cfg.Cloud.Next(ctx)
		if err != nil {
			return
		}
		select {
		case to <- message{d, e}:
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) take(ctx context.Context, m message) {
	switch kind := m.event.Kind; kind {
	case 0:
		g.reconnected()
	case ota.TopicLoginReply, ota.TopicTopoAddReply:
		g.answered(ctx, kind, m.event.Payload)
	case ota.TopicError:
		g.thrownOut(m.event.Payload)
	case ota.TopicUpgrade:
		if s := g.subs[m.device]; s != nil {
			g.pushed(s, m.event.Payload)
		}
	case ota.TopicGetReply:
		if s := g.subs[m.device]; s != nil {
			g.replied(s, m.event.Payload)
		}
	}
}

// idle is the longest that the loop sleeps: nothing is due.
const idle = time.Hour

// tend does what is due, and gives how long nothing else is.
func (g *Gateway) tend(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	now := time.Now()
	next := now.Add(idle)
	for _, s := range g.order {
		for _, at := range []time.Time{g.tendSession(ctx, s, now), g.read(ctx, wg, s, now)} {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
	}
	g.start(ctx, wg)
	return max(time.Until(next), 0)
}

// tendSession sees to login and questions of one sub-device, and gives the time to
// look again; zero when something has to happen first.
func (g *Gateway) tendSession(ctx context.Context, s *sub, now time.Time) time.Time {
	switch {
	case !g.up:
		return time.Time{}
	case s.request != "":
		if !now.Before(s.due) {
			g.expire(s, now)
		}
		return s.due
	case !s.in:
		if now.Before(s.due) {
			return s.due
		}
		if len(g.asking) >= maxAsking {
			return time.Time{} // an answer, or the lack of one, makes room
		}
		g.login(ctx, s, ota.TopicLogin)
		return s.due
	case s.question != "" && !now.Before(s.askAt):
		s.question, s.askAt = "", now.Add(askRetry)
	case s.question == "" && g.due(s, now) && !now.Before(s.askAt):
		g.ask(ctx, s)
	case s.question == "" && !g.due(s, now):
		if g.postponed(s) {
			return s.later
		}
		return time.Time{}
	}
	return s.askAt
}

// leave hands something to the loop to do. After the end of Run nobody does it.
func (g *Gateway) leave(ctx context.Context, do func()) {
	select {
	case g.ended <- do:
	case <-ctx.Done():
	}
}
