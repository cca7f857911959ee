package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// device is the small client: what one device is and remembers. All of it belongs to the
// one goroutine that plays it, but conn, which the end of the run closes under mu.
type device struct {
	f  *Fleet
	m  *Member
	b  *trait
	mu sync.Mutex
	wire
	luck     rand.PCG
	versions []string  // of default and of the behaviour's modules
	owed     []message // in order, until each is acknowledged
	mail     []mail    // came while something else was waited for
	update   *update   // unfinished
	subs     []*sub    // of a gateway
	lost     time.Time // since when the connection is gone, against the device's wish
	ids      uint32    // of messages
	state    report.State
	ended    report.Outcome // with over
	over     bool           // an update has ended
	informed bool           // the versions, since this boot
	before   bool           // has been connected
	noticed  bool           // has had a notice
	answered bool           // has said something about one
	counted  bool           // has settled
	failed   uint16         // how often it has failed as its behaviour wants
	ignored  uint16         // notices
	since    time.Duration  // is connected, since the run began, as are the next two
	leaveAt  time.Duration  // 0: never
	askAt    time.Duration  // 0: never
	source   uint16         // the place of its address
	tries    uint16         // to connect, in vain, one after the other
}

// trait is a behaviour of the scenario, and where its results go.
type trait struct {
	Behaviour
	tally
	subs int // dealt to its gateways, those of other shards too
}

// nextSub deals a device to a gateway, and says whether it is one of those that fail. Of so
// many it is always the part that the behaviour says, rounded down.
func (b *trait) nextSub() (fails bool) {
	b.subs++
	return int(float64(b.subs)*b.SubsFail+1e-9) > int(float64(b.subs-1)*b.SubsFail+1e-9)
}

type tally struct{ *report.Behaviour }

// message is one that must reach the cloud.
type message struct {
	kind    ota.TopicKind
	module  int16 // its place in versions
	final   bool  // ends the update
	step    ota.Step
	payload []byte
}

// mail is what came.
type mail struct {
	kind    ota.TopicKind
	device  ota.Device
	payload []byte
	at      time.Time
}

// Why a session ends, besides a connection that is lost.
var (
	errLeave  = errors.New("the device goes offline")
	errReboot = errors.New("the device restarts")
	errAnew   = errors.New("the device signs in anew")
)

const (
	stable     = time.Minute      // a connection that lasted so long starts the backoff anew
	askTimeout = 30 * time.Second // for the answer to a question
)

// move shows another state of the device.
func (d *device) move(to report.State) {
	if to != d.state {
		d.f.rec.Move(d.state, to)
		d.state = to
	}
}

// settled is what a device that waits shows.
func (d *device) settled() {
	switch {
	case d.update != nil && d.update.hung:
		d.move(report.Notified)
	case d.over && d.ended == report.Succeeded:
		d.move(report.Updated)
	case d.over:
		d.move(report.Failed)
	case d.noticed && d.b.Silent:
		d.move(report.Notified)
	default:
		d.move(report.Online)
	}
}

func (d *device) id() string {
	d.ids++
	return strconv.FormatUint(uint64(d.ids), 10)
}

// open signs the device in and does what it does when it is connected.
func (d *device) open(ctx context.Context, due time.Time) error {
	if err := d.connect(ctx, due); err != nil {
		return err
	}
	d.since = time.Since(d.f.began)
	if err := d.boot(ctx); err != nil {
		return err
	}
	d.leaveAt, d.askAt = d.nextLeave(), d.nextAsk()
	return d.step(ctx, nil)
}

// wait waits for the first bytes of a packet, or until something else is due. Nearly all
// devices are here nearly always.
func (d *device) wait() error {
	n, err := d.conn.Read(d.head[:])
	d.got = uint8(n)
	return err
}

// step does what there is to do after a wait that ended so, and prepares the next one.
func (d *device) step(ctx context.Context, waited error) error {
	if waited != nil {
		if !errors.Is(waited, os.ErrDeadlineExceeded) || d.f.closing.Load() {
			return waited
		}
		if err := d.dueNow(); err != nil {
			return err
		}
	}
	for d.ahead() || len(d.mail) > 0 {
		m, ok, err := d.receive()
		if ok {
			err = d.act(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	d.settled()
	d.rest()
	now := time.Since(d.f.began)
	return d.conn.SetReadDeadline(d.f.began.Add(earliest(now+pingEvery, d.leaveAt, d.askAt)))
}

// dueNow does what a wait was ended for.
func (d *device) dueNow() error {
	switch now := time.Since(d.f.began); {
	case d.leaveAt > 0 && d.leaveAt <= now:
		return errLeave
	case d.askAt > 0 && d.askAt <= now:
		d.askAt = d.nextAsk()
		return d.ask(d.m.Device, ota.DefaultModule)
	}
	return d.send(packetPing)
}

func earliest(t time.Duration, others ...time.Duration) time.Duration {
	for _, o := range others {
		if o > 0 {
			t = min(t, o)
		}
	}
	return t
}

// nextLeave is when the device goes offline, since the run began: never is 0.
func (d *device) nextLeave() time.Duration {
	now := time.Since(d.f.began)
	switch {
	case d.b.Wave > 0:
		wave := time.Duration(d.b.Wave)
		return now/wave*wave + wave
	case d.b.OfflineAfter > 0: // half to one and a half times as long
		after := int64(d.b.OfflineAfter)
		return now + time.Duration(after/2+rand.New(&d.luck).Int64N(after+1))
	}
	return 0
}

func (d *device) nextAsk() time.Duration {
	if d.b.Pull == 0 {
		return 0
	}
	every := int64(d.b.Pull)
	return time.Since(d.f.began) + time.Duration(every/2+rand.New(&d.luck).Int64N(every+1))
}

// boot does what a device does when it is connected: it says what it owes, and goes on
// with what it has begun.
func (d *device) boot(ctx context.Context) error {
	if len(d.subs) > 0 {
		if err := d.logIn(); err != nil {
			return err
		}
	}
	if u := d.update; u != nil && u.switched {
		d.cameUp(u)
	}
	if !d.informed {
		for i := range d.versions {
			if d.update == nil || d.update.module != i {
				d.inform(i, d.versions[i], false)
			}
		}
		d.informed = true
	}
	ending := d.update != nil && d.update.hung
	if err := d.flush(); err != nil {
		return err
	}
	if ending && d.update == nil {
		if err := d.forget(); err != nil {
			return err
		}
	}
	if d.update != nil && !d.update.hung {
		return d.walk(ctx)
	}
	return nil
}

// forget drops the notices that came while it was being said how an update has ended:
// the cloud sent them before it knew. For those of what is not installed it is asked
// what it wants now, as the agent does.
func (d *device) forget() error {
	var unsure []string
	d.mail = slices.DeleteFunc(d.mail, func(m mail) bool {
		n, _, err := ota.DecodeNotice(m.payload)
		if m.kind != ota.TopicUpgrade || m.device != d.m.Device || err != nil {
			return false
		}
		if i := d.moduleOf(n.Module); i >= 0 && d.versions[i] != n.Version && d.b.Reports == "" && !slices.Contains(unsure, n.Module) {
			unsure = append(unsure, n.Module)
		}
		d.again(m)
		return true
	})
	if len(d.mail) == 0 {
		d.mail = nil
	}
	for _, module := range unsure {
		if err := d.ask(d.m.Device, module); err != nil {
			return err
		}
	}
	return nil
}

// receive gives the next message; ok is false when the next packet was none.
func (d *device) receive() (m mail, ok bool, err error) {
	if len(d.mail) > 0 {
		m = d.mail[0]
		if d.mail = d.mail[1:]; len(d.mail) == 0 {
			d.mail = nil
		}
		return m, true, nil
	}
	_ = d.conn.SetReadDeadline(time.Now().Add(wireTimeout))
	p, err := d.read()
	if err != nil {
		return mail{}, false, fmt.Errorf("a packet that was not whole: %v", err)
	}
	return d.take(p)
}

// take looks at a packet; ok says that it was a message. Its payload is good until the
// next packet is read.
func (d *device) take(p packet) (m mail, ok bool, err error) {
	if p.kind&0xf0 != packetPublish {
		return mail{}, false, nil
	}
	topic, payload, _, err := d.wire.message(p)
	if err != nil {
		return mail{}, false, err
	}
	d.f.rec.Add(report.Received, 1)
	kind, dev, ok := ota.ParseTopic(string(topic))
	if !ok && string(topic) == ota.IdentityTopic {
		return mail{}, false, d.identified(payload)
	}
	if !ok {
		return mail{}, false, nil
	}
	if d.b.Latency > 0 {
		time.Sleep(time.Duration(d.b.Latency))
	}
	d.f.watched(dev, false, kind, payload)
	return mail{kind, dev, payload, time.Now()}, true, nil
}

// await waits for a message; others wait meanwhile.
func (d *device) await(timeout time.Duration, wanted func(mail) bool) error {
	_ = d.conn.SetReadDeadline(time.Now().Add(timeout))
	for {
		p, err := d.read()
		if err != nil {
			return err
		}
		m, ok, err := d.take(p)
		if err != nil {
			return err
		}
		if ok && wanted(m) {
			return nil
		}
		if ok {
			m.payload = bytes.Clone(m.payload)
			d.mail = append(d.mail, m)
		}
	}
}
