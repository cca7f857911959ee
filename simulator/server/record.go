package server

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

// HistoryFile is the name of the history in a data directory. It is no part of a backup.
const HistoryFile = "history.db"

// Defaults and limits of the history: what devices and the cloud have said to each other,
// for people to look at. What would go beyond a limit is left out, counted, and told
// where the history is shown; nobody ever waits for it.
const (
	DefaultHistory    = 1_000_000           // entries
	DefaultHistoryAge = 30 * 24 * time.Hour // of an entry
	MaxHistory        = 100_000_000         // entries
	maxRecords        = 4096                // that wait to be written
	maxRecordedTasks  = 32_000              // tasks among them
	recordRate        = 2500                // entries a second that are written for long
	recordBurst       = 5000                // and at once
	recordEvery       = 200 * time.Millisecond
	trimHistoryEvery  = time.Hour
	maxTasksKnown     = 100_000 // whose device is remembered, for downloads
	maxRangeText      = 100
)

// scribe writes the history. Its methods may be called by many goroutines and never
// wait: what has no room is counted.
type scribe struct {
	to    *store.History
	lists store.Lists // where the device of a task is looked up
	clock *clock
	log   *slog.Logger

	queue  chan record
	tasks  atomic.Int64 // in the queue
	lost   atomic.Int64 // since that was last written down
	full   atomic.Int64 // until then nothing is taken, in nanoseconds since 1970: the rate is used up
	missed prometheus.Counter

	// Of run's goroutine.
	owners map[string]ota.Device // of tasks
	level  float64               // entries that may be written now
	filled time.Time
	failed bool // the last write
}

// record is an entry before it is made: what takes time is done later.
type record struct {
	at      simulator.Stamp
	device  ota.Device
	kind    store.EntryKind
	topic   ota.TopicKind
	qos     byte
	size    int64
	task    string
	payload []byte
	more    any              // becomes the payload, as JSON
	tasks   []simulator.Task // in place of everything else: what has changed
}

func newScribe(h *store.History, lists store.Lists, clock *clock, log *slog.Logger, m *metrics) *scribe {
	r := &scribe{
		to: h, lists: lists, clock: clock, log: log, queue: make(chan record, maxRecords),
		missed: prometheus.NewCounter(prometheus.CounterOpts{Name: "otasim_history_missed_total", Help: "Messages that the history has not recorded, because there were too many."}),
		owners: map[string]ota.Device{}, level: recordBurst, filled: time.Now(),
	}
	m.registry.MustRegister(r.missed)
	return r
}

func (r *scribe) add(e record) {
	if r.isFull() {
		r.lost.Add(1)
		return
	}
	e.at = simulator.At(r.clock.now())
	select {
	case r.queue <- e:
	default:
		r.lost.Add(1)
	}
}

// isFull spares those who come too many the queue.
func (r *scribe) isFull() bool {
	until := r.full.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// Connected implements broker.Witness.
func (r *scribe) Connected(d ota.Device, a broker.Arrival) {
	r.add(record{device: d, kind: store.EntryConnect, more: a})
}

// Disconnected implements broker.Witness.
func (r *scribe) Disconnected(d ota.Device, why broker.Ending) {
	r.add(record{device: d, kind: store.EntryDisconnect, payload: []byte(why)})
}

// Passed implements broker.Witness. Of a long message no more is held than is looked at
// for secrets.
func (r *scribe) Passed(m broker.Passed) {
	e := record{device: m.Device, kind: entryKind(m.Kind, m.Down), topic: m.Kind, qos: m.QoS, size: int64(len(m.Payload)), payload: m.Payload}
	if m.Kind == ota.TopicDownloadReply {
		e.payload = blockHead(m.Payload)
	}
	if len(e.payload) > maxSearched {
		e.payload = slices.Clone(e.payload[:maxSearched])
	}
	r.add(e)
}

// registered tells that a device was given its secret.
func (r *scribe) registered(d ota.Device, fresh bool) {
	r.add(record{device: d, kind: store.EntryRegister, more: map[string]bool{"fresh": fresh}})
}

// downloaded implements packages.Config.Download.
func (r *scribe) downloaded(d packages.Download) {
	r.add(record{kind: store.EntryDownload, task: d.TaskID, size: d.Bytes, more: downloadEntry{
		d.Method, d.Range[:min(len(d.Range), maxRangeText)], d.Status, d.Bytes, d.FileID,
	}})
}

// stored takes the tasks of a batch that was stored. They are nobody else's.
func (r *scribe) stored(tasks []simulator.Task) {
	n := int64(len(tasks))
	if n == 0 {
		return
	}
	if r.tasks.Add(n) <= maxRecordedTasks && !r.isFull() {
		select {
		case r.queue <- record{tasks: tasks}:
			return
		default:
		}
	}
	r.tasks.Add(-n)
	for i := range tasks {
		if tasks[i].Turned() {
			r.lost.Add(1)
		}
	}
}

// run writes until ctx ends, and then what is there still. It sleeps while there is
// nothing to write.
func (r *scribe) run(ctx context.Context) {
	trim := time.NewTicker(trimHistoryEvery)
	defer trim.Stop()
	for {
		select {
		case first := <-r.queue:
			select { // many are written for little more than one
			case <-time.After(recordEvery):
			case <-ctx.Done():
			}
			r.flush(first)
		case <-trim.C:
			if err := r.to.Trim(context.Background(), simulator.At(r.clock.now())); err != nil {
				r.log.Error("the history cannot be trimmed", "why", err.Error())
			}
		case <-ctx.Done():
			r.flush()
			return
		}
	}
}

// flush writes what has piled up, as much of it as the rate allows, after first.
func (r *scribe) flush(first ...record) {
	now := time.Now()
	r.level = min(recordBurst, r.level+recordRate*now.Sub(r.filled).Seconds())
	r.filled = now
	var entries []store.Entry
	for i := range first {
		entries = r.take(entries, &first[i])
	}
	for n := len(r.queue); n > 0; n-- {
		e := <-r.queue
		entries = r.take(entries, &e)
	}
	entries = r.addressed(entries)
	until := int64(0)
	if r.level < 1 {
		until = now.Add(recordEvery).UnixNano()
	}
	r.full.Store(until)
	if n := r.lost.Swap(0); n > 0 {
		r.missed.Add(float64(n))
		entries = append(entries, store.Entry{At: simulator.At(r.clock.now()), Kind: store.EntryLost, Size: n})
	}
	if len(entries) == 0 {
		return
	}
	err := r.to.Append(context.Background(), entries)
	if err != nil {
		r.lost.Add(int64(len(entries)))
		if !r.failed {
			r.log.Error("the history cannot be written; updates go on", "why", err.Error())
		}
	}
	r.failed = err != nil
}

// take makes entries of a record, as far as the rate allows. The queue has them in the
// order in which they came about: what a device said, what came of it, what it was told.
func (r *scribe) take(entries []store.Entry, e *record) []store.Entry {
	add := func(made func() store.Entry) {
		if r.level < 1 {
			r.lost.Add(1)
			return
		}
		r.level--
		entries = append(entries, made())
	}
	if e.tasks == nil {
		add(e.entry)
		return entries
	}
	r.tasks.Add(-int64(len(e.tasks)))
	for i := range e.tasks {
		t := &e.tasks[i]
		r.own(t)
		if t.Turned() {
			add(func() store.Entry { return entryOf(t) })
		}
	}
	return entries
}
