package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

// Root is the path that the console is at.
const Root = "/console/"

// Engine carries out commands. Its answer is the value that the command names, and is
// stored by the time it is given.
type Engine interface {
	Do(ctx context.Context, cmd simulator.Command) (any, error)
}

// Files is where package files are.
type Files interface {
	Put(r io.Reader) (packages.File, error)
	Get(id string) (packages.File, error)
	OpenFile(id string) (*os.File, error)
}

// Store is what is stored: the cloud's lists, and the console's users and access keys.
type Store interface {
	store.Lists
	store.Users
	store.Keys
	store.Sums
	store.Samples
}

// History is what passed between devices and the cloud.
type History interface {
	Entries(ctx context.Context, f store.EntryFilter, p store.Page) ([]store.Entry, int, error)
	Latest(ctx context.Context, d ota.Device) (int64, error)
	Lost(ctx context.Context, since simulator.Stamp) (int64, error)
}

// Config is what a Server needs.
type Config struct {
	Engine      Engine
	Store       Store
	Files       Files
	Keys        openapi.Keys     // one of them proves who may make the first admin
	Account     string           // of users that have none of their own; empty: they cannot sign in
	MaxPushRate int              // what a batch may ask for (P34); 0 is simulator.MaxPushRate
	Secure      bool             // cookies go over HTTPS alone
	Now         func() time.Time // of the rules; nil = time.Now
	News        func() int64     // another number each time that something was stored; nil = never
	Log         *slog.Logger     // nil = silent
	History     History          // nil: none is kept
}

// Server answers everything below /console/. It is safe for concurrent use.
type Server struct {
	Config
	log      *slog.Logger
	handler  http.Handler
	sessions *scs.SessionManager
	pages    pages
	assets   assets
	tries    *tries
	hashing  chan struct{} // a place for each hash that is computed at the same time
	streams  chan struct{} // and for each page that is kept live
	patching sync.Mutex    // held while a patch is made
	turn     sync.Mutex    // held by what reads tasks that it then starts anew
	stopped  chan struct{}
	stop     sync.Once
}

// Limits.
const (
	maxHashing = 2   // 19 MiB each
	maxStreams = 256 // open pages
)

// New makes a Server. Engine, Store, Files and Keys must be there.
func New(c Config) (*Server, error) {
	if c.Engine == nil || c.Store == nil || c.Files == nil || c.Keys == nil {
		return nil, errors.New("console: engine, store, files and keys are all needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.News == nil {
		c.News = func() int64 { return 0 }
	}
	if c.MaxPushRate == 0 {
		c.MaxPushRate = simulator.MaxPushRate
	}
	s := &Server{
		Config: c, log: c.Log, tries: newTries(), stopped: make(chan struct{}),
		hashing: make(chan struct{}, maxHashing), streams: make(chan struct{}, maxStreams),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(s.assets); err != nil {
		return nil, err
	}
	s.sessions = s.newSessions()
	s.handler = s.guarded(s.routes())
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Stop ends what would go on for as long as a page is open. To be called when the server
// stops taking requests.
func (s *Server) Stop() { s.stop.Do(func() { close(s.stopped) }) }

// policy is the content security policy: nothing but our own files, no script and no
// style in a page, no frame around it, no form to elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded is what holds for every request, whatever it is for.
func (s *Server) guarded(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.log.Warn("console: a form from another site was refused", "path", r.URL.Path, "origin", r.Header.Get("Origin"), "remote", r.RemoteAddr)
		s.plainError(w, r, http.StatusForbidden, "error.cross")
	}))
	inner := cross.Handler(s.sessions.LoadAndSave(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if h.Get("Cache-Control") == "" {
			h.Set("Cache-Control", "no-store")
		}
		inner.ServeHTTP(w, r)
	})
}
