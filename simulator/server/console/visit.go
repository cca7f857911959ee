package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// visit is one request of somebody.
type visit struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	lang    Language
	zone    *time.Location
	user    string
	role    Role
	status  int    // of the page; 0 is 200
	at      string // of the page, when it is not the request's; see path
	alert   string // what was refused, above the page
	made    int64  // News when the visit began
	account string // whose objects are reached: never empty when somebody is signed in
}

// problem is an error that a page of its own says, in a text of the catalog.
type problem struct {
	status int
	key    string
	pairs  []any
}

func (p *problem) Error() string { return p.key }

func trouble(status int, key string, pairs ...any) error { return &problem{status, key, pairs} }

// look carries out a command that changes nothing, in the user's name: what another
// account owns is not found.
func look[T any](v *visit, cmd simulator.Command) (T, error) {
	var none T
	if v.account == "" || !simulator.Looks(cmd) {
		return none, fmt.Errorf("console: %T is no look of somebody", cmd)
	}
	return answerOf[T](v, simulator.As{Account: v.account, Command: cmd})
}

// change carries out a command in the user's name and has it written down as the cloud
// API's action.
func change[T any](v *visit, action, about string, cmd simulator.Command) (T, error) {
	var none T
	if v.account == "" || v.role < Operator {
		return none, trouble(http.StatusForbidden, "error.role")
	}
	return answerOf[T](v, simulator.As{Account: v.account, Command: cmd, Entry: v.entry(action, about)})
}

func (v *visit) entry(action, about string) *simulator.AuditEntry {
	return &simulator.AuditEntry{Account: v.account, Key: "user " + v.user, Action: action, Object: about, From: from(v.r)}
}

// note writes down what no command did. err is why it was refused, nil when it was done.
func (v *visit) note(action, about string, err error) error {
	e := v.entry(action, about)
	if err != nil {
		e.Result = err.Error()
	}
	_, err = v.Engine.Do(context.WithoutCancel(v.r.Context()), simulator.As{Account: v.account, Entry: e})
	return err
}

func answerOf[T any](v *visit, cmd simulator.Command) (T, error) {
	var none T
	got, err := v.Engine.Do(v.r.Context(), cmd)
	if err != nil {
		return none, err
	}
	t, ok := got.(T)
	if !ok {
		return none, fmt.Errorf("%T was answered with %T, not %T", cmd, got, none)
	}
	return t, nil
}

// product looks a product up. Its secrets are for those who may change it.
func (v *visit) product(key string) (simulator.Product, error) {
	p, err := look[simulator.Product](v, simulator.FindProduct{Product: key})
	p.SigningKey = nil
	if v.role < Operator {
		p.Secret = ""
	}
	return p, err
}

// products lists all products of the account, by their names.
func (v *visit) products() ([]simulator.Product, error) {
	list, _, err := v.Store.Products(v.r.Context(), v.account, store.Page{Number: 1, Size: maxProducts})
	for i := range list {
		list[i].SigningKey, list[i].Secret = nil, ""
	}
	slices.SortFunc(list, func(a, b simulator.Product) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.Key, b.Key))
	})
	return list, err
}

// maxProducts is the most products that are offered in a list to choose from.
const maxProducts = 1000

func (v *visit) t(key string, pairs ...any) string { return v.pages.words(v.lang).text(key, pairs...) }

// say keeps a text for the next page.
func (v *visit) say(key string, pairs ...any) {
	v.sessions.Put(v.r.Context(), keyFlash, v.t(key, pairs...))
}

// to sends the browser on, after something was done.
func (v *visit) to(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

func link(parts ...string) string {
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return Root + strings.Join(parts, "/")
}

// serve makes a handler of what a route does: somebody is signed in and may do it, and
// what fails becomes a page.
func (s *Server) serve(least Role, do func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Server: s, w: w, r: r, lang: languageOf(r), zone: zoneOf(r), made: s.News()}
		v.remember()
		err := v.signedIn()
		switch {
		case err != nil:
		case least > Nobody && v.role == Nobody:
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				err = trouble(http.StatusForbidden, "error.session")
				break
			}
			http.Redirect(w, r, link("sign-in")+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		case v.role < least:
			err = trouble(http.StatusForbidden, "error.role")
			if r.Method == http.MethodPost {
				if noted := v.note("Console", r.URL.Path, errors.New("forbidden: the role is "+v.role.String())); noted != nil {
					s.log.Error("console: the audit log was not written", "why", noted.Error())
				}
			}
		default:
			err = do(v)
		}
		if err != nil {
			v.fail(err)
		}
	})
}

// fail answers with an error's page. What is not for the user stands in the log alone.
func (v *visit) fail(err error) {
	var p *problem
	var refused *simulator.Error
	text := ""
	status := http.StatusInternalServerError
	switch {
	case errors.As(err, &p):
		status, text = p.status, v.t(p.key, p.pairs...)
	case errors.As(err, &refused):
		status, text = http.StatusUnprocessableEntity, v.refusal(err)
		if refused.Code == simulator.NotFound {
			status = http.StatusNotFound
		}
	case errors.Is(err, context.Canceled):
		return // nobody reads it
	default:
		v.log.Error("console: a page failed", "path", v.r.URL.Path, "why", err.Error())
		text = v.t("error.server")
	}
	v.status = status
	if err := v.page("error", "error.title", map[string]any{"Status": status, "Text": text}); err != nil {
		v.log.Error("console: the error's page failed", "why", err.Error())
	}
}

// plainError answers without a session.
func (s *Server) plainError(w http.ResponseWriter, r *http.Request, status int, key string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, s.pages.words(languageOf(r)).text(key))
}
