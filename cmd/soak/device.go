package main

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota"
)

// Chances of what a device does with a notice, and how long it stays connected.
const (
	failChance   = 0.10 // reports -2
	ignoreChance = 0.05 // does nothing until the notice comes again
	dropChance   = 0.05 // loses its connection, before each message
	meanSession  = 20 * time.Second
	mostSession  = 45 * time.Second // then a notice that was ignored comes again
	longestAway  = 3 * time.Second
	longSession  = 5 * time.Minute
)

// sent is one message that a device has sent. What was not acknowledged may have been
// taken in all the same.
type sent struct {
	at      time.Time
	version string // of a report; "" of a progress
	step    ota.Step
	acked   bool
}

// device does what devices do, and remembers what it has sent.
type device struct {
	ota.Credentials
	runs    string // its version
	owed    bool   // the report of it is not acknowledged
	history []sent
	notices int
}

// fleet is what all devices share.
type fleet struct {
	addr     string
	calm     atomic.Bool // nobody fails or leaves any more
	connects atomic.Int64
	messages atomic.Int64
}

func (f *fleet) drops() bool { return !f.calm.Load() && rand.Float64() < dropChance }

// run connects again and again until ctx ends.
func (d *device) run(ctx context.Context, f *fleet) {
	for ctx.Err() == nil {
		if w, err := dial(f.addr, d.Credentials); err == nil {
			f.connects.Add(1)
			stop := context.AfterFunc(ctx, func() { w.Close() })
			d.session(f, w)
			stop()
			w.Close()
		}
		away := longestAway
		if f.calm.Load() {
			away /= 10
		}
		select {
		case <-time.After(rand.N(away)):
		case <-ctx.Done():
		}
	}
}

// session lasts until the connection is lost, or the device leaves.
func (d *device) session(f *fleet, w *wire) {
	if d.owed && !d.report(f, w) {
		return
	}
	length := min(time.Duration(rand.ExpFloat64()*float64(meanSession)), mostSession)
	if f.calm.Load() {
		length = longSession
	}
	for end := time.Now().Add(length); ; {
		m, err := w.receive(end)
		if err != nil {
			return
		}
		if n, _, err := ota.DecodeNotice(m); err == nil {
			d.notices++
			if !d.update(f, w, n.Version) {
				return
			}
		}
	}
}

// update answers a notice, and says whether the connection is still there.
func (d *device) update(f *fleet, w *wire, version string) bool {
	chance := rand.Float64()
	switch {
	case f.calm.Load(), version == d.runs:
	case chance < failChance:
		return d.progress(f, w, ota.StepDownloadFailed)
	case chance < failChance+ignoreChance:
		return true
	}
	if version != d.runs && !(d.progress(f, w, 10) && d.progress(f, w, ota.StepDone)) {
		return false
	}
	d.runs, d.owed = version, true
	return d.report(f, w)
}

func (d *device) progress(f *fleet, w *wire, step ota.Step) bool {
	return d.send(f, w, sent{step: step}, ota.TopicProgress, ota.Progress{ID: "1", Step: step}.Encode())
}

func (d *device) report(f *fleet, w *wire) bool {
	if d.send(f, w, sent{version: d.runs}, ota.TopicInform, ota.Inform{ID: "1", Version: d.runs}.Encode()) {
		d.owed = false
		return true
	}
	return false
}

func (d *device) send(f *fleet, w *wire, s sent, kind ota.TopicKind, payload []byte) bool {
	if f.drops() {
		return false
	}
	s.at = time.Now()
	d.history = append(d.history, s)
	if w.publish(kind.Of(d.Device), payload) != nil {
		return false
	}
	d.history[len(d.history)-1].acked = true
	f.messages.Add(1)
	return true
}
