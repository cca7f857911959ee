package gateway

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota"
)

// connect is a new connection: nobody behind the gateway is logged in.
func (w *world) connect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.in)
	w.send(ota.Device{}, 0, nil)
}

func (w *world) send(d ota.Device, kind ota.TopicKind, payload []byte) {
	w.events <- message{d, ota.Event{Kind: kind, Payload: payload}}
}

// wants makes the cloud announce the package.
func (w *world) wants(d ota.Device, edit func(n *ota.Notice)) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.notice
	n.Files = slices.Clone(n.Files)
	if edit != nil {
		edit(&n)
	}
	w.tasks[d] = &task{notice: n}
	w.push(d)
}

func (w *world) push(d ota.Device) {
	if k := w.tasks[d]; k != nil && k.state == "" && w.in[d] {
		b, err := ota.EncodePush(k.notice)
		if err != nil {
			w.t.Fatal(err)
		}
		w.send(d, ota.TopicUpgrade, b)
	}
}

func (w *world) throwOut(d ota.Device, code ota.GatewayCode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in[d] = false
	w.send(hub, ota.TopicError, ota.GatewayReply{Code: code, Message: "out", Subs: []ota.Device{d}}.Encode(ota.TopicError))
}

// Next implements Cloud.
func (w *world) Next(ctx context.Context) (ota.Device, ota.Event, error) {
	w.mu.Lock()
	events := w.events
	w.mu.Unlock()
	select {
	case m := <-events:
		return m.device, m.event, nil
	case <-ctx.Done():
		return ota.Device{}, ota.Event{}, ctx.Err()
	}
}

// Post implements Cloud.
func (w *world) Post(d ota.Device, kind ota.TopicKind, payload []byte) {
	w.Publish(context.Background(), d, kind, payload)
}

// Publish implements Cloud.
func (w *world) Publish(_ context.Context, d ota.Device, kind ota.TopicKind, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.deaf > 0:
		w.deaf--
	case d == hub && (kind == ota.TopicLogin || kind == ota.TopicTopoAdd):
		w.session(kind, payload)
	case !w.in[d]:
		w.log = append(w.log, d.Name+" not logged in")
	case kind == ota.TopicInform:
		m, err := ota.DecodeInform(payload)
		w.informed(d, m, err)
	case kind == ota.TopicProgress:
		m, err := ota.DecodeProgress(payload)
		w.progressed(d, m, err)
	case kind == ota.TopicGet:
		m, err := ota.DecodeGet(payload)
		if err != nil {
			w.t.Errorf("%s: %v", payload, err)
		}
		w.log = append(w.log, d.Name+" get")
		var n *ota.Notice
		if k := w.tasks[d]; k != nil && k.state == "" {
			n = &k.notice
		}
		b, err := ota.EncodeGetReply(m.ID, n)
		if err != nil {
			w.t.Error(err)
		}
		w.send(d, ota.TopicGetReply, b)
	}
	return nil
}

func (w *world) session(kind ota.TopicKind, payload []byte) {
	r, err := ota.DecodeGatewayRequest(kind, payload)
	if err != nil || len(r.Subs) != 1 {
		w.t.Errorf("%s: %v", payload, err)
		return
	}
	l := r.Subs[0]
	if err := l.Verify("secret of " + l.Device.Name); err != nil {
		w.t.Error(err)
	}
	reply := ota.GatewayReply{ID: r.ID, Code: ota.GatewayOK, Message: "success", Subs: []ota.Device{l.Device}}
	switch {
	case kind == ota.TopicTopoAdd:
		w.log = append(w.log, l.Device.Name+" topo")
		w.topo[l.Device] = true
	case w.code[l.Device] != 0:
		reply.Code, reply.Message = w.code[l.Device], "no"
		w.logins = append(w.logins, time.Now())
	case !w.topo[l.Device]:
		reply.Code, reply.Message = ota.GatewayNoTopology, "no topology"
	default:
		w.log = append(w.log, l.Device.Name+" login")
		w.logins = append(w.logins, time.Now())
		w.in[l.Device] = true
	}
	if w.lost > 0 {
		w.lost--
		return
	}
	w.send(hub, kind.GatewayReply(), reply.Encode(kind))
	if kind == ota.TopicLogin {
		w.push(l.Device)
	}
}

func (w *world) informed(d ota.Device, m ota.Inform, err error) {
	if err != nil {
		w.t.Error(err)
	}
	w.log = append(w.log, d.Name+" inform "+m.Version)
	if k := w.tasks[d]; k != nil && k.state == "" && k.notice.Version == m.Version {
		k.state = "succeeded"
	}
}

func (w *world) progressed(d ota.Device, m ota.Progress, err error) {
	if err != nil {
		w.t.Error(err)
	}
	w.log = append(w.log, strings.TrimSpace(d.Name+" progress "+m.Step.String()+" "+m.Desc))
	k := w.tasks[d]
	if k == nil || k.state != "" || !m.Step.Failed() {
		return
	}
	if k.retries--; k.retries < 0 {
		k.state = "failed"
		return
	}
	w.push(d)
}
