package console

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"golang.org/x/time/rate"
)

// How long a session lasts, and how long one that is not used.
const (
	sessionLife = 12 * time.Hour
	sessionIdle = 2 * time.Hour
	maxSessions = 10_000
)

// What a session holds.
const (
	keyUser    = "user"    // its name
	keyProof   = "proof"   // of the password it was opened with: another one ends it
	keyFlash   = "flash"   // what the next page says first
	keyUploads = "uploads" // ids of the files it has brought, and their names
)

// newSessions makes the manager by hand: scs.New would start a goroutine that never ends.
func (s *Server) newSessions() *scs.SessionManager {
	return &scs.SessionManager{
		Store: &sessions{byToken: map[string]session{}}, Codec: scs.GobCodec{}, HashTokenInStore: true,
		Lifetime: sessionLife, IdleTimeout: sessionIdle,
		Cookie: scs.SessionCookie{
			Name: "otasim_session", Path: Root, HttpOnly: true, Secure: s.Secure, Persist: true,
			SameSite: http.SameSiteLaxMode, // a link from a mail finds its reader signed in; CrossOriginProtection does the rest
		},
		ErrorFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			s.log.Error("console: a session failed", "why", err.Error())
			s.plainError(w, r, http.StatusInternalServerError, "error.server")
		},
	}
}

// sessions keeps sessions in memory: a restart signs everybody out. Those that are over go
// when another one comes. It implements scs.Store.
type sessions struct {
	mu      sync.Mutex
	byToken map[string]session
	swept   time.Time
}

type session struct {
	data []byte
	ends time.Time
}

// Find implements scs.Store.
func (s *sessions) Find(token string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byToken[token]
	if !ok || time.Now().After(found.ends) {
		return nil, false, nil
	}
	return found.data, true, nil
}

// Commit implements scs.Store.
func (s *sessions) Commit(token string, data []byte, ends time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.swept) > time.Minute || len(s.byToken) >= maxSessions {
		s.swept = now
		for t, old := range s.byToken {
			if now.After(old.ends) {
				delete(s.byToken, t)
			}
		}
	}
	if _, known := s.byToken[token]; !known && len(s.byToken) >= maxSessions {
		for t := range s.byToken { // whichever: only who can sign in comes here
			delete(s.byToken, t)
			break
		}
	}
	s.byToken[token] = session{data, ends}
	return nil
}

// Delete implements scs.Store.
func (s *sessions) Delete(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byToken, token)
	return nil
}

// tries bounds how often somebody may try a password: from one address, and for one name.
type tries struct {
	mu  sync.Mutex
	of  map[string]*rate.Limiter
	max int
}

// A first few are free; then one each tryEvery.
const (
	freeTries = 10
	tryEvery  = 6 * time.Second
	maxTriers = 20_000
)

func newTries() *tries { return &tries{of: map[string]*rate.Limiter{}, max: maxTriers} }

// allow takes one try from each of the names, and reports whether all of them had one.
func (t *tries) allow(now time.Time, names ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ok := true
	for _, name := range names {
		l := t.of[name]
		if l == nil {
			if len(t.of) >= t.max {
				t.forget(now)
			}
			l = rate.NewLimiter(rate.Every(tryEvery), freeTries)
			t.of[name] = l
		}
		ok = l.AllowN(now, 1) && ok
	}
	return ok
}

// forget drops those that have all their tries again, and if there are none, everything:
// memory is bounded.
func (t *tries) forget(now time.Time) {
	for name, l := range t.of {
		if l.TokensAt(now) >= freeTries {
			delete(t.of, name)
		}
	}
	if len(t.of) >= t.max {
		clear(t.of)
	}
}

// from is who a request comes from: an address, or the network of one of IPv6.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}
