package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/console"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

// ErrConfig means that the server cannot start as it is configured; the text says
// what to change.
var ErrConfig = errors.New("configuration")

// Config is what a server is made of.
type Config struct {
	Dir         string       // where everything is kept; made when it is not there
	PublicURL   string       // http://host[:port] or https://..., where devices and users reach the HTTP side
	AccessKey   openapi.Key  // besides those that are stored; none when it has no ID
	CallsPerKey int          // calls a second that an access key may make; 0 is any number
	MaxPushRate int          // 0 is simulator.MaxPushRate
	Webhook     Webhook      // where applications are told what happens
	ClockSpeed  int          // how many times faster than the world's the rules' clock runs; 0 is 1
	Logger      *slog.Logger // nil: silent

	// Store is where the model is kept in place of the database, for benchmarks; nil is the
	// database. The API's lists, which are read from the database, are empty then.
	Store store.Store

	MaxDownloads int           // over HTTP, at once; 0 is no bound. One more is answered 503 with Retry-After
	History      int           // entries of the history; 0 is DefaultHistory, below 0 keeps none
	HistoryAge   time.Duration // how long they are kept; 0 is DefaultHistoryAge

	ConnectsPerMinute int // how often a device is let in; 0 is no bound (the platform: 5)
}

// WebSocket marks a listener of Run that speaks MQTT over WebSocket.
type WebSocket struct{ net.Listener }

// Limits of the HTTP side.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 5 * time.Second           // for requests under way when the server stops
	maxHeader     = openapi.MaxQuery + 64<<10 // the official client puts everything into the query
	sweepEvery    = time.Hour
)

// Server is a whole cloud in one directory. Make it with New, let it Run once, and
// Close it.
type Server struct {
	log     *slog.Logger
	lock    interface{ Unlock() error }
	store   *store.SQLite
	files   *packages.Store
	engine  *Engine
	sender  *sender
	broker  *broker.Broker
	api     *openapi.Server
	console *console.Server
	metrics *metrics
	hook    *hook // nil: none
	apps    *applications
	history *store.History // nil: none is kept, and record is nil too
	record  *scribe
}

// New opens the directory and loads what is there. Nothing is served before Run.
// Errors: ErrConfig, ErrLocked of the directory, those of package store.
func New(ctx context.Context, c Config) (*Server, error) {
	s := &Server{log: c.Logger, metrics: newMetrics()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx, c); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, c Config) error {
	if c.ClockSpeed < 0 || c.ClockSpeed > MaxClockSpeed {
		return fmt.Errorf("%w: the clock's speed is 1 to %d, not %d", ErrConfig, MaxClockSpeed, c.ClockSpeed)
	}
	if err := c.Webhook.check(); err != nil {
		return err
	}
	if c.Store != nil && c.Webhook.URL != "" {
		return fmt.Errorf("%w: a webhook wants the database", ErrConfig)
	}
	if err := s.openDir(c.Dir); err != nil {
		return err
	}
	var err error
	if s.store, err = store.OpenSQLite(ctx, filepath.Join(c.Dir, DatabaseFile)); err != nil {
		return err
	}
	if err := s.haveKey(ctx, c.AccessKey); err != nil {
		return err
	}
	if err := s.openHistory(ctx, c); err != nil {
		return err
	}
	s.files, err = packages.Open(packages.Config{Dir: filepath.Join(c.Dir, packagesDir), BaseURL: c.PublicURL, MaxDownloads: c.MaxDownloads, Logger: s.log, Download: s.downloaded})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.sender = newSender(s.files, s.log, s.metrics)
	opt := simulator.Options{Random: rand.Reader, MaxPushRate: c.MaxPushRate, AppEvents: true}
	var model store.Store = s.store
	if c.Store != nil {
		model = c.Store
	}
	if s.engine, err = newEngine(ctx, model, opt, s.sender.backlog.add, s.log, s.metrics); err != nil {
		return err
	}
	if c.Webhook.URL != "" {
		s.hook = newHook(c.Webhook, s.store, s.log, s.metrics)
	}
	keys := newKeyring(c.AccessKey, s.store, s.log)
	s.apps = &applications{keys: keys, engine: s.engine, log: s.log, metrics: s.metrics, untold: make(chan []simulator.AppEvent, maxUntold)}
	s.engine.keep = s.hook != nil
	s.engine.told = s.told
	s.engine.clock = newClock(c.ClockSpeed, s.engine.latest)
	s.startHistory()
	g := &gate{engine: s.engine, record: s.record, blocks: newBlocks(s.engine, s.files, s.log, s.metrics), log: s.log, metrics: s.metrics}
	if s.broker, err = broker.New(broker.Config{
		Directory: g, Sink: g, Registrar: g, Gateways: g, Applications: s.apps, ConnectsPerMinute: c.ConnectsPerMinute, Logger: s.log, Witness: s.witness(),
	}); err != nil {
		return err
	}
	s.sender.broker, g.broker, g.blocks.broker, s.apps.broker = s.broker, s.broker, s.broker, s.broker
	s.metrics.watch(s.broker)
	s.api, err = openapi.New(openapi.Config{Keys: keys, PerKey: c.CallsPerKey, Engine: commands{s}, Lists: s.store, Uploads: s.files, Log: s.log})
	if err != nil {
		return err
	}
	s.console, err = s.newConsole(ctx, c, keys)
	return err
}

// openDir makes the directory and keeps other processes out of it.
func (s *Server) openDir(dir string) error {
	if dir == "" {
		return fmt.Errorf("%w: a directory for the data is needed", ErrConfig)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%w: the data directory cannot be made: %w", ErrConfig, err)
	}
	lock, err := durable.Lock(dir)
	if err != nil {
		return err
	}
	s.lock = lock
	return nil
}

// commands is the engine as the API sees it, with what follows from a command outside
// of the model.
type commands struct{ s *Server }

// Do implements openapi.Engine.
func (c commands) Do(ctx context.Context, cmd simulator.Command) (any, error) {
	v, err := c.s.engine.Do(ctx, cmd)
	if err != nil {
		return v, err
	}
	switch done := simulator.Bare(cmd).(type) {
	case simulator.SetDeviceDisabled:
		if done.Disabled {
			c.s.broker.Kick(ota.Device{ProductKey: done.Product, Name: done.Name})
		}
	case simulator.DeleteDevice:
		if d := (ota.Device{ProductKey: done.Product, Name: done.Name}); !c.s.broker.KickSub(d, ota.GatewayDeleted) {
			c.s.broker.Kick(d)
		}
	}
	return v, nil
}

// Do carries out a command, as Engine.Do does.
func (s *Server) Do(ctx context.Context, cmd simulator.Command) (any, error) {
	return commands{s}.Do(ctx, cmd)
}

// Broker gives the broker, to serve connections of one's own making.
func (s *Server) Broker() *broker.Broker { return s.broker }

// Handler is the HTTP side: the API at /, package files at /p/, the console at /console/,
// /metrics and /healthz.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.api)
	mux.Handle("/p/", s.files)
	mux.Handle(console.Root, s.console)
	mux.Handle("/metrics", plain(s.metrics.handler()))
	mux.Handle("/healthz", plain(http.HandlerFunc(s.healthz)))
	return s.engine.clock.mark(mux)
}

// plain is for what is only read: a request with another method, or with a body, is
// refused before anything of the body is read.
func plain(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.Header().Set("Connection", "close")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
		case r.ContentLength != 0:
			w.Header().Set("Connection", "close")
			http.Error(w, "a body is not wanted here", http.StatusRequestEntityTooLarge)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// healthz is 200 while commands are carried out and can be stored.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), stopTimeout)
	defer cancel()
	_, err := s.engine.Do(ctx, simulator.FindCauses{})
	if err == nil {
		err = s.engine.health()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Run serves on the listeners until ctx ends, and then stops in order: no new
// requests, devices off, the engine's last batch, what it has sent. nil after a stop
// by ctx. Listeners are closed in any case.
func (s *Server) Run(ctx context.Context, mqtt []net.Listener, web []net.Listener) error {
	stopped, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	engine, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()

	s.engine.clock.say(s.log, s.engine.latest)
	var running, loop sync.WaitGroup
	loop.Go(func() { s.sender.run() })
	ended := make(chan error, 1)
	go func() {
		ended <- s.engine.Run(engine)
		stop(errors.New("the engine has stopped"))
	}()
	for _, l := range mqtt {
		serve := s.broker.Serve
		if _, ok := l.(WebSocket); ok {
			serve = s.broker.ServeWebSocket
		}
		running.Go(func() { stop(ignore(serve(l), broker.ErrClosed)) })
	}
	h := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	h.RegisterOnShutdown(s.console.Stop)
	for _, l := range web {
		running.Go(func() { stop(ignore(h.Serve(l), http.ErrServerClosed)) })
	}
	running.Go(func() { s.sweep(stopped) })
	running.Go(func() { s.sample(stopped) })
	running.Go(func() { s.apps.run(stopped) })
	if s.hook != nil {
		running.Go(func() { s.hook.run(stopped) })
	}
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	if s.record != nil {
		loop.Go(func() { s.record.run(recording) }) // to the end: what the last devices say, too
	}
	<-stopped.Done()
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if h.Shutdown(down) != nil {
		h.Close() // downloads under way: they go on elsewhere later
	}
	_ = s.broker.Close()
	running.Wait()
	stopEngine()
	err := <-ended
	close(s.sender.backlog.unsent)
	stopRecording()
	loop.Wait()
	if err == nil && ctx.Err() == nil {
		err = context.Cause(stopped)
	}
	return err
}

// sweep removes uploaded files that no package came to use, until ctx ends.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		v, err := s.engine.Do(ctx, simulator.FindFiles{})
		if err != nil {
			return
		}
		used := v.(map[string]struct{})
		n, err := s.files.Sweep(ctx, time.Now(), func(id string) bool { _, ok := used[id]; return ok })
		if err != nil || n > 0 {
			s.log.Info("unused uploads removed", "files", n, "error", err)
		}
	}
}

func ignore(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}

// Close gives the directory back. Run must have returned.
func (s *Server) Close() error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.history != nil {
		errs = append(errs, s.history.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Unlock())
	}
	return errors.Join(errs...)
}
