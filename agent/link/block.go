package link

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/leapslot/ota"
)

// Block asks for a part of a file over MQTT (protocol section 6) and gives the
// reply, whatever its code is. The request's ID is chosen here, so that a reply
// to an earlier request is never taken for this one's. It waits for a connection
// for as long as the context lasts, and then for the reply for so long as
// patience; an error that wraps context.DeadlineExceeded means that none came in
// that time, any other one that the connection broke, the reply was damaged, or
// the context ended. Replies do not pass through Events.
func (l *Link) Block(ctx context.Context, r ota.BlockRequest, patience time.Duration) (ota.Block, error) {
	return l.block(ctx, l.device, r, patience)
}

// block is Block for this device, or for one behind it.
func (l *Link) block(ctx context.Context, d ota.Device, r ota.BlockRequest, patience time.Duration) (ota.Block, error) {
	s, err := l.await(ctx)
	if err != nil {
		return ota.Block{}, fmt.Errorf("not asked for: %w", err)
	}
	reply, done := l.blocks.expect(&r)
	defer done()
	t := time.NewTimer(patience)
	defer t.Stop()
	// QoS 0: the reply is the acknowledgement.
	select {
	case s.posts <- outgoing{topic: ota.TopicDownload.Of(d), payload: r.Encode()}:
	case <-s.done:
		return ota.Block{}, errCut
	case <-t.C:
		return ota.Block{}, fmt.Errorf("the request could not be sent within %v: %w", patience, context.DeadlineExceeded)
	case <-ctx.Done():
		return ota.Block{}, context.Cause(ctx)
	}
	select {
	case got := <-reply:
		return got.block, got.err
	case <-s.done:
		return ota.Block{}, errCut
	case <-t.C:
		return ota.Block{}, fmt.Errorf("no reply within %v: %w", patience, context.DeadlineExceeded)
	case <-ctx.Done():
		return ota.Block{}, context.Cause(ctx)
	}
}

var errCut = errors.New("the connection to the cloud broke")

// expected are the replies that somebody waits for.
type expected struct {
	mu   sync.Mutex
	next uint64
	by   map[string]chan<- answered
}

type answered struct {
	block ota.Block
	err   error
}

// expect gives a request its id, and a channel that its reply comes on until done
// is called.
func (e *expected) expect(r *ota.BlockRequest) (reply <-chan answered, done func()) {
	ch := make(chan answered, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next++
	id := strconv.FormatUint(e.next, 10)
	r.ID = id
	if e.by == nil {
		e.by = map[string]chan<- answered{}
	}
	e.by[id] = ch
	return ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.by, id)
	}
}

// deliver hands a reply to who waits for it; the error says why nobody gets it.
func (e *expected) deliver(payload []byte) error {
	b, err := ota.DecodeBlock(payload)
	e.mu.Lock()
	defer e.mu.Unlock()
	to := e.by[b.ID]
	if to == nil {
		if err == nil {
			err = fmt.Errorf("nobody waits for the id %.20q any more", b.ID)
		}
		return err
	}
	delete(e.by, b.ID) // a second reply to the same request is one too many
	to <- answered{b, err}
	return nil
}
