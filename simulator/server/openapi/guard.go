package openapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// guard stands between an action and the cloud: it is the session's engine and its
// lists, so that whatever an action asks for or changes is asked in the caller's name.
// What another account owns is not found (F5), through commands by simulator.As and
// through lists by the checks here; a key that may only read changes nothing, whatever
// the table says of the action, and sees no secret; and what a changing action did, or
// why it was refused, is written down once, with the change where there is one.
type guard struct {
	engine  Engine
	lists   store.Lists
	who     Key
	entry   *simulator.AuditEntry // nil: nothing is written down
	written bool
}

// call runs an action of an authenticated request, guarded.
func (s *Server) call(r *http.Request, id string, who Key, name string, p *reader) (answer, *Fault) {
	g := &guard{engine: s.engine, lists: s.lists, who: who}
	a, known := s.actions[name]
	if known && (a.changes || a.admin && who.Role != Admin) {
		g.entry = &simulator.AuditEntry{
			Account: who.Account, Key: who.ID, Action: name, Object: about(p.values), From: host(r.RemoteAddr), Request: id,
		}
	}
	var result answer
	f := who.may(&a)
	if f == nil {
		result, f = session{Server: s, who: who, engine: g, lists: g}.act(r.Context(), name, p)
	}
	if err := g.close(r.Context(), f); err != nil {
		s.log.Error("cloud API: the audit log was not written", "action", name, "by", who.ID, "err", err)
		if f == nil { // done, and nobody would ever know: say so
			f = business(codeSystem, "the call was carried out, but could not be written into the audit log: %v", err)
		}
	}
	return result, f
}

// Do implements Engine.
func (g *guard) Do(ctx context.Context, cmd simulator.Command) (any, error) {
	looks := simulator.Looks(cmd)
	if !looks && g.who.Role == Reader {
		return nil, g.who.forbidden("may only read")
	}
	as := simulator.As{Account: g.who.Account, Command: cmd}
	if !looks {
		as.Entry = g.entry
	}
	v, err := g.engine.Do(ctx, as)
	var refused *simulator.Error
	if as.Entry != nil && (err == nil || errors.As(err, &refused)) {
		g.written = true
	}
	return g.hide(v), err
}

// close writes the call down when no command did.
func (g *guard) close(ctx context.Context, f *Fault) error {
	if g.entry == nil || g.written {
		return nil
	}
	e := *g.entry
	if f != nil {
		if f.Code == codeSystem || f.Status == http.StatusServiceUnavailable {
			return nil // the store is away, or the caller: nothing was changed, or it is written with the change
		}
		e.Result = f.Error()
	}
	_, err := g.engine.Do(context.WithoutCancel(ctx), simulator.As{Account: e.Account, Entry: &e})
	return err
}

// hide takes a product's secrets out of what a key that may only read has asked for.
// Those of devices are left out where they are shown: secretOf.
func (g *guard) hide(v any) any {
	if g.who.Role != Reader {
		return v
	}
	if p, ok := v.(simulator.Product); ok {
		p.Secret, p.SigningKey = "", nil
		return p
	}
	return v
}

// secretOf is what the caller is shown of a device's secret. The device itself keeps
// it, since its IotId follows from it.
func (s session) secretOf(d *simulator.Device) string {
	if s.who.Role == Reader {
		return ""
	}
	return d.Secret
}

// owns checks that a product is the caller's.
func (g *guard) owns(ctx context.Context, product string) error {
	_, err := g.Do(ctx, simulator.FindProduct{Product: product})
	return err
}

// Tasks implements store.Lists. Tasks have no account: they are their job's, or their
// product's.
func (g *guard) Tasks(ctx context.Context, f store.TaskFilter, p store.Page) ([]simulator.Task, int, error) {
	var err error
	switch {
	case f.Job != "":
		_, err = g.Do(ctx, simulator.FindJob{Job: f.Job})
	case f.Product != "":
		err = g.owns(ctx, f.Product)
	case len(f.IDs) == 0:
		err = errors.New("tasks of nothing in particular are not listed")
	}
	if err != nil {
		return nil, 0, err
	}
	list, n, err := g.lists.Tasks(ctx, f, p)
	own, err := only(ctx, g, list, err, func(t *simulator.Task) string { return t.Device.ProductKey })
	return own, n - (len(list) - len(own)), err
}

// Jobs implements store.Lists.
func (g *guard) Jobs(ctx context.Context, f store.JobFilter, p store.Page) ([]simulator.Job, int, error) {
	f.Account = g.who.Account
	return g.lists.Jobs(ctx, f, p)
}

// Packages implements store.Lists.
func (g *guard) Packages(ctx context.Context, f store.PackageFilter, p store.Page) ([]simulator.Package, int, error) {
	f.Account = g.who.Account
	return g.lists.Packages(ctx, f, p)
}

// Devices implements store.Lists.
func (g *guard) Devices(ctx context.Context, f store.DeviceFilter, p store.Page) ([]simulator.Device, int, error) {
	if f.Product != "" {
		if err := g.owns(ctx, f.Product); err != nil {
			return nil, 0, err
		}
	}
	list, n, err := g.lists.Devices(ctx, f, p)
	own, err := only(ctx, g, list, err, func(d *simulator.Device) string { return d.ProductKey })
	return own, n - (len(list) - len(own)), err
}

// Products implements store.Lists.
func (g *guard) Products(ctx context.Context, _ string, p store.Page) ([]simulator.Product, int, error) {
	list, n, err := g.lists.Products(ctx, g.who.Account, p)
	for i := range list {
		list[i] = g.hide(list[i]).(simulator.Product)
	}
	return list, n, err
}

// Audit implements store.Lists.
func (g *guard) Audit(ctx context.Context, f store.AuditFilter, p store.Page) ([]simulator.AuditEntry, int, error) {
	f.Account = g.who.Account
	return g.lists.Audit(ctx, f, p)
}

// only keeps what is of products that the caller owns.
func only[T any](ctx context.Context, g *guard, list []T, err error, product func(*T) string) ([]T, error) {
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	kept := list[:0:0]
	for i := range list {
		key := product(&list[i])
		mine, asked := own[key]
		if !asked {
			err := g.owns(ctx, key)
			var refused *simulator.Error
			if err != nil && !errors.As(err, &refused) {
				return nil, err
			}
			mine = err == nil
			own[key] = mine
		}
		if mine {
			kept = append(kept, list[i])
		}
	}
	return kept, nil
}

// about says for the audit log which objects a request names. Secrets are in no
// parameter of a request.
func about(params map[string]string) string {
	var parts []string
	for _, name := range []string{
		"ProductKey", "ProductName", "DeviceName", "IotId", "ModuleName", "FirmwareId", "FirmwareName", "JobId", "TaskId", "GroupId", "GroupName", "ApplyId",
	} {
		if v := params[name]; v != "" {
			parts = append(parts, name+"="+shorten(v))
		} else if v := params[name+".1"]; v != "" {
			parts = append(parts, name+".1="+shorten(v))
		}
	}
	return strings.Join(parts, " ")
}

func host(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}

var (
	_ store.Lists = (*guard)(nil)
	_ Engine      = (*guard)(nil)
)
