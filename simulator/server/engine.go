package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Limits of the engine.
const (
	maxInbox   = 1024 // requests that wait; more callers wait to be let in
	maxBatch   = 1000 // requests stored in one transaction
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second

	longestSleep = time.Minute // when the clock is set, it is noticed by then
)

// ErrStopped is what a caller gets whose request was not taken before the engine
// stopped. Nothing has changed.
var ErrStopped = errors.New("the cloud is shutting down")

// Engine owns the model. Do and the device events may be called by many goroutines
// at the same time while Run runs.
type Engine struct {
	cloud   *simulator.Cloud
	store   store.Store
	send    func([]simulator.Push, []simulator.Task)
	log     *slog.Logger
	metrics *metrics
	clock   *clock
	told    func([]simulator.AppEvent) // takes what applications are told, once it is stored
	keep    bool                       // store it, too: for the webhook
	changed func([]simulator.Task)     // takes the tasks that have changed, once they are stored; for keeps
	latest  simulator.Stamp            // when anything was last stored before this engine

	inbox   chan *request
	stopped chan struct{} // closed when Run has returned

	unwell atomic.Pointer[error] // why the last batch could not be stored
	news   atomic.Int64          // how often something was stored

	// Of Run's goroutine.
	again   []*request // events whose batch could not be stored
	pause   time.Duration
	retryAt time.Time // the world's time, as all that has to do with the store
}

// request is a command or an event, and where its answer goes.
type request struct {
	cmd    simulator.Command
	event  simulator.Event
	answer chan answer
	got    answer
}

type answer struct {
	value any
	err   error
}

// newEngine loads the state. send is called in Run's goroutine with what is to be
// sent and the tasks that have changed, after both are stored.
func newEngine(ctx context.Context, st store.Store, opt simulator.Options, send func([]simulator.Push, []simulator.Task), log *slog.Logger, m *metrics) (*Engine, error) {
	state, err := st.Load(ctx)
	if err != nil {
		return nil, err
	}
	cloud, err := simulator.Load(opt, state)
	if err != nil {
		return nil, fmt.Errorf("the stored state is not whole: %w", err)
	}
	return &Engine{
		cloud: cloud, store: st, send: send, log: log, metrics: m, clock: newClock(1, 0), told: func([]simulator.AppEvent) {}, changed: func([]simulator.Task) {}, latest: latest(state),
		inbox: make(chan *request, maxInbox), stopped: make(chan struct{}),
	}, nil
}

// Do carries out a command. Its answer is the value that the command names, and is
// stored by then. Errors: *simulator.Error when the command was refused, those of
// package store when it could not be stored, ErrStopped; nothing has changed then.
// After an error of ctx it is not known whether it was carried out.
func (e *Engine) Do(ctx context.Context, cmd simulator.Command) (any, error) {
	cmd, err := e.prepare(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return e.ask(ctx, &request{cmd: cmd})
}

// happen takes in a device's event and returns when it is stored (nil), or the engine
// has stopped and it is not (ErrStopped).
func (e *Engine) happen(ev simulator.Event) error {
	_, err := e.ask(context.Background(), &request{event: ev})
	return err
}

func (e *Engine) ask(ctx context.Context, r *request) (any, error) {
	r.answer = make(chan answer, 1)
	select {
	case e.inbox <- r:
	case <-e.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case a := <-r.answer:
		return a.value, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.stopped:
	}
	select { // answered in its last moment?
	case a := <-r.answer:
		return a.value, a.err
	default:
		return nil, ErrStopped
	}
}

// device looks a device up.
func (e *Engine) device(ctx context.Context, d ota.Device) (simulator.Device, error) {
	v, err := e.Do(ctx, simulator.FindDevice{Product: d.ProductKey, Name: d.Name})
	if err != nil {
		return simulator.Device{}, err
	}
	return v.(simulator.Device), nil
}

// Run works until ctx ends (nil), or until the store turns out to be changed by
// someone else, which cannot be put right from here: the process must be started
// again. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.stopped)
	timer := time.NewTimer(longestSleep)
	defer timer.Stop()
	for {
		timer.Reset(e.sleep())
		var first *request
		select {
		case first = <-e.inbox:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		if err := e.work(e.collect(first)); err != nil {
			return err
		}
	}
}

// sleep is how long nothing has to be done unless a request comes.
func (e *Engine) sleep() time.Duration {
	next := e.cloud.Next()
	switch {
	case e.pause > 0:
		return min(max(time.Until(e.retryAt), 0), longestSleep)
	case next.IsZero():
		return longestSleep
	}
	return min(max(e.clock.real(next.Sub(e.clock.now())), 0), longestSleep)
}

// collect takes what else has come, after what has to be tried again.
func (e *Engine) collect(first *request) []*request {
	batch := e.again
	e.again = nil
	if first != nil {
		batch = append(batch, first)
	}
	for len(batch) < maxBatch {
		select {
		case r := <-e.inbox:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// work applies a batch, stores it, and sends and answers then.
func (e *Engine) work(batch []*request) error {
	real, now := time.Now(), e.clock.now()
	e.look(batch, now)
	e.apply(batch, now, real)
	changes := e.cloud.Changes()
	events := changes.Events
	if !e.keep {
		changes.Events = nil // nobody would ever take it out of the store
	}
	if err := e.save(changes); err != nil {
		e.cloud.Undo()
		e.failed(batch, err, real)
		if errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("the stored state is not what this process left: %w (start it again, and only once)", err)
		}
		return nil
	}
	e.cloud.Commit()
	if changes.Rows() > 0 {
		e.news.Add(1)
	}
	e.recovered(changes.Rows() > 0, real)
	e.changed(changes.Tasks)
	if len(events) > 0 {
		e.told(events)
	}
	e.send(e.cloud.TakePushes(), changes.Tasks)
	for _, r := range batch {
		if !r.looks() {
			r.answer <- r.got
		}
	}
	return nil
}

func (r *request) looks() bool { return r.cmd != nil && simulator.Looks(r.cmd) }

// look answers what changes nothing before anything is changed: it sees only what
// is stored, and is answered when the store fails too.
func (e *Engine) look(batch []*request, now time.Time) {
	for _, r := range batch {
		if r.looks() {
			v, err := e.cloud.Apply(r.cmd, now)
			r.answer <- answer{v, err}
		}
	}
}

func (e *Engine) apply(batch []*request, now, real time.Time) {
	if e.due(batch, now, real) {
		e.cloud.Tick(now)
	}
	for _, r := range batch {
		switch {
		case r.looks():
		case r.cmd != nil:
			v, err := e.cloud.Apply(r.cmd, now)
			r.got = answer{v, err}
		default:
			e.cloud.Happen(r.event, now)
		}
	}
}

// due says whether time has brought something about, or nothing else woke the engine.
func (e *Engine) due(batch []*request, now, real time.Time) bool {
	next := e.cloud.Next()
	return (len(batch) == 0 || !next.IsZero() && !next.After(now)) && (e.pause == 0 || !real.Before(e.retryAt))
}

// save stores the changes. It does not give up halfway when the process is asked to
// stop.
func (e *Engine) save(ch *simulator.Changes) error {
	if ch.Rows() == 0 {
		return nil
	}
	start := time.Now()
	err := e.store.Commit(context.Background(), ch)
	e.metrics.saved(ch.Rows(), time.Since(start), err)
	return err
}

// failed answers the commands of a batch that could not be stored, and keeps its
// events for later. There are no more of them than devices are connected, since each
// one's connection waits for its answer.
func (e *Engine) failed(batch []*request, err error, now time.Time) {
	e.pause = min(max(2*e.pause, firstRetry), lastRetry)
	e.retryAt = now.Add(e.pause)
	e.unwell.Store(&err)
	e.log.Error("could not be stored, nothing was sent; trying again", "why", err.Error(), "requests", len(batch), "in", e.pause)
	for _, r := range batch {
		switch {
		case r.looks():
		case r.event != nil:
			e.again = append(e.again, r)
		case r.got.err != nil:
			r.answer <- r.got // it was refused anyway
		default:
			r.answer <- answer{nil, err}
		}
	}
}

// recovered ends the pause after a failure: something was stored, or, when the pause is
// over and nothing is left to try, what is stored already can be written once more.
func (e *Engine) recovered(stored bool, now time.Time) {
	if e.pause == 0 || !stored && now.Before(e.retryAt) {
		return
	}
	if !stored && e.store.Commit(context.Background(), &simulator.Changes{Sequence: e.cloud.Sequence()}) != nil {
		e.pause = min(2*e.pause, lastRetry)
		e.retryAt = now.Add(e.pause)
		return
	}
	e.pause = 0
	e.unwell.Store(nil)
	e.log.Info("can be stored again")
}

// health is why nothing can be stored, nil when something can.
func (e *Engine) health() error {
	if why := e.unwell.Load(); why != nil {
		return *why
	}
	return nil
}
