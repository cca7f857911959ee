package fleet

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// What a device says.

// owe adds a message that must reach the cloud.
func (d *device) owe(m message) { d.owed = append(d.owed, m) }

// inform owes the version of a module; final says that it ends an update.
func (d *device) inform(module int, version string, final bool) {
	d.owe(message{kind: ota.TopicInform, module: int16(module), final: final,
		payload: ota.Inform{ID: d.id(), Module: d.module(module), Version: version}.Encode()})
}

func (d *device) module(i int) string {
	if i == 0 {
		return ota.DefaultModule
	}
	return d.b.Modules[i-1]
}

// moduleOf gives the place of a module, -1 when the device has none of that name.
func (d *device) moduleOf(name string) int {
	if name == "" || name == ota.DefaultModule {
		return 0
	}
	for i, m := range d.b.Modules {
		if m == name {
			return i + 1
		}
	}
	return -1
}

// flush sends what is owed, each message when the one before was acknowledged.
func (d *device) flush() error {
	for len(d.owed) > 0 {
		m := &d.owed[0]
		d.said(d.m.Device, m.kind, m.payload)
		id, err := d.publish(m.kind.Of(d.m.Device), m.payload)
		if err != nil {
			return err
		}
		if err := d.acknowledged(id); err != nil {
			return err
		}
		d.delivered(m)
		if d.owed = d.owed[1:]; len(d.owed) == 0 {
			d.owed = nil
		}
	}
	return nil
}

// said waits as long as the link is slow, and counts a message that goes out.
func (d *device) said(dev ota.Device, kind ota.TopicKind, payload []byte) {
	if d.b.Latency > 0 {
		time.Sleep(time.Duration(d.b.Latency))
	}
	rec := d.f.rec
	rec.Add(report.Messages, 1)
	if kind != ota.TopicGet {
		d.f.touched()
	}
	switch kind {
	case ota.TopicProgress:
		rec.Add(report.Progress, 1)
	case ota.TopicInform:
		rec.Add(report.Versions, 1)
	}
	d.f.watched(dev, true, kind, payload)
}

// acknowledged waits for a PUBACK; messages wait meanwhile.
func (d *device) acknowledged(id uint16) error {
	_ = d.conn.SetReadDeadline(time.Now().Add(wireTimeout))
	for {
		p, err := d.read()
		if err != nil {
			return err
		}
		if p.kind&0xf0 == packetPuback && len(p.body) == 2 && binary.BigEndian.Uint16(p.body) == id {
			return nil
		}
		m, ok, err := d.take(p)
		if err != nil {
			return err
		}
		if ok {
			m.payload = bytes.Clone(m.payload)
			d.mail = append(d.mail, m)
		}
	}
}

// progress says how far an update is, if that is possible.
func (d *device) progress(dev ota.Device, module string, step ota.Step) error {
	payload := ota.Progress{ID: d.id(), Module: module, Step: step}.Encode()
	d.said(dev, ota.TopicProgress, payload)
	return d.post(ota.TopicProgress.Of(dev), payload)
}

// ask asks for an upgrade.
func (d *device) ask(dev ota.Device, module string) error {
	payload := ota.Get{ID: d.id(), Module: module}.Encode()
	d.said(dev, ota.TopicGet, payload)
	return d.post(ota.TopicGet.Of(dev), payload)
}

// delivered takes note of what the cloud has acknowledged.
func (d *device) delivered(m *message) {
	if !m.final {
		return
	}
	u := d.update
	d.update = nil
	if m.kind == ota.TopicProgress {
		d.end(report.OutcomeOf(int(m.step)))
		return
	}
	if d.b.Reports != "" {
		d.end(report.OtherFailed)
		return
	}
	if u != nil {
		d.f.rec.Observe(report.NoticeToSuccess, time.Since(u.noticed))
	}
	d.end(report.Succeeded)
}

// end notes how an update ended; what was noted of the device before is taken back, so
// that each device ends once.
func (d *device) end(o report.Outcome) {
	if d.over {
		d.b.Taken(d.ended)
	}
	if o == report.Succeeded || d.b.FailTimes == 0 { // else the cloud is to try again
		d.settle()
	}
	d.over, d.ended = true, o
	d.b.Ended(o)
	d.f.touched()
}

// settle says that the device has come to what its behaviour lets it come to.
func (d *device) settle() {
	if !d.counted {
		d.counted = true
		d.f.unsettled.Add(-1)
	}
}
