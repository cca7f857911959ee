package fleet

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/verify"
)

// Hard caps of a run.
const (
	MaxDevices       = 1_000_000
	MaxDuration      = 24 * time.Hour
	DefaultDownloads = 1000
	DefaultQuiet     = 5 * time.Second
	Patience         = 2 * time.Minute // a run without a duration ends when nothing has happened for so long
	dialling         = 256             // connections under way at a time
)

// Config is one run. Target, Members, Scenario and Recorder are required.
type Config struct {
	Target   Target
	Members  []Member // the whole fleet's, also when a shard is played
	Subs     []Member // for gateways: the first gateway of the list has the first of them
	Shard    Shard
	Scenario Scenario
	Ramp     Pacer         // how the whole fleet is started; nil is 500 a second
	Duration time.Duration // 0: until every device has settled and nothing has come for Quiet
	Quiet    time.Duration // 0 is DefaultQuiet
	// Downloads is how many there may be at once; 0 is DefaultDownloads.
	Downloads int
	// PushRate is how many notices a minute the cloud should send; 0: it is not looked at.
	PushRate int
	// Sources are addresses of this host that devices connect from, in turns; none: many of
	// 127.0.x.y for a broker on loopback, and else the kernel's choice.
	Sources []netip.Addr
	// CA is what mqtts verifies the broker with for real agents, in PEM; nil is the system's.
	CA       []byte
	Recorder *report.Recorder
	Log      *slog.Logger // nil is silence

	// ProductSecret is what members without a secret register with, over TLS.
	ProductSecret string
	// Certificate, when set, gives the certificate that a small client signs in with over
	// TLS, in place of a secret. It is called for each connection.
	Certificate func(ota.Device) (tls.Certificate, error)
	// Dial, when set, makes the connections of the small clients.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Watch, when set, is told each message that a small client sends (up) and receives.
	// It is called by many goroutines at once.
	Watch func(d ota.Device, up bool, kind ota.TopicKind, payload []byte)
}

// Ending is what became of one device.
type Ending struct {
	ota.Device
	Behaviour string
	Version   string // of the module default
	Outcome   report.Outcome
}

// Fleet is a run. Make one with New, and Run it once.
type Fleet struct {
	cfg      Config
	target   Target
	scenario *Scenario
	key      *rsa.PublicKey
	rec      *report.Recorder
	log      *slog.Logger
	sources  []netip.Addr
	traits   []trait
	devices  []*device
	agents   []*realAgent
	places   []place
	all      int // devices, those behind gateways included

	playing   sync.WaitGroup
	began     time.Time
	dialling  chan struct{}
	fetching  chan struct{}
	closing   atomic.Bool
	sockets   atomic.Int64
	unsettled atomic.Int64
	touch     atomic.Int64 // when something happened last, since began
	pushes    pushes
	knee      *kneeWatch // nil: no knee is looked for
}

// place is one member's in the order of starts.
type place struct {
	device *device // or agent
	agent  *realAgent
	hit    int // its number in the whole fleet
}

// New deals the behaviours. The error says what cannot be played.
func New(cfg Config) (*Fleet, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	f := &Fleet{cfg: cfg, target: cfg.Target, scenario: &cfg.Scenario, rec: cfg.Recorder, log: cfg.Log,
		sources:  cfg.Sources,
		dialling: make(chan struct{}, dialling), fetching: make(chan struct{}, cfg.Downloads)}
	if len(f.sources) == 0 {
		f.sources = sourcesFor(cfg.Target, len(cfg.Members)/max(cfg.Shard.Count, 1), cfg.Shard.Index)
	}
	if k := cfg.Scenario.Key; k != "" {
		var err error
		if f.key, err = verify.ParsePublicKey([]byte(k)); err != nil {
			return nil, fmt.Errorf("the scenario's key: %w", err)
		}
	}
	if k, ok := cfg.Ramp.(Knee); ok {
		f.knee = &kneeWatch{Knee: k}
	}
	for i := range cfg.Scenario.Behaviours {
		b := &cfg.Scenario.Behaviours[i]
		f.traits = append(f.traits, trait{Behaviour: *b, tally: tally{f.rec.Behaviour(b.Name)}})
	}
	return f, f.muster()
}

// Devices is how many are played here, those behind gateways included.
func (f *Fleet) Devices() int { return f.all }

// Connections is how many of them have one of their own.
func (f *Fleet) Connections() int { return len(f.places) }

// Sockets is how many connections to the broker and for downloads are open now.
func (f *Fleet) Sockets() int { return int(f.sockets.Load()) + len(f.fetching) }

// Run plays the fleet until its time is up, it has settled, or ctx ends, and then ends
// all connections. It may be called once.
func (f *Fleet) Run(ctx context.Context) error {
	f.began = time.Now()
	f.touched()
	if f.cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.cfg.Duration)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.start(ctx)
	if f.cfg.Duration == 0 {
		f.awaitQuiet(ctx)
	} else {
		<-ctx.Done()
	}
	cancel()
	f.closing.Store(true)
	for _, d := range f.devices {
		d.cut()
	}
	f.playing.Wait()
	f.judge()
	return nil
}

// start starts each device when it is due.
func (f *Fleet) start(ctx context.Context) {
	for _, p := range f.places {
		wait, stop := f.cfg.Ramp.Pace(time.Since(f.began), p.hit)
		if stop || f.knee.broken() || !sleep(ctx, wait) {
			break
		}
		due := time.Now()
		if wait < 0 {
			due = due.Add(wait)
		}
		if p.agent != nil {
			f.playing.Go(func() { p.agent.run(ctx, due) })
		} else {
			f.playing.Go(func() { p.device.run(ctx, due) })
		}
	}
}

// awaitQuiet returns when all devices have settled and nothing happens any more.
func (f *Fleet) awaitQuiet(ctx context.Context) {
	for sleep(ctx, 100*time.Millisecond) {
		quiet := time.Since(f.began) - time.Duration(f.touch.Load())
		switch {
		case f.unsettled.Load() <= 0 && quiet > f.cfg.Quiet, f.knee.broken(), time.Since(f.began) > MaxDuration:
			return
		case quiet > Patience:
			f.rec.Note(fmt.Sprintf("the run ended since nothing had happened for %v", Patience))
			return
		}
	}
}

// touched notes that something has happened.
func (f *Fleet) touched() { f.touch.Store(int64(time.Since(f.began))) }

func (f *Fleet) watched(d ota.Device, up bool, kind ota.TopicKind, payload []byte) {
	if f.cfg.Watch != nil {
		f.cfg.Watch(d, up, kind, payload)
	}
}
