package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// view is what every template gets: the visit's own, and what the page is about.
type view struct {
	Title, Page, Nav string
	User, Role       string
	Theme            string
	Operator, Admin  bool
	Flash, Alert     string
	Languages        []languageLink
	Zone             string
	Here             string         // to come back to
	Shown            string         // the page's address, when it is not the browser's
	News             int64          // when the page was made
	Live             bool           // it follows the news; the page of a batch has its own
	D                map[string]any // the page's own

	v *visit
}

type languageLink struct {
	Name, Code, URL string
	Current         bool
}

// page answers with a page. title is a key of the catalog.
func (v *visit) page(name, title string, data map[string]any) error {
	return v.pageTitled(name, v.t(title), data)
}

func (v *visit) pageTitled(name, title string, data map[string]any) error {
	p := &view{
		Title: title, Page: name, Nav: navOf(v.path()), User: v.user, Role: v.role.String(), Theme: themeOf(v.r),
		Operator: v.role >= Operator, Admin: v.role >= Admin, Zone: v.zoneName(), D: data, v: v, News: v.made, Live: slices.Contains(livePages(), name),
		Flash: v.sessions.PopString(v.r.Context(), keyFlash), Alert: v.alert, Here: v.at, Shown: v.at,
	}
	if v.r.Method == http.MethodGet {
		p.Here = v.r.URL.RequestURI()
	}
	for _, l := range languages() {
		q := v.r.URL.Query()
		q.Set("lang", string(l))
		p.Languages = append(p.Languages, languageLink{v.pages.words(l).text("language"), string(l), v.path() + "?" + q.Encode(), l == v.lang})
	}
	b, err := v.pages.render(v.lang, name, p)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Language", string(v.lang))
	if v.status != 0 {
		v.w.WriteHeader(v.status)
	}
	_, _ = v.w.Write(b) // who has gone reads nothing
	return nil
}

// livePages have parts that are kept live by any news.
func livePages() []string {
	return []string{"overview", "packages", "package", "devices", "device", "batches", "group"}
}

// navOf is the part of the console that a path belongs to.
func navOf(path string) string {
	part, _, _ := strings.Cut(strings.TrimPrefix(path, Root), "/")
	switch part {
	case "packages", "modules", "versions", "security":
		return "ota"
	}
	return part
}

// Time is a moment as a page shows it: both ways, with the zone.
func (p *view) Time(at simulator.Stamp) moment { return p.v.moment(at) }

// moment is a time in the user's zone, and how far it is from now.
type moment struct {
	Never              bool
	Machine, Full, Ago string
}

func (v *visit) moment(at simulator.Stamp) moment {
	if at == 0 {
		return moment{Never: true}
	}
	when := at.Time().In(v.zone)
	return moment{Machine: when.Format(time.RFC3339), Full: when.Format("2006-01-02 15:04:05"), Ago: v.ago(at.Time().Sub(v.Now()))}
}

// ago says how far a moment is away: below zero it was.
func (v *visit) ago(d time.Duration) string {
	key := "time.in."
	if d < 0 {
		key, d = "time.ago.", -d
	}
	switch {
	case d < 10*time.Second:
		return v.t("time.now")
	case d < 2*time.Minute:
		return v.t(key+"s", "n", int(d.Seconds()))
	case d < 2*time.Hour:
		return v.t(key+"m", "n", int(d.Minutes()))
	case d < 48*time.Hour:
		return v.t(key+"h", "n", int(d.Hours()))
	}
	return v.t(key+"d", "n", int(d.Hours()/24))
}

// Cookies of what a browser would have. They are no secrets.
const (
	zoneCookie  = "otasim_zone"
	themeCookie = "otasim_theme"
)

func zoneOf(r *http.Request) *time.Location {
	if c, err := r.Cookie(zoneCookie); err == nil && len(c.Value) < 64 && !strings.Contains(c.Value, ".") {
		name, err := url.QueryUnescape(c.Value)
		if z, bad := time.LoadLocation(name); err == nil && bad == nil && name != "" && name != "Local" {
			return z
		}
	}
	return time.UTC
}

func (v *visit) zoneName() string {
	return v.zone.String() + v.Now().In(v.zone).Format(" (UTC-07:00)")
}

func themeOf(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && slices.Contains([]string{"light", "dark"}, c.Value) {
		return c.Value
	}
	return "auto"
}

// remember keeps what the query chose of the language.
func (v *visit) remember() {
	if l := v.r.URL.Query().Get("lang"); l == string(v.lang) {
		v.keep(languageCookie, l)
	}
}

func (v *visit) keep(name, value string) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: Root, MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, Secure: v.Secure,
	})
}

func (p pages) words(l Language) catalog { return p[l].words }

// pager is where a list is, and the ways to its other pages: every filter stays in the URL.
type pager struct {
	Number, Pages, Total, From, To int
	First, Previous, Next, Last    string
}

const pageSize = 50

// paged reads the page that is asked for.
func (v *visit) paged() store.Page {
	n, _ := strconv.Atoi(v.r.URL.Query().Get("page"))
	return store.Page{Number: min(max(n, 1), 1_000_000), Size: pageSize}
}

func (v *visit) pager(p store.Page, total int) pager {
	last := max((total+p.Size-1)/p.Size, 1)
	out := pager{Number: p.Number, Pages: last, Total: total, From: min((p.Number-1)*p.Size+1, total), To: min(p.Number*p.Size, total)}
	if p.Number > 1 {
		out.First, out.Previous = v.with("page", "1"), v.with("page", strconv.Itoa(min(p.Number-1, last)))
	}
	if p.Number < last {
		out.Next, out.Last = v.with("page", strconv.Itoa(p.Number+1)), v.with("page", strconv.Itoa(last))
	}
	return out
}

// with is this page's URL with one parameter of another value; "" leaves it out.
func (v *visit) with(name, value string) string {
	q := v.r.URL.Query()
	q.Del("lang")
	q.Set(name, value)
	if value == "" {
		q.Del(name)
	}
	return v.path() + "?" + q.Encode()
}
