package link

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/leapslot/ota"
)

// queue holds events until their receiver takes them. Adding never blocks.
type queue struct {
	wake    chan struct{} // of capacity 1: there may be something new
	dropped atomic.Uint64

	mu     sync.Mutex
	events []ota.Event
	bytes  int
}

// add puts an event last. Of two pieces of news of a connection that were not
// received yet, one is enough.
func (q *queue) add(e ota.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.Kind == 0 && slices.ContainsFunc(q.events, isNews) {
		return
	}
	q.events = append(q.events, e)
	q.bytes += len(e.Payload)
	for len(q.events) > maxQueued || q.bytes > maxQueuedBytes {
		oldest := slices.IndexFunc(q.events, func(e ota.Event) bool { return !isNews(e) })
		q.bytes -= len(q.events[oldest].Payload)
		q.events = slices.Delete(q.events, oldest, oldest+1)
		q.dropped.Add(1)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func isNews(e ota.Event) bool { return e.Kind == 0 }

func (q *queue) take() (ota.Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) == 0 {
		q.events = nil // gives a burst's memory back
		return ota.Event{}, false
	}
	e := q.events[0]
	q.events = slices.Delete(q.events, 0, 1)
	q.bytes -= len(e.Payload)
	return e, true
}

// pump hands the events over one by one until the context ends.
func (q *queue) pump(ctx context.Context, to chan<- ota.Event) {
	for {
		e, ok := q.take()
		if !ok {
			select {
			case <-q.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case to <- e:
		case <-ctx.Done():
			return
		}
	}
}
