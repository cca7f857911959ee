package console

import (
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// auditRow is a line of the audit log in the user's language. Action and Result are as the
// cloud API has them.
type auditRow struct {
	simulator.AuditEntry
	Who, WhoKind string
	Did          string
	About        []about
	OK           bool
}

// about is one thing that a line of the audit log names; Name is empty when the line does
// not say what it is, ID is set when the value is fit to be copied.
type about struct {
	Name, Value string
	ID          bool
}

// actionKey is what the catalogs' keys of actions begin with.
const actionKey = "action."

func (v *visit) auditRows(list []simulator.AuditEntry) []auditRow {
	rows := make([]auditRow, len(list))
	for i, e := range list {
		rows[i] = auditRow{AuditEntry: e, Who: e.Key, WhoKind: v.t("audit.key"), Did: v.did(e.Action), About: v.about(e.Object), OK: e.Result == simulator.AuditOK}
		if name, ok := strings.CutPrefix(e.Key, "user "); ok {
			rows[i].Who, rows[i].WhoKind = name, v.t("audit.user")
		} else if e.Key == "local" {
			rows[i].WhoKind, rows[i].From = v.t("audit.local"), ""
		} else if e.Key == simulator.AuditCloud {
			rows[i].Who, rows[i].WhoKind = v.t("audit.cloud"), v.t("audit.itself")
		}
	}
	return rows
}

// did is an action in words; one without stays.
func (v *visit) did(action string) string {
	if said, ok := v.pages.words(v.lang)[actionKey+action]; ok {
		return said
	}
	return action
}

// about parts the object of a line: Name=Value, and texts that are something by themselves.
// A value may have spaces in it, so a name is only what the catalogs know as one.
func (v *visit) about(object string) []about {
	var out []about
	words := v.pages.words(v.lang)
	for part := range strings.SplitSeq(object, " ") {
		name, value, ok := strings.Cut(part, "=")
		said, known := words["object."+name]
		switch {
		case ok && known:
			out = append(out, about{said, value, true})
		case ok || isID(part):
			out = append(out, about{"", part, true})
		case len(out) == 0 || isID(out[len(out)-1].Value):
			out = append(out, about{"", part, false})
		default: // the rest of a value
			out[len(out)-1].Value += " " + part
		}
	}
	// What was made stands at the end, also when it was named: once is enough.
	return slices.CompactFunc(out, func(a, b about) bool { return a.Value == b.Value })
}

// isID reports whether a text looks like one of the cloud's own ids.
func isID(s string) bool {
	return len(s) > 8 && !strings.ContainsFunc(s[1:], func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	}) && strings.ContainsAny(s, "0123456789")
}

// actions are what the audit log can be filtered by.
func (v *visit) actions() []option {
	var out []option
	for key, said := range v.pages.words(v.lang) {
		if name, ok := strings.CutPrefix(key, actionKey); ok {
			out = append(out, option{Value: name, Label: said})
		}
	}
	slices.SortFunc(out, func(a, b option) int { return strings.Compare(a.Label+a.Value, b.Label+b.Value) })
	return out
}

func (v *visit) auditPage() error {
	q := v.r.URL.Query()
	f := store.AuditFilter{Account: v.account, Key: strings.TrimSpace(q.Get("key")), Action: q.Get("action")}
	for name, to := range map[string]*simulator.Stamp{"from": &f.From, "until": &f.Until} {
		if at, err := time.ParseInLocation(formTime, q.Get(name), v.zone); err == nil {
			*to = simulator.At(at)
		}
	}
	users, err := v.Store.ListUsers(v.r.Context())
	if err != nil {
		return err
	}
	keys, err := v.Store.ListKeys(v.r.Context())
	if err != nil {
		return err
	}
	who := []string{}
	for _, u := range users {
		if v.own(u) {
			who = append(who, u.Name)
			if u.Name == f.Key { // as the page shows it
				f.Key = "user " + u.Name
			}
		}
	}
	for _, k := range keys {
		if k.Account == v.account {
			who = append(who, k.ID)
		}
	}
	at := v.paged()
	list, total, err := v.Store.Audit(v.r.Context(), f, at)
	if err != nil {
		return err
	}
	return v.page("audit", "nav.audit", map[string]any{
		"Rows": v.auditRows(list), "Pager": v.pager(at, total), "Key": q.Get("key"), "Action": f.Action, "From": q.Get("from"), "Until": q.Get("until"),
		"Who": who, "Actions": v.actions(),
	})
}
