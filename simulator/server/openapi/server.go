package openapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/leapslot/ota/simulator/server/store"
)

// Config is what a Server needs.
type Config struct {
	Keys    Keys             // who may call
	Engine  Engine           // carries out commands
	Lists   store.Lists      // what is stored
	Uploads Uploads          // where package files are
	Now     func() time.Time // nil = time.Now
	Log     *slog.Logger     // nil = silent
	PerKey  int              // calls a second that an access key may make; 0 = any number
}

// Server answers the cloud API at the path "/". It is safe for concurrent use.
type Server struct {
	keys    Keys
	engine  Engine
	lists   store.Lists
	uploads Uploads
	applies *applies
	seen    *nonces
	turn    sync.Mutex // held by actions that read what they change
	pace    *throttle
	actions map[string]action
	now     func() time.Time
	log     *slog.Logger
}

// New makes a Server. Everything of the Config but Now and Log must be there.
func New(c Config) (*Server, error) {
	if c.Keys == nil || c.Engine == nil || c.Lists == nil || c.Uploads == nil {
		return nil, errors.New("openapi: keys, engine, lists and uploads are all needed")
	}
	s := &Server{
		keys: c.Keys, engine: c.Engine, lists: c.Lists, uploads: c.Uploads,
		applies: newApplies(maxApplyNames), seen: newNonces(maxNonces), actions: actionsByName(), pace: newThrottle(c.PerKey),
		now: c.Now, log: c.Log,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// An action is one row of the API: its name, whether it changes anything, what its
// parameters are called in commands, which of them are lists, and how they become
// a call.
type action struct {
	name    string
	room    string // of its error codes
	changes bool
	admin   bool // for administrators alone
	fields  names
	lists   []string
	bind    func(p *reader) call
}

// A call is an action with its parameters read. It is made only when none of them
// was at fault.
type call func(ctx context.Context, s session) (answer, error)

// session is the server as one caller sees it.
type session struct {
	*Server
	who    Key
	engine Engine      // in the caller's name: see guard
	lists  store.Lists // the same
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		hurry(w, time.Now().Add(formTimeout))
	}
	id, format := newRequestID(), formatJSON
	a, f := s.serve(w, r, id, &format)
	var err error
	if f == nil {
		a.begin(id)
		err = write(w, http.StatusOK, format, "ActionResponse", a)
	} else {
		err = writeFault(w, format, id, r.Host, f)
	}
	if err != nil {
		s.log.Error("cloud API: the answer is lost", "request", id, "err", err)
	}
}

// serve does everything up to the answer. format is set as soon as it is known.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, id string, format *string) (answer, *Fault) {
	if r.URL.Path != "/" {
		return nil, gateway(http.StatusNotFound, "InvalidAction.NotFound", "There is nothing at this path: the cloud API is at /.")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return nil, gateway(http.StatusMethodNotAllowed, "UnsupportedHTTPMethod", "Use GET or POST.")
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "ACS3-") {
		return nil, gateway(http.StatusBadRequest, "InvalidSignatureVersion", "The request is signed in a header (ACS3): sign it with parameters, SignatureVersion 1.0 and HMAC-SHA1.")
	}
	params, f := readParams(w, r)
	if f != nil {
		return nil, f
	}
	if *format, f = formatOf(params); f != nil {
		return nil, f
	}
	p := &reader{values: params}
	name := p.need("Action", 128)
	if p.fault != nil {
		return nil, onGateway(p.fault)
	}
	who, f := s.authenticate(r.Method, params, s.now())
	if f != nil {
		return nil, f
	}
	if f := s.pace.take(who.ID, s.now()); f != nil {
		return nil, f
	}
	return s.call(r, id, who, name, p)
}

func formatOf(params map[string]string) (string, *Fault) {
	switch params["Format"] {
	case "", formatJSON, "json":
		return formatJSON, nil
	case formatXML, "xml":
		return formatXML, nil
	}
	return formatJSON, gateway(http.StatusBadRequest, "InvalidFormat", "Specified parameter Format must be JSON or XML.")
}

// act runs an action of an authenticated request.
func (s session) act(ctx context.Context, name string, p *reader) (answer, *Fault) {
	if v := p.values["Version"]; v != Version {
		return nil, gateway(http.StatusBadRequest, "InvalidVersion", "Specified parameter Version must be %s.", Version)
	}
	a, ok := s.actions[name]
	if !ok {
		return nil, gateway(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method: there is no action %q here.", shorten(name))
	}
	run := a.bind(p)
	if p.fault != nil {
		return nil, p.fault
	}
	result, err := run(ctx, s)
	if err == nil {
		if a.changes {
			s.log.Info("cloud API: changed", "action", name, "by", s.who.ID)
		}
		return result, nil
	}
	f := a.faultOf(err)
	if f.Code == codeSystem {
		s.log.Error("cloud API: an action failed", "action", name, "err", err)
	}
	return nil, f
}
