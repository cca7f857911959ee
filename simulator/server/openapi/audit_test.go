package openapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// TestAuditEveryChange: every changing call is written down once for what it changed,
// done or refused, with who, what, from where and what came of it; no other call is.
// Nothing in the log is a secret.
func TestAuditEveryChange(t *testing.T) {
	actions, e := actionsByName(), newEstate(t)
	for _, name := range Actions() {
		if actions[name].changes {
			e = newEstate(t)
			e.device(e.product, "victim-5", "")
		}
		last := e.lines()
		params, named := e.foreignCalls()[name][0], ""
		for i := 0; i < len(params) && named == ""; i += 2 {
			if key := params[i]; key == "ProductKey" || strings.HasSuffix(key, "Id") || key == "TaskId.1" || key == "ProductName" || key == "GroupName" {
				named = key + "=" + params[i+1]
			}
		}
		for _, k := range []Key{testKey(), looker} {
			text, got := e.call(k, name, params...)
			now := e.lines()
			n := len(now) - len(last)
			if !actions[name].changes {
				if n != 0 && k.Role == Admin {
					t.Errorf("%s is written down although it changes nothing: %+v", name, now[0])
				}
				continue
			}
			if n < 1 {
				t.Errorf("%s by %s is not written down: %s", name, k.ID, text)
				continue
			}
			l := now[0]
			if l.Key != k.ID || l.Action != name || l.From != "192.0.2.1" || l.Account != "acme" || l.Request != field(t, text, "RequestId") ||
				(l.Result == simulator.AuditOK) != got.Success || !strings.Contains(l.Object, named) {
				t.Errorf("%s by %s, answered %s, is written down as %+v", name, k.ID, text, l)
			}
			last = now
		}
	}
}

// lines is the audit log, newest first.
func (e *estate) lines() []simulator.AuditEntry {
	e.t.Helper()
	e.happen() // stores what a refused command left to be stored with the next
	l, _, err := e.store.Audit(context.Background(), store.AuditFilter{}, store.Page{Size: 1000})
	if err != nil {
		e.t.Fatal(err)
	}
	return l
}

// TestListAuditLog: pages, filters, and nobody else's lines.
func TestListAuditLog(t *testing.T) {
	e := newEstate(t)
	e.call(intruder, "CreateProduct", "ProductName", "mine")
	e.call(operator, "RegisterDevice", "ProductKey", e.product, "DeviceName", "by-operator")
	text := e.must("ListAuditLog", "KeyId", "operator")
	if strings.Count(text, `"AccessKeyId"`) != 1 || field(t, text, "ActionName") != "RegisterDevice" || field(t, text, "Result") != "OK" || field(t, text, "SourceIp") != "192.0.2.1" {
		t.Errorf("of the operator: %s", text)
	}
	text = e.must("ListAuditLog", "PageSize", "2", "CurrentPage", "2", "ActionName", "RegisterDevice")
	if number(t, text, "Total") != "4" || number(t, text, "PageCount") != "2" || strings.Count(text, `"AccessKeyId"`) != 2 {
		t.Errorf("the second page: %s", text)
	}
	if text = e.must("ListAuditLog", "PageSize", "100"); strings.Contains(text, "intruder") {
		t.Errorf("acme sees another account's lines: %s", text)
	}
	if text, _ = e.call(intruder, "ListAuditLog"); number(t, text, "Total") != "1" {
		t.Errorf("of the other account: %s", text)
	}
}

// TestThrottle: an access key makes no more calls than it may, others do not notice, and
// it may go on later.
func TestThrottle(t *testing.T) {
	at := newClock()
	th := newThrottle(5)
	n := 0
	for th.take("a", at.Now()) == nil {
		n++
	}
	if n != 10 {
		t.Errorf("%d calls at once, want 10", n)
	}
	if f := th.take("b", at.Now()); f != nil {
		t.Errorf("another key: %v", f)
	}
	at.add(time.Second)
	for n = 0; th.take("a", at.Now()) == nil; n++ {
	}
	if n != 5 {
		t.Errorf("%d calls a second later, want 5", n)
	}
	at.add(-24 * time.Hour)
	if f := th.take("a", at.Now()); f != nil {
		t.Errorf("after the clock was set back: %v", f)
	}
	if f := newThrottle(0).take("a", at.Now()); f != nil {
		t.Errorf("no bound: %v", f)
	}
}
