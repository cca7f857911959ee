package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// subBatch is how many sub-devices one request names (protocol section 1: 5 in a batch).
const subBatch = 5

// sub is a device without a connection of its own: its gateway speaks for it.
type sub struct {
	m       *Member
	version string
	update  *update
	state   report.State
	ended   report.Outcome
	over    bool
	noticed bool
	fails   bool // with -1, always
}

func (s *sub) wanted() report.Outcome {
	if s.fails {
		return report.UpgradeFailed
	}
	return report.Succeeded
}

// logIn takes the sub-devices in, logs them in and reports their versions.
func (d *device) logIn() error {
	for from := 0; from < len(d.subs); from += subBatch {
		batch := d.subs[from:min(from+subBatch, len(d.subs))]
		for _, kind := range []ota.TopicKind{ota.TopicTopoAdd, ota.TopicBatchLogin} {
			if err := d.gatewayAsks(kind, batch); err != nil {
				return err
			}
		}
		for _, s := range batch {
			if s.update == nil && !d.informed {
				if err := d.informSub(s); err != nil {
					return err
				}
			}
			s.show(d)
		}
	}
	return nil
}

// gatewayAsks asks for something that concerns sub-devices, and waits for the answer.
func (d *device) gatewayAsks(kind ota.TopicKind, batch []*sub) error {
	r := ota.GatewayRequest{ID: d.id()}
	for _, s := range batch {
		r.Subs = append(r.Subs, ota.NewSubLogin(s.m.Device, s.m.Secret))
	}
	payload := r.Encode(kind)
	d.said(d.m.Device, kind, payload)
	if err := d.post(kind.Of(d.m.Device), payload); err != nil {
		return err
	}
	var reply ota.GatewayReply
	var bad error
	err := d.await(askTimeout, func(m mail) bool {
		if m.kind != kind.GatewayReply() {
			return false
		}
		reply, bad = ota.DecodeGatewayReply(m.payload)
		return reply.ID == r.ID
	})
	if err != nil || bad != nil {
		d.f.rec.Add(report.Unanswered, 1)
		return errors.Join(err, bad)
	}
	if reply.Code != ota.GatewayOK {
		d.f.rec.Note(fmt.Sprintf("a gateway was refused: %d %s", reply.Code, reply.Message))
		return fmt.Errorf("the gateway was refused: %d %s", reply.Code, reply.Message)
	}
	return nil
}

func (d *device) informSub(s *sub) error {
	payload := ota.Inform{ID: d.id(), Version: s.version}.Encode()
	d.said(s.m.Device, ota.TopicInform, payload)
	return d.post(ota.TopicInform.Of(s.m.Device), payload)
}

// actForSub does what a message to a sub-device asks for.
func (d *device) actForSub(ctx context.Context, m mail) error {
	if m.kind != ota.TopicUpgrade {
		return nil
	}
	for _, s := range d.subs {
		if s.m.Device == m.device {
			return d.noticeForSub(ctx, s, m)
		}
	}
	d.f.rec.Add(report.OutOfOrder, 1)
	return nil
}

func (d *device) noticeForSub(ctx context.Context, s *sub, m mail) error {
	n, ok := d.notice(m)
	if !ok {
		return nil
	}
	d.f.touched()
	if n.Version == s.version {
		d.again(m)
		return d.informSub(s)
	}
	s.noticed = true
	if u := s.update; u == nil || !u.notice.Same(n) {
		d.announced(m)
		if s.over && s.ended != report.Succeeded {
			d.f.rec.Add(report.Retries, 1)
		}
		s.update = &update{dev: s.m.Device, notice: n, noticed: m.at}
	} else {
		d.again(m)
	}
	own := d.state
	s.to(d, report.Downloading)
	err := d.bring(ctx, s.update)
	d.move(own)
	var bad *failure
	step, end := ota.StepDone, report.Succeeded
	switch {
	case errors.As(err, &bad):
		step, end = bad.step, report.OutcomeOf(int(bad.step))
	case err != nil:
		return err
	case s.fails:
		step, end = ota.StepUpgradeFailed, report.UpgradeFailed
	default:
		s.version = n.Version
	}
	if err := d.progress(s.m.Device, ota.DefaultModule, step); err != nil {
		return err
	}
	if err := d.informSub(s); err != nil {
		return err
	}
	if err := d.confirm(s); err != nil {
		return err
	}
	if end == report.Succeeded {
		d.f.rec.Observe(report.NoticeToSuccess, time.Since(s.update.noticed))
	}
	s.update = nil
	s.end(d, end)
	return nil
}

// confirm asks for an upgrade of the sub-device: what was said before the question has
// arrived when it is answered, since all of it went out with QoS 0.
func (d *device) confirm(s *sub) error {
	if err := d.ask(s.m.Device, ota.DefaultModule); err != nil {
		return err
	}
	err := d.await(askTimeout, func(m mail) bool { return m.kind == ota.TopicGetReply && m.device == s.m.Device })
	if err != nil {
		d.f.rec.Add(report.Unanswered, 1)
	}
	return err
}

func (s *sub) end(d *device, o report.Outcome) {
	if s.over {
		d.b.Taken(s.ended)
	} else {
		d.f.unsettled.Add(-1)
	}
	s.over, s.ended = true, o
	d.b.Ended(o)
	s.show(d)
	d.f.touched()
}

func (s *sub) show(d *device) {
	switch {
	case !s.over:
		s.to(d, report.Online)
	case s.ended == report.Succeeded:
		s.to(d, report.Updated)
	default:
		s.to(d, report.Failed)
	}
}

func (s *sub) to(d *device, st report.State) {
	if s.state != st {
		d.f.rec.Move(s.state, st)
		s.state = st
	}
}
